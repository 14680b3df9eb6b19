"""One node: the automaton, its worker, its settings, and what it shows.

All that happens to a node comes through :meth:`Node.feed`, on the event loop: the automaton answers with actions, and
they are done in order before anything else happens to this node. So one step is one moment for everybody: PVs, log
line and journal record carry the same number and time (R23).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial
from operator import attrgetter
from typing import Any

from guardian.core import commands
from guardian.core.audit import write_record
from guardian.core.engine import Engine, Limits, Start
from guardian.core.events import (
    Action,
    Began,
    Begin,
    Bonds,
    Channels,
    Check,
    CheckBegan,
    Checked,
    Differences,
    Elapsed,
    EndCheck,
    GiveUpCheck,
    Gone,
    Heard,
    Hung,
    Input,
    Kill,
    Left,
    Loaded,
    Now,
    Reached,
    Refused,
    Reloaded,
    Report,
    RestartAsked,
    Returned,
    SetOp,
    Setpoints,
    Sources,
    Spawn,
    Step,
    Stuck,
    Tell,
    ThreadsWatched,
)
from guardian.core.graph import automatic_indices
from guardian.core.interface import BY_NAME, Asg, Vitals
from guardian.core.names import pv_name
from guardian.core.request_cmd import Command
from guardian.core.security import Level, Security
from guardian.core.view import View
from guardian.core.who import Who
from guardian.enums import LoadStatus, Op, Worker
from guardian.errors import ExpectedError, RefusedError
from guardian.host.archive import Archive
from guardian.host.audit import Audit
from guardian.host.checks import Checks, Turns
from guardian.host.durations import Durations
from guardian.host.edits import Edits
from guardian.host.face import Face, Unreadable
from guardian.host.journal import Journal
from guardian.host.life import Life
from guardian.host.loaded import LoadedCode
from guardian.host.logline import LogLine
from guardian.host.logrules import LogBudget
from guardian.host.logsink import LogSink
from guardian.host.memory import Memory
from guardian.host.publish import Publisher, event_record
from guardian.host.settings import Settings
from guardian.host.spawner import Event, Exited, Failed, Spawner, Started
from guardian.host.store import Store
from guardian.host.vigil import Vigil
from guardian.host.waits import END_S, RESTART_S
from guardian.host.worker import WorkerHandle, worker_environ
from guardian.worker.link import Load

#: Event ids are saved this far ahead, so that they never fall, and need not be saved with every event.
EVENT_BLOCK = 1000
#: Kinds of steps that are shown on PVs only: they can come sixteen times a second.
_QUIET = frozenset({"status", "subnodes"})
#: What the automaton decides of the settings of a node.
_SAID = tuple(one.name for one in fields(Start) if one.name != "event_id")
_said = attrgetter(*_SAID)
_LEVELS = {"error": "ERROR", "refused": "WARNING", "notify": "WARNING", "connect": "WARNING"}
#: Reports of calls of user code. A quick state makes three at once, and waits for the word to enter the next one.
_OF_CALLS = (Began, Returned, Left)
#: Channels that a new worker connects in advance.
MOST_FORESEEN = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all nodes of a host share, but for `limits`: a node may have its own."""

    face: Face
    spawner: Spawner
    store: Store
    durations: Durations
    journal: Journal
    audit: Audit
    archive: Archive
    edits: Edits
    sink: LogSink
    security: Security
    ifo: str
    site: str
    paths: tuple[str, ...]
    pv: str
    limits: Limits
    turns: Turns
    log_budget: LogBudget  #: of each worker
    wanted: Callable[[str], None]  #: told what could not be done for want of descriptors


class Node:
    """One running node.

    Parameters
    ----------
    settings : what it starts with, already resumed (R21). told : the sentence about them, for the log.
    host : who runs it, as HOST shows it.
    """

    def __init__(self, name: str, around: Surroundings, settings: Settings, told: str, host: str) -> None:
        self.name = name
        self._around = around
        self._settings = replace(settings, event_id=settings.event_id + EVENT_BLOCK)
        self._loop = asyncio.get_running_loop()
        self._engine = Engine(
            name,
            Start(
                op=settings.op,
                op_by=settings.op_by,
                mode=settings.mode,
                mode_by=settings.mode_by,
                manager=settings.manager,
                request=settings.request,
                request_by=settings.request_by,
                request_cmd=settings.request_cmd,
                request_id=settings.request_id,
                event_id=settings.event_id,
                spm_monitor=settings.spm_monitor,
                spm_notify=settings.spm_notify,
                log_level=settings.log_level,
            ),
            around.limits,
        )
        self._durations = around.durations.of(name)
        self._publisher = Publisher()
        self._worker: WorkerHandle | None = None
        self._life = Life(f"{around.ifo}:{name}" if around.ifo else name)
        self._vitals = Vitals(host=host, process=self._life.process, durations=self._durations.text(self._loop.time()))
        self._code = LoadedCode(name, around.ifo, around.paths, around.archive, around.edits)
        told_by_check = partial(self._code.hear, check=True)
        self._checks = Checks(name, around.turns, partial(self._process, check=True), self._checked, told_by_check)
        self._no_processes = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._waiters: list[tuple[Callable[[View], bool], asyncio.Future[View]]] = []
        self._pv_total = 0
        self._channels_met: dict[str, None] = {}  # by any worker, in the order in which they were met
        self._memory = Memory(settings.setpoints)
        self._vigil = Vigil(self._engine, feed=self.feed, say=self._warn, show=self._show_threads)
        self._begun = self._over = False
        self._steps: list[Step] | None = None  # that are shown when all was heard that the worker has said at once
        self._refusal: Step | None = None  # the last step that told of a write that was refused
        self._place = (around.site, around.paths)  # of the present worker: a check of new code looks where it does
        around.store.save(name, self._settings)
        around.sink.set_level(name, self.view.log_level)
        around.sink.line(name, told)

    @property
    def view(self) -> View:
        return self._engine.view

    @property
    def pid(self) -> int:
        """Of its worker; 0: it has none."""
        return self._life.process.pid

    @property
    def leaving(self) -> bool:
        """Whether it was told to end."""
        return self._over

    @property
    def has_ended(self) -> bool:
        """It is leaving, and no process of it is there any more."""
        return self._no_processes.is_set()

    def show(self) -> None:
        """Show the node. :meth:`begin` follows, or the first write of a client, which waits for nobody."""
        first = self._publisher.first(self.view, self._memory.shown(self._vitals, on=self.view.spm_monitor))
        self._around.face.open(self.name, first, time.time(), self.put)

    def begin(self) -> None:
        """Start its worker, if that was not done yet."""
        if not self._begun:
            self._begun = True
            self.feed(Begin())

    def put(self, row: str, value: Any, who: Who) -> asyncio.Future[None] | None:
        """Take a client's write.

        Returns
        -------
        asyncio.Future or None
            Done when what was set is safe from kill -9; None where nothing was set.

        Raises
        ------
        RefusedError
            It is not acceptable; GRDMSG, log and journal say who wrote what and why not. Or the client may not
            write, which only log and journal say. The same again within a second is counted there, see
            :mod:`guardian.host.audit`.
        """
        self.begin()
        behind: Command | None = None
        if row == "WRITE_CMD":
            with contextlib.suppress(RefusedError):  # what is no write is refused below
                write = commands.unwrap(value)
                row, value, behind = write.row, write.value, write.behind
        asg = BY_NAME[row].asg
        verdict = self._around.security.judge(asg, who)
        if verdict.level < Level.WRITE:
            if self._refuse(row, value, who, self.view, why=verdict.why, behind=behind):
                self._around.sink.line(self.name, f"{who} may not write {row}: {verdict.why}", level="WARNING")
            # The rules of a site are none of the business of those whom they keep out.
            raise RefusedError(
                verdict.why if asg is Asg.READ else f"{who} may not write {row}; the log of its host says why"
            )
        by, before = str(who) if behind is None else behind.through(str(who)), self.view
        try:
            if isinstance(value, Unreadable):
                raise RefusedError(value.reason)
            event = commands.parse(row, value, by, before)
        except RefusedError as error:
            shown = "?" if isinstance(value, Unreadable) else str(value)[:80]
            self.feed(Refused(pv=row, value=shown, by=by, reason=str(error)))
            if self._refuse(row, value, who, before, why=str(error), behind=behind) and self._refusal is not None:
                self._log(self._refusal)
            raise
        return self._take(row, value, who, event, behind)

    def set_op(self, op: Op, who: Who) -> None:
        """OP=EXEC or STOP from the control socket, whose file mode says who may: no rule of Channel Access is asked."""
        self.begin()
        self._take("OP", op, who, SetOp(op=op, by=str(who)))

    async def restart(self, who: Who, within_s: float = RESTART_S) -> View:
        """A new worker with new code; PVs stay up, and settings stay: OP, MODE, REQUEST, and what was numbered.

        Returns
        -------
        View
            With the new worker there: RUN or PAUSE; or with what became of it.

        Raises
        ------
        ExpectedError
            The node is stopped; or in `within_s` seconds there was no new worker that had read its code.
        """
        self.begin()
        view, before = self.view, self._engine.gen
        if view.op is Op.STOP:
            raise ExpectedError(
                f"{self.name} is stopped{f', by {view.op_by}' if view.op_by else ''}, and has no worker to restart; "
                f"guardctrl start {self.name} starts one, with new code"
            )
        self.feed(RestartAsked(by=str(who)))
        try:
            return await self.wait_for(lambda v: self._engine.gen > before and _has_begun(v), within_s)
        except TimeoutError:
            if self._engine.gen > before:
                what = "its new worker is still reading its code; guardctrl status tells how that ends"
            else:
                what = "its worker was killed and is not gone (stuck in the kernel, on a dead disk? see `ps`)"
            raise ExpectedError(f"{self.name}: after {within_s:g} s {what}") from None

    def follow(self, *, site: str, paths: tuple[str, ...], limits: Limits) -> None:
        """What its site says is otherwise from now on. The limits are in force at once, the rest with a new worker."""
        self._around = replace(self._around, site=site, paths=paths, limits=limits)
        self._engine.obey(limits)

    def _take(
        self, row: str, value: Any, who: Who, event: Input | None, behind: Command | None = None
    ) -> asyncio.Future[None] | None:
        before, settings = self.view, self._settings
        if event is not None:
            self.feed(event)
        self._around.audit.taken(self._write(row, value, who, before, behind=behind))
        return None if self._settings is settings else self._around.store.kept()

    def _refuse(self, row: str, value: Any, who: Who, before: View, *, why: str, behind: Command | None) -> bool:
        """Keep that it was refused; whether it is to be logged, too."""
        value = None if isinstance(value, Unreadable) else value
        return self._around.audit.refused(self._write(row, value, who, before, behind=behind, refused=why), who)

    def _write(
        self, row: str, value: Any, who: Who, before: View, *, behind: Command | None, refused: str | None = None
    ) -> dict[str, Any]:
        """The record of a write; the first step since `before` is the one that it made (R23)."""
        around, now = self._around, self.view
        made = now.event_id > before.event_id
        return write_record(
            node=self.name,
            pv=pv_name(around.pv, ifo=around.ifo, node=self.name, name=row),
            row=BY_NAME[row],
            value=value,
            who=who,
            view=before,
            id=before.event_id + 1 if made else 0,
            stamp=now.stamp if made else time.time(),
            refused=refused,
            behind=behind,
        )

    def feed(self, event: Input) -> None:
        """Tell the automaton, and do what it answers."""
        if self._over:
            return
        self.begin()
        now = Now(self._loop.time(), time.time())
        actions = self._engine.feed(event, now)
        for action in actions:
            self._do(action)
        self._durations.hear(actions, complete=self._engine.complete, now=now.mono)
        self._life.settles(failed=self.view.failed)
        self._show_process()
        self._vigil.settle()
        self._set_timer()
        self._wake_waiters()

    def on_spawner(self, event: Event) -> None:
        """The spawner tells of a process of this node."""
        worker = self._worker
        if self._checks.on_spawner(event):
            self._look_for_the_end()
        elif worker is None or worker.key != event.key:
            pass
        elif isinstance(event, Started):
            self._life.exists(event.pid)
            self._show_process()
        else:
            self._gone(worker, event)

    def _gone(self, worker: WorkerHandle, event: Exited | Failed) -> None:
        try:
            worker.close()  # what it said last counts
        finally:
            self._worker = None
            self._vigil.end()
            self._keep(self._memory.save(self._settings))
            self._look_for_the_end()
            innocent = isinstance(event, Failed) or event.forkserver_died  # no process was made, or all have died
            self.feed(Gone(gen=worker.gen, reason=self._life.ended(event.reason), innocent=innocent))

    def _look_for_the_end(self) -> None:
        if self._over and self._worker is None and not self._checks:
            self._no_processes.set()

    def tick(self, now_epoch: float) -> None:
        """Once a second: what the host itself measures."""
        if self._over:
            return
        exectime_s, now = 0.0, self._loop.time()
        if self._worker is not None:
            beat = self._worker.beat()
            exectime_s = beat.busy_s(now) or beat.last_duration_s
            self._vigil.tick(beat, now)
        self._keep(self._memory.save(self._settings))
        threads = self._vigil.threads
        if (commit := self._code.id) and commit != self._vitals.archive_id:
            self._around.sink.line(self.name, f"the code that it has loaded is archived as {commit}")
        self._post_vitals(
            heartbeat=round(now_epoch, 1),
            exectime_s=exectime_s,
            pv_total=self._pv_total,
            threads=threads,
            durations=self._durations.text(now),
            archive_id=commit,
            code_changed=self._code.changed,
        )

    def _post_vitals(self, **changes: Any) -> None:
        """Show what is otherwise now."""
        self._vitals = replace(self._vitals, **changes)
        shown = self._memory.shown(self._vitals, on=self.view.spm_monitor)
        self._around.face.post(self.name, self._publisher.vitals(shown, self.view), time.time())

    def _show_process(self) -> None:
        if self._life.process is not self._vitals.process and not self._over:
            self._post_vitals(process=self._life.process)

    def _show_threads(self) -> None:
        self._post_vitals(threads=self._vigil.threads)

    def _warn(self, text: str) -> None:
        self._around.sink.line(self.name, _one_line(text), level="WARNING")

    async def wait_for(self, condition: Callable[[View], bool], timeout_s: float | None = None) -> View:
        """The view at which `condition` became true.

        Raises
        ------
        TimeoutError
        ExpectedError
            The node has left the host meanwhile.
        """
        if condition(self.view):
            return self.view
        future: asyncio.Future[View] = self._loop.create_future()
        self._waiters.append((condition, future))
        async with asyncio.timeout(timeout_s):
            return await future

    async def end(self) -> None:
        """The node leaves the host: no worker, no PVs; its settings stay. May be asked again while it is under way.

        Raises
        ------
        ExpectedError
            Its worker does not end, not even by force.
        """
        if not self._over:
            self._over = True
            self._durations.leave()
            self._tell_end()
            if self._timer is not None:
                self._timer.cancel()
            self._around.face.close(self.name)
            for _, future in self._waiters:
                if not future.done():
                    future.set_exception(ExpectedError(f"{self.name} has left the host"))
            self._checks.end_all()
            self._vigil.end()
            self._code.forget()
            if self._worker is not None:
                self._worker.end(self._around.limits.stop_timeout_s)
            self._keep(self._memory.save(self._settings))
            self._look_for_the_end()
        try:
            async with asyncio.timeout(END_S):
                await self._no_processes.wait()
        except TimeoutError:
            raise ExpectedError(
                f"{self.name}: its worker was killed and is not gone after {END_S:g} s (stuck in the kernel, on a "
                "dead disk?). See `ps`, then remove the node again"
            ) from None
        self._around.sink.line(self.name, "the node has ended")

    # --- actions -----------------------------------------------------------------------------------------------

    def _do(self, action: Action) -> None:
        match action:
            case Step() if self._steps is not None:
                self._steps.append(action)
            case Step():
                self._publish(action)
            case Tell():
                if self._worker is not None and self._worker.gen == action.gen:
                    self._worker.send(action.command)
            case Spawn():
                self._spawn(action.gen)
            case Kill():
                if self._worker is not None and self._worker.gen == action.gen:
                    self._life.is_killed(action.why)
                    self._worker.kill()
            case Check():
                self._checks.begin(action.number)
            case GiveUpCheck():
                self._checks.give_up(action.number)
            case EndCheck():
                self._checks.end(action.number)

    def _spawn(self, gen: int) -> None:
        self._life.asked()
        self._place = (self._around.site, self._around.paths)
        self._code.paths = self._around.paths
        try:
            self._worker = self._process(f"{self.name}#{gen}", gen, self._heard, self._show_steps)
            self._vigil.begin(self._worker)
        except OSError as error:  # no descriptors left: no fault of this node, it is tried again
            reason = self._life.ended(f"not started: {error.strerror}; look at `ulimit -n`")
            self._around.wanted(f"the worker of {self.name} could not be started")
            self._loop.call_soon(self.feed, Gone(gen=gen, reason=reason, innocent=True))

    def _process(
        self,
        key: str,
        gen: int,
        report: Callable[[int, Report], None],
        told: Callable[[], None] = lambda: None,
        *,
        check: bool = False,
    ) -> WorkerHandle:
        """A process that loads the system of this node."""
        around, (site, paths) = self._around, self._place
        process = WorkerHandle(
            node=self.name,
            key=key,
            gen=gen,
            spawner=around.spawner,
            sink=around.sink,
            budget=around.log_budget,
            environ=worker_environ({"IFO": around.ifo, "SITE": site}),
            report=report,
            told=told,
            missed=(lambda: None) if check else partial(self._missed, gen),
        )
        process.send(
            Load(
                node=self.name,
                ifo=around.ifo,
                site=site,
                paths=paths,
                indices=dict(self._settings.indices),
                pv=around.pv,
                bonds=self._settings.bonds,
                archived=self._code.archived,
                channels=() if check else tuple(self._channels_met),
                setpoints=() if check else self._memory.points,
                log_level=self.view.log_level,
                check=check,
            )
        )
        return process

    def _heard(self, gen: int, report: Report) -> None:
        if not isinstance(report, _OF_CALLS):
            self._show_steps()
        elif self._steps is None:
            self._steps = []
        match report:
            case Channels():
                self._pv_total = report.total
                self._channels_met |= dict.fromkeys(report.met[: MOST_FORESEEN - len(self._channels_met)])
            case Hung():
                self.feed(Stuck(gen=gen, why=report.why))
            case Reached() | Bonds() | Setpoints() | Differences() | ThreadsWatched():
                if self._worker is not None and self._worker.gen == gen:
                    self._learn(report)
            case Sources():
                if self._worker is not None and self._worker.gen == gen and not self._over:
                    self._code.hear(gen, report)
            case _:
                if isinstance(report, (Loaded, Reloaded)):
                    self._code.good(report)
                self.feed(Heard(gen=gen, report=report))

    def _checked(self, event: CheckBegan | Checked) -> None:
        if isinstance(event, Checked) and isinstance(event.report, Loaded):
            self._code.good(event.report)
        self.feed(event)

    def _learn(self, report: Reached | Bonds | Setpoints | Differences | ThreadsWatched) -> None:
        """What the present worker tells of itself, and what is no business of the automaton."""
        match report:
            case Reached():
                self._life.reached(report.state)
                self._show_process()
            case Bonds():
                self._keep(replace(self._settings, bonds=report.bonds))
            case Setpoints() | Differences():
                self._memory.hear(report)
            case ThreadsWatched():
                self._vigil.hear(report)

    def _missed(self, gen: int) -> None:
        """Who makes workers does not tell the end of this one: it is silent, or the kernel holds the process."""
        self.feed(Stuck(gen=gen, why="it has closed its link to the host, and nobody tells its end"))

    def _show_steps(self) -> None:
        """What the calls came to that the worker has told of together: it has been told how to go on, and works."""
        steps, self._steps = iter(self._steps or ()), None
        try:
            for step in steps:
                self._publish(step)
        finally:
            for step in steps:  # where one cannot be shown, the others are
                self._publish(step)

    def _publish(self, step: Step) -> None:
        around, view = self._around, step.view
        around.face.post(self.name, self._publisher.step(step), view.stamp)
        if step.kind == "load":
            self._code.step(step)
        if step.kind == "refused":
            self._refusal = step  # the record of the write tells all of it
        elif step.kind not in _QUIET:
            self._log(step)
            around.journal.append({"node": self.name, **event_record(step)})
        self._save(step)

    def _tell_end(self) -> None:
        """Until when it was there, for the journal. No step: nothing has happened to the node."""
        end = event_record(Step(view=self.view, kind="end", text="the node ends here"))
        self._around.journal.append({"node": self.name, **end, "id": 0, "stamp": round(time.time(), 6)})

    def _log(self, step: Step) -> None:
        stamp_us = round(round(step.view.stamp, 6) * 1e6)
        sink = self._around.sink
        if step.kind == "log_level":  # that others see less, or more, from now on is said in any case
            sink.put(LogLine(stamp_us=stamp_us, node=self.name, text=_one_line(step.text)))
            sink.set_level(self.name, step.view.log_level)
        else:
            sink.line(self.name, _one_line(step.text), level=_level(step), stamp_us=stamp_us)

    def _save(self, step: Step) -> None:
        said, before = _said(self._engine.start), self._settings
        after = before if said == _said(before) else replace(before, **dict(zip(_SAID, said, strict=True)))
        stamp = step.view.stamp
        if step.kind == "request":
            after = replace(after, request_at=stamp)
        elif step.kind == "op":
            after = replace(after, op_at=stamp)
        elif step.kind == "mode":
            after = replace(after, mode_at=stamp)
        elif step.kind == "load":
            states = step.view.graph.states.values() if step.view.graph is not None else ()
            after = replace(after, indices={**before.indices, **automatic_indices(states)})
        if step.view.event_id >= before.event_id:
            after = replace(after, event_id=step.view.event_id + EVENT_BLOCK)
        self._keep(after)

    def _keep(self, settings: Settings) -> None:
        if settings is not self._settings and settings != self._settings:
            self._settings = settings
            self._around.store.save(self.name, settings)

    # --- time --------------------------------------------------------------------------------------------------

    def _set_timer(self) -> None:
        due = self._engine.deadline
        if self._timer is not None:
            if due is not None and self._timer.when() == due and not self._timer.cancelled():
                return
            self._timer.cancel()
        self._timer = None if due is None else self._loop.call_at(due, self._elapsed)

    def _elapsed(self) -> None:
        self._timer = None
        self.feed(Elapsed())

    def _wake_waiters(self) -> None:
        for waiter in list(self._waiters):
            condition, future = waiter
            if future.done():
                self._waiters.remove(waiter)
            elif condition(self.view):
                self._waiters.remove(waiter)
                future.set_result(self.view)


def _has_begun(view: View) -> bool:
    """Whether a new worker has read its code, or it is known what became of it."""
    return view.worker is not Worker.INIT or view.load_status is LoadStatus.ERROR


def _one_line(text: str) -> str:
    """A client's words, and names that user code gives, must not look like lines of ours."""
    return text.replace("\n", "\\n")


def _level(step: Step) -> str:
    if (step.kind == "load" and step.view.load_status is LoadStatus.ERROR) or (
        step.kind == "worker" and step.view.worker is Worker.DEAD
    ):
        return "ERROR"
    if step.kind == "notify" and not step.view.notifications:
        return "INFO"  # they are cleared
    if step.kind == "slow":
        return "INFO" if step.view.slow is None else "WARNING"
    return _LEVELS.get(step.kind, "INFO")
