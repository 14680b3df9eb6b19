"""A node in an unkind world: commands and reports are on their way for as long as the script likes, methods run for as
long as it likes and return what it likes, processes die, timers are late, people write what they want.

A script is a string of bytes, two for a happening (hypothesis makes and shrinks those fastest). The world checks
after every input what must always hold (`check`).
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from guardian.core import explain
from guardian.core.engine import Engine, Limits, Start
from guardian.core.events import (
    Action,
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
    Kill,
    LoadAsked,
    Loaded,
    LoadFailed,
    Notifications,
    Now,
    Reenter,
    Reloaded,
    Report,
    Requested,
    ResetFailed,
    RestartAsked,
    Returned,
    SetManager,
    SetMode,
    SetOp,
    SetSpm,
    Slow,
    Spawn,
    Step,
    Stop,
    Stuck,
    Tell,
)
from guardian.core.graph import Edge, Graph, StateInfo, SystemFacts, assign_indices
from guardian.core.view import View
from guardian.enums import FOLLOWS_GRAPH, NONE_STATE, ErrorKind, LoadStatus, Mode, Op, Status, Worker
from tests.core.driver import EPOCH, FakeWorker

Script = bytes
LIMITS = Limits(restarts=2)


def random_system(seed: int) -> SystemFacts:
    """A small system with a bit of everything."""
    dice = random.Random(seed)
    names = ["INIT", *"ABCDE"[: dice.randint(1, 5)]]
    infos = [
        StateInfo(
            name=n,
            goto=dice.choice([1, 1, 0.5, 10]) if n != "INIT" and dice.random() < 0.25 else None,
            redirect=dice.random() < 0.8,
            source=f"TEST.py:{i}",
        )
        for i, n in enumerate(names)
    ]
    pairs = {(a, b) for a in names for b in names if a != b and dice.random() < 0.35}
    edges = tuple(Edge(start=a, end=b, weight=dice.choice([1, 1, 0.1, 3])) for a, b in sorted(pairs))
    wishes = [*names, None]
    return SystemFacts(
        states=assign_indices(infos), edges=edges, request=dice.choice(wishes), nominal=dice.choice(wishes)
    )


def check(before: View, view: View, edges: set[tuple[str, str]]) -> None:
    """What holds of every published view."""
    graph = view.graph
    assert view.event_id == before.event_id + 1
    assert view.stamp >= before.stamp
    if graph is None:
        assert view.state == view.target == "INIT" and not view.stalled
        return
    assert view.state in graph and view.target in graph
    assert view.request in graph or view.request == NONE_STATE or before.graph is None
    if view.mode in FOLLOWS_GRAPH:
        assert view.target == view.state or (view.state, view.target) in edges
        if view.held or view.request == NONE_STATE:
            assert view.target == view.state
    assert view.stalled == (view.state == view.target and view.request not in (view.state, NONE_STATE))
    if view.known and view.op is Op.EXEC and view.worker is Worker.RUN and view.status is Status.DONE:
        assert view.state == view.request
    if view.error is not ErrorKind.CONNECT:
        assert not view.connect
    assert view.disconnected or not view.overdue
    if view.worker in (Worker.DEAD, Worker.STOP):
        assert not view.known and not view.notifications and not view.lost
    if explain.is_ok(view):
        assert view.known and view.op is Op.EXEC and view.mode in (Mode.AUTO, Mode.MANAGED)
        assert view.request == view.state == view.nominal and view.status is Status.DONE
        assert view.error is ErrorKind.NONE and not view.disconnected and view.worker is Worker.RUN
    assert explain.is_ok(view) or explain.why_not_ok(view)
    if explain.is_ok(view) and explain.why_not_ok(view):  # R11: the old code runs on
        assert view.load_status is LoadStatus.ERROR and view.load_error


class World:
    """An engine among people, a worker and two slow lines."""

    def __init__(self, facts: SystemFacts, start: Start | None = None) -> None:
        self.facts, self.start = facts, start
        self._follow(Graph.build(facts.states, facts.edges))
        self.engine = Engine("TEST", start, LIMITS)
        self.mono = 1000.0
        self.history: list[tuple[Input, Now, list[Action]]] = []
        self.steps: list[Step] = []
        self.worker: FakeWorker | None = None
        self.loading = False
        self.doomed = False  #: killed or dead, not reaped yet
        self.stopping = False  #: told to end
        self.stop_by: float | None = None  #: when it is to be killed
        self.checking, self.check_runs = 0, False
        self.disk = facts  #: what LOAD will find
        self.down: deque[Command] = deque()
        self.up: deque[Report] = deque()
        self.complete: tuple[int, bool] = (0, False)  #: entry, and the last outcome the engine was told
        self.before = self.engine.view
        self.feed(Begin())

    def _follow(self, graph: Graph) -> None:
        self.graph = graph
        self.edges = {(e.start, e.end) for e in graph.edges}
        self.names = list(graph.states)

    # --- the host

    def feed(self, event: Input) -> None:
        now = Now(self.mono, EPOCH + self.mono)
        if isinstance(event, Heard) and isinstance(event.report, Returned) and isinstance(event.report.outcome, bool):
            self.complete = (event.report.entry, event.report.outcome)
        actions = self.engine.feed(event, now)
        self.history.append((event, now, actions))
        for action in actions:
            self.do(action)
        assert self.engine.view == self.before
        if self.stop_by is not None:
            assert self.engine.deadline is not None and self.engine.deadline <= self.stop_by
        elif event == SetOp(op=Op.STOP, by="anna"):
            assert self.worker is None or self.doomed or self.stopping, "nobody sees to the end of the worker"

    def do(self, action: Action) -> None:
        match action:
            case Spawn():
                assert self.worker is None, "two workers"
                self.worker = FakeWorker(action.gen, reads=lambda: Reloaded(facts=self.disk))
                self.loading, self.doomed, self.stopping = True, False, False
                self.down.clear()
                self.up.clear()
            case Kill():
                assert self.worker is not None and action.gen == self.worker.gen
                self.doomed, self.stop_by = True, None
            case Tell():
                assert self.worker is not None and action.gen == self.worker.gen, f"{action} to nobody"
                assert not self.stopping, f"{action} after Stop"
                if isinstance(action.command, Enter):
                    assert self.engine.view.op is Op.EXEC
                self.down.append(action.command)
                if isinstance(action.command, Stop):
                    self.stopping, self.stop_by = True, self.mono + LIMITS.stop_timeout_s
            case Check():
                assert not self.checking, "two checks"
                self.checking, self.check_runs = action.number, False
            case EndCheck():
                assert self.checking in (action.number, 0)
                self.checking = 0
            case Step():
                self.step(action)

    def step(self, step: Step) -> None:
        before, view = self.before, step.view
        if view.graph is not before.graph and view.graph is not None:
            self._follow(view.graph)
        check(before, view, self.edges)
        if step.kind == "enter":
            assert view.op is Op.EXEC
            if step.via is Status.EDGE:
                assert not before.held and (before.state, view.state) in self.edges
                assert self.complete == (self.complete[0], True)
            if step.via is Status.REDIRECT and view.mode in FOLLOWS_GRAPH:
                assert before.state == view.state or (before.state, view.state) in self.edges
                assert not before.held
        elif view.state != before.state:
            assert step.kind in ("worker", "load") and view.state == "INIT"
        self.steps.append(step)
        self.before = view

    # --- what may happen

    def people(self, n: int) -> None:
        wishes: list[Input] = [
            *(SetOp(op=op, by="anna") for op in Op),
            SetOp(op=Op.EXEC, by="anna"),
            *(SetMode(mode=mode, by="anna") for mode in Mode),
            SetManager(manager="IMC", by="IMC"),
            SetSpm(monitor=True, by="anna"),
            SetSpm(notify=False, by="anna"),
            Reenter(by="anna"),
            ResetFailed(by="anna"),
            RestartAsked(by="anna"),
            *(LoadAsked(by="anna"),) * 2,
        ]
        if self.engine.view.graph is not None:
            wishes += [Requested(state=s, by="anna") for s in [*self.names * 6, NONE_STATE]]
        self.feed(wishes[n % len(wishes)])

    def command_arrives(self, _n: int = 0) -> None:
        if self.worker and self.down and not self.loading and not self.doomed:
            self.worker.hear(self.down.popleft())
        elif self.worker and self.loading and Stop() in self.down:
            self.down.clear()
            self.worker.stopped = True

    def report_arrives(self, _n: int = 0) -> None:
        if self.worker and self.worker.out:
            self.up += self.worker.out
            self.worker.out.clear()
        if self.worker and self.up:
            self.feed(Heard(gen=self.worker.gen, report=self.up.popleft()))

    def user_code(self, n: int) -> None:
        worker = self.worker
        if worker is None or self.doomed or self.loading:
            return
        if worker.running is None:
            if worker.may_call:
                worker.begin()
        elif worker.interrupted and n % 3:
            worker.end(None)
        else:
            outcomes: list[bool | str | BaseException] = [
                True,
                True,
                True,
                False,
                False,
                *self.names,
                "NOWHERE",
                ValueError("x"),
                ConnectionError("X:C"),
            ]
            worker.end(outcomes[n % len(outcomes)])

    def loading_ends(self, n: int) -> None:
        if self.worker and self.loading and not self.doomed:
            self.loading = False
            self.worker.out.append(LoadFailed(reason="SyntaxError") if n % 10 == 9 else Loaded(facts=self.disk))

    def check_begins(self, _n: int = 0) -> None:
        if self.checking and not self.check_runs:
            self.check_runs = True
            self.feed(CheckBegan(number=self.checking))

    def check_ends(self, n: int) -> None:
        if self.checking:
            self.check_begins()
            number, self.checking = self.checking, 0
            report = LoadFailed(reason="SyntaxError") if n % 10 == 9 else Loaded(facts=self.disk)
            self.feed(Checked(number=number, report=report))

    def edits(self, n: int) -> None:
        """Somebody changes the file: a state and its edges less, or all of them again."""
        gone = self.facts.states[n % len(self.facts.states)].name if n % 3 else "INIT"
        if gone == "INIT":
            self.disk = self.facts
        else:
            self.disk = replace(
                self.facts,
                states=tuple(s for s in self.facts.states if s.name != gone),
                edges=tuple(e for e in self.facts.edges if gone not in (e.start, e.end)),
            )

    def death(self, n: int) -> None:
        if self.worker and (self.doomed or self.worker.stopped):
            gen = self.worker.gen
            self.worker, self.doomed, self.stop_by = None, False, None
            self.feed(Gone(gen=gen, reason="gone"))
        elif self.worker and n % 16 == 0:
            self.doomed = True

    def looks(self, n: int) -> None:
        """The host has looked at the worker: it has hung, or takes long, or does so no more."""
        gen, entry = self.engine.gen, self.engine.entry
        if n % 16 == 0:
            self.feed(Stuck(gen=gen, why="it has hung"))
        elif self.worker and self.worker.running and n % 3:
            self.feed(Slow(gen=gen, entry=entry, call=self.worker.running[1], seconds=300.0 * (1 + n % 2)))
        else:
            self.feed(Slow(gen=gen, entry=entry, call=None, seconds=312.0))

    def time(self, n: int) -> None:
        self.mono += (0.01, 0.0625, 0.5, 1.0, 2.0, 30.0)[n % 6]
        if n % 5 and (due := self.engine.deadline) is not None and due <= self.mono:
            self.feed(Elapsed())

    def says(self, n: int) -> None:
        if self.worker and not self.loading:
            self.worker.out.append(Notifications(entry=self.worker.entry, texts=("careful",)[: n % 2]))

    def play(self, script: Script) -> None:
        what: tuple[Callable[[int], None], ...] = (
            *(self.people,) * 2,
            *(self.command_arrives, self.report_arrives) * 7,
            *(self.user_code,) * 10,
            *(self.loading_ends,) * 3,
            *(self.time, self.death) * 2,
            self.check_begins,
            *(self.check_ends,) * 2,
            self.edits,
            self.says,
            self.looks,
        )
        for choice, n in zip(script[::2], script[1::2], strict=False):
            what[choice % len(what)](n)

    # --- and then all is quiet

    def settle(self, outcome: bool = True) -> None:
        """All lines deliver, every state completes, timers are met, until nothing more can happen."""
        for _ in range(60):
            for _ in range(20):
                self.command_arrives()
                self.report_arrives()
            self.loading_ends(0)
            self.check_ends(0)
            if self.worker and (self.worker.stopped or self.doomed):
                self.death(1)
            worker = self.worker
            if worker and worker.running:
                worker.end(None if worker.interrupted else outcome)
            elif worker and worker.may_call and not self.loading and not self.doomed:
                worker.begin()
            self.mono += 0.07
            due = self.engine.deadline
            if due is not None and due <= self.mono + 2:
                self.mono = max(self.mono, due)
                self.feed(Elapsed())
