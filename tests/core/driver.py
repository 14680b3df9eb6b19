"""One node for tests: a real :class:`Engine`, a clock that only the test moves, and a worker that obeys as a real one.

The test plays the user code: ``node.returns(True)`` is the return of the method that is running now, or of the next
run(), and it is an error if none may run. main() is called at once, run() when the test lets it return (it is quick,
and idle most of the time) or when the automaton asks for it (Judge); ``node.runs()`` begins one and leaves it running.
Everything else happens by itself and at once, unless the test holds it back: a worker loads (``autoload=False`` holds
it), ends a method when interrupted (``stubborn=True``: it does not), and a killed one is gone.

:class:`FakeWorker` knows what `worker/loop.py` knows: one entry, what to call next, whether calls may be made. It has
no thread: `hear` takes a command, `begin` and `end` are the two ends of a call, `out` is what it has said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from guardian.core.engine import Engine, Limits, Start
from guardian.core.events import (
    Action,
    Began,
    Begin,
    Check,
    CheckBegan,
    Checked,
    Command,
    Elapsed,
    EndCheck,
    Enter,
    Gone,
    Heard,
    Input,
    Judge,
    Kill,
    Leave,
    Left,
    LoadAsked,
    Loaded,
    LoadFailed,
    Notifications,
    Now,
    Pause,
    Policy,
    Raised,
    Reenter,
    Reload,
    Reloaded,
    ReloadFailed,
    Reloading,
    Report,
    Requested,
    Resume,
    Returned,
    SetManager,
    SetMode,
    SetOp,
    Spawn,
    Step,
    Stop,
    Tell,
)
from guardian.core.graph import Edge, StateInfo, SystemFacts, assign_indices
from guardian.core.view import View
from guardian.enums import Call, ErrorKind, Mode, OnComplete, Op, Status

EPOCH = 1_700_000_000.0


def system(
    edges: str = "",
    *,
    states: str = "",
    goto: str = "",
    stay: str = "",
    request: str | None = None,
    nominal: str | None = None,
    redirect_timeout_s: float | None = None,
) -> SystemFacts:
    """Facts of a system: ``system("INIT>SAFE SAFE>ALIGNED:2", goto="SAFE DOWN:10", stay="TRIPPED")``.

    ``edges`` and ``goto`` may carry a weight after a colon; ``stay`` lists the states with ``redirect = False``.
    """
    pairs = [edge.split(">") for edge in edges.split()]
    declared = [Edge(start=a, end=b.partition(":")[0], weight=float(b.partition(":")[2] or 1)) for a, b in pairs]
    gotos = {name.partition(":")[0]: float(name.partition(":")[2] or 1) for name in goto.split()}
    named = ["INIT", *(n for e in declared for n in (e.start, e.end)), *states.split(), *gotos, *stay.split()]
    infos = [
        StateInfo(name=n, goto=gotos.get(n), redirect=n not in stay.split(), source=f"TEST.py:{i}")
        for i, n in enumerate(dict.fromkeys(named))
    ]
    return SystemFacts(
        states=assign_indices(infos),
        edges=tuple(declared),
        request=request,
        nominal=nominal,
        redirect_timeout_s=redirect_timeout_s,
        module="TEST.py",
    )


@dataclass
class FakeWorker:
    """What `worker/loop.py` does, without time and without user code."""

    gen: int
    out: list[Report] = field(default_factory=list)
    entry: int = 0
    state: str = ""
    policy: OnComplete = OnComplete.KEEP
    next_call: Call | None = None
    running: tuple[int, Call] | None = None  #: entry and method in progress
    begun: bool = False
    resting: bool = False
    told: bool | None = None
    judge: int = 0
    missing: bool = False
    paused: bool = False
    stopped: bool = False
    interrupted: bool = False
    reads: Callable[[], Report | None] = lambda: None  #: what it says of the code when it is told to exchange it
    calls: list[tuple[str, Call]] = field(default_factory=list)  #: every call ever begun
    waiting: list[Command] = field(default_factory=list)  #: commands are looked at between two calls

    def hear(self, command: Command) -> None:
        assert not self.stopped, f"{command} after Stop"
        if self.running is None:
            self._obey(command)
        else:
            self.waiting.append(command)
            self.interrupted |= isinstance(command, Stop) or (isinstance(command, Leave) and command.interrupt)

    def _obey(self, command: Command) -> None:
        match command:
            case Enter():
                self.entry, self.state, self.policy = command.entry, command.state, command.on_complete
                self.next_call, self.begun, self.resting, self.told = Call.MAIN, False, False, None
                self.judge, self.missing = 0, False
            case Policy(entry=self.entry):
                self.policy = command.on_complete
                self.resting = self.resting and self.policy is OnComplete.WAIT
            case Judge(entry=self.entry):
                self.judge = command.seq if self.next_call else 0
            case Leave():
                if command.entry == self.entry:
                    self.next_call = None
                self.out.append(Left(entry=command.entry))
            case Pause():
                self.paused = True
            case Resume():
                self.paused = False
            case Stop():
                self.stopped = True
            case Reload():
                self.out.append(Reloading())
                if (report := self.reads()) is not None:
                    self.out.append(report)
            case _:
                pass  # of another entry

    @property
    def may_call(self) -> bool:
        idle = self.running is None and self.next_call is not None and not self.paused and not self.stopped
        return idle and (not self.resting or bool(self.judge))

    def begin(self) -> None:
        assert self.may_call and self.next_call
        if self.next_call is Call.MAIN and not self.begun:
            self.begun = True
            self.out.append(Began(entry=self.entry))
        self.running = (self.entry, self.next_call)
        self.calls.append((self.state, self.next_call))

    def end(self, outcome: bool | str | BaseException | None) -> None:
        """The method in progress returns or raises; None: an interrupt ended it."""
        assert self.running is not None
        _, call = self.running
        self.running, self.interrupted = None, False
        match outcome:
            case None:
                self.next_call = None
            case ConnectionError():
                self.missing, self.told, self.judge = True, None, 0
                lost = tuple(str(a) for a in outcome.args)
                self._raised(call, ErrorKind.CONNECT, f"not connected: {', '.join(lost)}", lost)
            case BaseException():
                self.next_call = None
                self._raised(call, ErrorKind.ERROR, f"{self.state}.{call.value}() raised {outcome!r}")
            case _:
                self._returned(call, outcome)
        commands, self.waiting = self.waiting, []
        for command in commands:
            self._obey(command)

    def _raised(self, call: Call, kind: ErrorKind, message: str, channels: tuple[str, ...] = ()) -> None:
        self.out.append(Raised(entry=self.entry, call=call, kind=kind, message=message, channels=channels))

    def _returned(self, call: Call, outcome: bool | str) -> None:
        seq, self.judge = self.judge, 0
        recovered, self.missing = self.missing, False
        self.next_call = None if isinstance(outcome, str) else Call.RUN
        if not isinstance(outcome, str):
            self.resting = outcome and self.policy is OnComplete.WAIT
        if seq or recovered or self.resting or outcome is not self.told or call is Call.MAIN:
            self.told = outcome if isinstance(outcome, bool) else None
            self.out.append(Returned(entry=self.entry, call=call, outcome=outcome, seq=seq))


class Node:
    """An engine, its worker, and a clock.

    Attributes
    ----------
    actions : what the last thing the test did led to, in order.
    steps : every step since the node was made.
    fed : every input with its time, to be replayed.
    facts : what the file on disk holds. broken : why it does not load, "" if it does. left : what old code leaves.
    exchanges : whether an exchange comes to its end.
    checking : the check that nobody has answered yet, 0 for none; begun and answered at once unless ``autobegin``,
        ``autocheck`` are off.
    stubborn : methods do not end when interrupted. undead : a killed worker is not reaped until `reap`.
    """

    def __init__(
        self,
        facts: SystemFacts | None = None,
        start: Start | None = None,
        *,
        limits: Limits | None = None,
        autoload: bool = True,
        begin: bool = True,
        settle: bool = True,
    ) -> None:
        self.facts = facts or system("INIT>SAFE SAFE>ALIGNED", request="SAFE", nominal="ALIGNED")
        self.start, self.limits = start, limits
        self.engine = Engine("TEST", start, limits)
        self.mono = 1000.0
        self.actions: list[Action] = []
        self.steps: list[Step] = []
        self.fed: list[tuple[Input, Now]] = []
        self.worker: FakeWorker | None = None
        self.workers: list[FakeWorker] = []
        self.autoload, self.stubborn, self.undead = autoload, False, False
        self.broken, self.checking, self.autobegin, self.autocheck = "", 0, True, True
        self.left: tuple[str, ...] = ()
        self.exchanges = True
        self._todo: list[Input] = []
        if begin:
            self.feed(Begin())
            if settle and self.running == "INIT.main":
                self.returns(True)  # INIT
                self.actions = []

    # --- what is seen ---

    @property
    def view(self) -> View:
        return self.engine.view

    @property
    def now(self) -> Now:
        return Now(self.mono, EPOCH + self.mono)

    @property
    def running(self) -> str:
        """The method that runs now, "STATE.main" or "STATE.run"; "" for none."""
        if self.worker is None or self.worker.running is None:
            return ""
        return f"{self.worker.state}.{self.worker.running[1].value}"

    @property
    def calls(self) -> list[str]:
        """Every method ever called, in order."""
        return [f"{state}.{call.value}" for worker in self.workers for state, call in worker.calls]

    @property
    def entered(self) -> list[str]:
        """The states entered, in order."""
        return [s.view.state for s in self.steps if s.kind == "enter"]

    def told(self, kind: type[Command]) -> list[Command]:
        """The commands of that kind among `actions`."""
        return [a.command for a in self.actions if isinstance(a, Tell) and isinstance(a.command, kind)]

    def did(self, kind: type[Action]) -> list[Action]:
        return [a for a in self.actions if isinstance(a, kind)]

    def text(self) -> str:
        """What the last actions said in the log."""
        return "\n".join(a.text for a in self.actions if isinstance(a, Step))

    # --- what the test does ---

    def feed(self, *events: Input) -> list[Action]:
        """Feed events in order, with nothing between them, and then whatever they lead to."""
        self.actions = []
        for event in events:
            self._feed_one(event)
        while self._todo:
            self._feed_one(self._todo.pop(0))
        return self.actions

    def _feed_one(self, event: Input) -> None:
        self.fed.append((event, self.now))
        actions = self.engine.feed(event, self.now)
        self.actions += actions
        for action in actions:
            self._obey(action)
        self._run_worker()

    def _obey(self, action: Action) -> None:
        match action:
            case Spawn():
                assert self.worker is None, f"two workers: {self.worker} and {action}"
                self.worker = FakeWorker(action.gen, reads=self._exchanged)
                self.workers.append(self.worker)
                if self.autoload:
                    self._todo.append(Heard(gen=action.gen, report=self._read()))
            case Tell():
                assert self.worker is not None and self.worker.gen == action.gen, f"nobody hears {action}"
                self.worker.hear(action.command)
            case Kill():
                assert self.worker is not None and self.worker.gen == action.gen, f"nobody to kill: {action}"
                if not self.undead:
                    self._todo.append(self._gone("killed"))
            case Check():
                assert not self.checking, f"{action} while {self.checking} is under way"
                self.checking = action.number
                if self.autobegin:
                    self._todo.append(CheckBegan(number=action.number))
                if self.autocheck:
                    self._todo.append(self._checked())
            case EndCheck():
                assert self.checking in (action.number, 0)
                self.checking = 0
            case Step():
                self.steps.append(action)

    def _read(self) -> Loaded | LoadFailed:
        return LoadFailed(reason=self.broken) if self.broken else Loaded(facts=self.facts)

    def _exchanged(self) -> Report | None:
        if not self.exchanges:
            return None
        return ReloadFailed(reason=self.broken) if self.broken else Reloaded(facts=self.facts, left=self.left)

    def _checked(self) -> Checked:
        number, self.checking = self.checking, 0
        return Checked(number=number, report=self._read())

    def _gone(self, reason: str) -> Gone:
        assert self.worker is not None
        gen = self.worker.gen
        self.worker = None
        return Gone(gen=gen, reason=reason)

    def _run_worker(self) -> None:
        worker = self.worker
        if worker is None:
            return
        if worker.interrupted and not self.stubborn:
            worker.end(None)
        if worker.may_call and (worker.next_call is Call.MAIN or worker.judge):
            worker.begin()
        self._todo += [Heard(gen=worker.gen, report=r) for r in worker.out]
        worker.out.clear()
        if worker.stopped:
            self._todo.append(self._gone("exit code 0"))

    def _ends(self, outcome: bool | str | BaseException) -> list[Action]:
        assert self.worker is not None
        if not self.worker.running:
            assert self.worker.may_call, f"no method may run; STATE {self.view.state}: {self.text()}"
            self.worker.begin()
        self.actions = []
        self.worker.end(outcome)
        self._run_worker()
        return self.feed()

    def returns(self, *values: bool | str) -> None:
        """The methods that run one after the other return these values."""
        for value in values:
            self._ends(value)

    def runs(self) -> None:
        """run() is called now, and goes on until the test says otherwise."""
        assert self.worker is not None and self.worker.may_call, f"no method may run; STATE {self.view.state}"
        self.worker.begin()

    def raises(self, error: BaseException | None = None) -> None:
        """The method in progress raises; a ConnectionError names lost channels."""
        self._ends(error or ValueError("oops"))

    def request(self, state: str, by: str = "anna") -> None:
        self.feed(Requested(state=state, by=by))

    def op(self, *ops: Op, by: str = "anna") -> None:
        self.feed(*(SetOp(op=op, by=by) for op in ops))

    def mode(self, mode: Mode, by: str = "anna") -> None:
        self.feed(SetMode(mode=mode, by=by))

    def manager(self, name: str) -> None:
        self.feed(SetManager(manager=name, by=name))

    def reenter(self) -> None:
        self.feed(Reenter(by="anna"))

    def load(self, by: str = "anna") -> None:
        self.feed(LoadAsked(by=by))

    def checks(self) -> None:
        """The check that is under way ends."""
        assert self.checking
        self.feed(self._checked())

    def notifies(self, *texts: str) -> None:
        self.hears(Notifications(entry=self.worker.entry if self.worker else 0, texts=texts))

    def hears(self, *reports: Report, gen: int | None = None) -> None:
        """Reports that the worker has not made by itself."""
        self.feed(*(Heard(gen=self.engine.gen if gen is None else gen, report=r) for r in reports))

    def loads(self, facts: SystemFacts | None = None) -> None:
        self.hears(Loaded(facts=facts or self.facts))

    def load_fails(self, reason: str = "SyntaxError: TEST.py:3") -> None:
        self.hears(LoadFailed(reason=reason))

    def dies(self, reason: str = "signal SEGV") -> None:
        self.feed(self._gone(reason))

    def reap(self) -> None:
        self.feed(self._gone("killed"))

    def advance(self, seconds: float) -> None:
        """Let time pass; every deadline on the way is met at its time."""
        until, acts = self.mono + seconds, []
        for _ in range(10_000):
            due = self.engine.deadline
            if due is None or due > until:
                break
            self.mono = max(self.mono, due)
            acts += self.feed(Elapsed())
        else:
            raise AssertionError(f"the deadline {self.engine.deadline} is never over at {self.mono}")
        self.mono = until
        self.actions = acts

    def goes_to(self, *states: str) -> None:
        """Walk these edges: every state on the way completes in run()."""
        for state in states:
            self.returns(*([False] if self.running.endswith(".main") else []), True)
            assert self.view.state == state, f"in {self.view.state}, not {state}: {self.text()}"


def sentences(steps: Iterable[Step]) -> str:
    return "\n".join(f"{s.view.event_id} {s.kind}: {s.text}" for s in steps)


def kinds(actions: Sequence[Action]) -> list[str]:
    """The names of commands, actions and steps, in order: what happened, at a glance."""
    names = {Spawn: "Spawn", Kill: "Kill"}
    return [
        type(a.command).__name__ if isinstance(a, Tell) else f"step:{a.kind}" if isinstance(a, Step) else names[type(a)]
        for a in actions
    ]


WALK = "INIT>SAFE SAFE>DAMPED DAMPED>ALIGNED ALIGNED>DAMPED"


def suspension(**kwargs: object) -> Node:
    """INIT -> SAFE -> DAMPED <-> ALIGNED; SAFE is a goto state, TRIPPED may not be left before it completes."""
    facts = system(f"{WALK} TRIPPED>SAFE", goto="SAFE", stay="TRIPPED", request="ALIGNED", nominal="ALIGNED")
    return Node(facts, **kwargs)  # type: ignore[arg-type]


def aligned(**kwargs: object) -> Node:
    """A suspension at its request."""
    node = suspension(**kwargs)
    node.goes_to("DAMPED", "ALIGNED")
    node.returns(True)
    assert node.view.status is Status.DONE
    return node


def manual(state: str = "SAFE") -> Node:
    node = suspension(start=Start(mode=Mode.MANUAL, request="NONE"))
    node.request(state)
    node.returns(True, False)
    assert node.view.state == state
    return node
