"""What the life and death of the worker process mean for the node: start, load, STOP, kill, restart (R1, R8, R10, R12,
R21, R25). Which process lives, and how often it died, is kept in ``lifecycle.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from guardian.core.deaths import Verdict, told
from guardian.core.events import (
    Begin,
    Elapsed,
    Gone,
    Loaded,
    LoadFailed,
    Pause,
    ResetFailed,
    RestartAsked,
    Spawn,
    Stop,
    Stuck,
    Tell,
    Watch,
)
from guardian.core.graph import Graph, SystemFacts
from guardian.core.machine import Machine
from guardian.core.settings import Going
from guardian.core.view import some
from guardian.enums import INIT_STATE, NONE_STATE, ErrorKind, LoadStatus, Op, Status, Worker
from guardian.errors import GraphError

_STOP = Stop()


class Supervision(Machine):
    """A machine that has a worker process. Not used by itself: see ``engine.py``."""

    def _on_begin(self, _event: Begin) -> None:
        self._spawn()

    def _spawn(self, after_kill: Going | None = None) -> None:
        """Start a worker. It begins in INIT (R25), but for the one after a redirect's kill (R8)."""
        for name in ("restart", "stop"):
            self._deadlines.pop(name, None)
        self._notes.pop("worker", None)
        self._notes.pop("load", None)
        self._forget_entry(keep_manual=True)  # asked for since the last worker ended (R9, R10)
        self._stay.due = after_kill
        gen = self._life.spawn(self._now.mono)
        self._spm_told = (False, False)
        self._notes.pop("error", None)
        self._connected()
        self._set(
            worker=Worker.INIT,
            load_status=LoadStatus.INPROGRESS,
            failed=False,
            known=True,
            notifications=(),
            subnodes=(),
        )
        if after_kill is None:
            self._set(state=INIT_STATE, status=Status.INIT, held=False)
            self._set(target=self._plan(), state_time=self._now.epoch)
        self._actions.append(Spawn(gen=gen))
        self._step("worker", f"worker {gen} starts")

    def _on_loaded(self, report: Loaded) -> None:
        if self._v.worker is not Worker.INIT:
            return
        facts = report.facts
        try:
            graph = Graph.build(facts.states, facts.edges)
        except GraphError as error:
            self._on_load_failed(LoadFailed(reason=str(error)))
            return
        self._adopt(facts, graph)
        text = self._loaded_text(facts, graph) + self._settle_request(facts, graph)
        if self._v.state not in graph:
            self._stay.due = None
            self._set(state=INIT_STATE, status=Status.INIT)
        going = self._stay.due or Going(to=INIT_STATE, via=None, why="start")
        self._stay.due = None
        self._set(target=self._plan())
        if self._v.op is Op.STOP:  # R1: loaded once for its graph
            self._step("load", text)
            self._end_worker()
            self._set(known=False)
            self._step("worker", "stopped, as stored: OP=EXEC starts it")
        elif self._v.op is Op.PAUSE:
            self._stay.due = going
            self._set(worker=Worker.PAUSE)
            self._tell(Pause())
            self._step("load", text)
        else:
            self._set(worker=Worker.RUN)
            self._step("load", text)
            self._enter(going)

    def _adopt(self, facts: SystemFacts, graph: Graph) -> None:
        """The code that was read is in force."""
        self._said_redirect_s = facts.redirect_timeout_s
        self._said_watchdog_s = facts.watchdog_s
        self._set(
            graph=graph,
            nominal=facts.nominal,
            load_status=LoadStatus.DONE,
            load_time=self._now.epoch,
            load_error="",
        )
        monitor, notify = self._spm_said
        self._set(
            spm_monitor=facts.ca_monitor if monitor is None else monitor,
            spm_notify=facts.ca_monitor_notify if notify is None else notify,
        )
        self._tell_spm()

    def _tell_spm(self) -> None:
        """The worker is to watch its set points as the switches say; a new one has both off."""
        switches = (self._v.spm_monitor, self._v.spm_notify)
        if self._life.alive and not self._life.stopping and switches != self._spm_told:
            self._spm_told = switches
            self._tell(Watch(monitor=switches[0], notify=switches[1]))

    def _loaded_text(self, facts: SystemFacts, graph: Graph) -> str:
        return f"loaded {facts.module}: {len(graph.states)} states" + "".join(f"; {w}" for w in facts.warnings)

    def _settle_request(self, facts: SystemFacts, graph: Graph) -> str:
        """R1, R21: the module's request where nobody has asked yet; NONE where the request is gone."""
        wish = self._v.request if self._request_known else facts.request or NONE_STATE
        self._request_known = True
        gone = wish != NONE_STATE and wish not in graph
        self._set(request=NONE_STATE if gone else wish, request_cmd="" if gone else self._v.request_cmd)
        if self._stay.manual is not None and self._stay.manual not in graph:
            self._stay.manual = None
        return f"; REQUEST {wish} is no state any more, taken as {NONE_STATE}" if gone else ""

    def _on_load_failed(self, report: LoadFailed) -> None:
        if self._v.worker is not Worker.INIT:
            return
        self._notes["load"] = report.reason
        self._life.load_failed = True
        self._forget_entry()
        self._connected()
        self._set(load_status=LoadStatus.ERROR, load_error=report.reason, error=ErrorKind.ERROR, known=False)
        self._end_worker()
        self._step("load", f"load failed: {report.reason}")

    def _stop(self, text: str, by: str) -> None:
        """R10: interrupt, and kill what has not ended in time."""
        self._let_go()
        if self._life.alive:
            self._end_worker()
        else:
            self._set(worker=Worker.STOP)
        self._step("op", text, by=by)

    def _on_restart(self, event: RestartAsked) -> None:
        """STOP and EXEC in one: the worker ends as at STOP, a new one starts in INIT (R25), the settings stay."""
        if self._v.op is Op.STOP:
            return
        self._accept()
        life = self._life
        self._let_go()
        if life.alive:
            life.asked_again = life.stopping
            self._end_worker()
            self._step("worker", f"restart by {event.by}: worker {life.gen} ends, a new one follows", by=event.by)
        else:
            self._step("worker", f"restart by {event.by}: a new worker starts", by=event.by)
            self._spawn()

    def _let_go(self) -> None:
        """What the worker did, and what was to follow its death, does not count any more."""
        self._forget_entry()
        self._deferred.clear()
        self._deadlines.pop("restart", None)
        self._notes.pop("worker", None)
        self._life.pardon()
        self._set(known=False, failed=False)

    def _end_worker(self) -> None:
        if not self._life.stopping:
            self._life.stopping = True
            self._actions.append(Tell(gen=self._life.gen, command=_STOP))
            self._deadlines["stop"] = self._now.mono + self.limits.stop_timeout_s

    def _on_gone(self, event: Gone) -> None:
        if event.gen != self._life.gen or not self._life.alive:
            return
        life = self._life
        ended = life.ended(self._now.mono, innocent=event.innocent)
        killed_for, life.killed_for = life.killed_for, None
        for name in ("stop", "leave", "pace", "connect"):
            self._deadlines.pop(name, None)
        self._set(lost=(), overdue=False)  # the next worker finds out for itself
        if ended.load_failed and self._v.op is not Op.STOP and not ended.asked_again:
            self._set(worker=Worker.STOP)
            self._step("worker", "no worker: mend the code, then LOAD=1 reads it")
        elif ended.stopping and self._v.op is Op.STOP:
            self._set(worker=Worker.STOP, known=False, notifications=())
            if self._v.error is ErrorKind.CONNECT:
                self._connected()
            self._step("worker", f"worker {event.gen} stopped: {event.reason}")
        elif ended.stopping:
            self._spawn()
        elif killed_for is not None:
            self._spawn(killed_for if killed_for.via is Status.REDIRECT else None)
        elif ended.verdict is not None:
            reason = f"{life.stuck}; {event.reason}" if life.stuck else event.reason
            self._died(reason, ended.verdict)

    def _on_stuck(self, event: Stuck) -> None:
        """A worker that has hung is no use to anybody: it is killed, and what follows is what follows a death (R12)."""
        if event.gen == self._life.gen and self.watched:
            self._set(known=False)  # until it is gone, which may take long if the kernel holds it
            self._kill(event.why)
            self._life.stuck = event.why

    @property
    def watched(self) -> bool:
        """Whether there is a worker that nobody is ending already: by STOP, a redirect's deadline, or as hung."""
        life = self._life
        ending = life.stopping or life.stuck or life.killed_for is not None or self._waits("leave")
        return life.alive and not ending

    def _died(self, reason: str, verdict: Verdict) -> None:
        """R12: the node says so at once, and the worker comes back, as the policy of the site says."""
        self._forget_entry()
        text = f"worker died: {reason}{told(verdict, self.limits.restarting)}"
        if verdict.give_up:
            text += f". See the log for the cause, then `guardctrl reset-failed {self.node}` starts it"
        else:
            self._deadlines["restart"] = self._now.mono + verdict.delay_s
        self._notes["worker"] = text
        self._set(worker=Worker.DEAD, known=False, failed=verdict.give_up, notifications=(), overdue=False)
        self._step("worker", text)

    def _on_reset_failed(self, event: ResetFailed) -> None:
        """A node that was given up gets a new worker, and its past is forgotten. Nothing else is touched."""
        if self._v.failed:
            self._accept()
            self._life.pardon()
            self._step("worker", f"RESET_FAILED by {event.by}: a new worker starts", by=event.by)
            self._spawn()

    # --- deadlines ---

    def _waits(self, name: str) -> bool:
        return name in self._deadlines

    def _on_elapsed(self, _event: Elapsed) -> None:
        for name in [n for n, due in self._deadlines.items() if due <= self._now.mono]:
            if self._deadlines.pop(name, None) is not None:
                self._DEADLINES[name](self)

    def _stop_overdue(self) -> None:
        self._kill(f"did not end within {self.limits.stop_timeout_s:g} s of STOP")

    def _leave_overdue(self) -> None:
        going = self._stay.leaving
        why = f"{self._v.state} did not end within {self._redirect_timeout_s:g} s of a redirect"
        self._life.killed_for = going
        self._kill(why)

    def _kill(self, why: str) -> None:
        if self._life.stuck:  # it is being killed, and counted, already
            return
        self._actions.append(self._life.kill(why))
        self._set(kills=self._v.kills + 1)
        self._step("worker", f"worker {self._life.gen} killed: {why}")

    def _restart(self) -> None:
        self._set(restarts=self._v.restarts + 1)
        self._spawn()

    def _pace_over(self) -> None:
        going, self._stay.paced = self._stay.paced, None
        if going is None:
            return
        if self._v.op is Op.EXEC:
            self._go(going)
        else:
            self._stay.due = going

    def _connect_overdue(self) -> None:
        self._set(overdue=True)
        self._step("connect", f"channels lost for {self.limits.connect_alarm_s:g} s: {some(self._v.missing)}")

    _DEADLINES: dict[str, Callable[[Any], None]] = {
        "stop": _stop_overdue,
        "leave": _leave_overdue,
        "restart": _restart,
        "pace": _pace_over,
        "connect": _connect_overdue,
    }
