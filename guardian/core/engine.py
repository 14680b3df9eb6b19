"""The automaton of one node: ``feed(event, now) -> actions``. Rules R1 to R25 of the design live here and below.

The automaton knows no clock and calls nobody: it is told what happened and answers with what must be done, in order.
What user code returned is an input like any other, so a whole history can be replayed without running a line of it.

Four floors, each a file: ``machine.py`` is how a node moves, ``supervision.py`` what the life of its worker process
means, ``loading.py`` how it gets new code, and this one what each input does. Which input is handled where is one table
at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from guardian.core import explain
from guardian.core.events import (
    Action,
    Began,
    Begin,
    CheckBegan,
    Checked,
    Connected,
    Elapsed,
    Gone,
    Heard,
    Input,
    Left,
    LoadAsked,
    Loaded,
    LoadFailed,
    Lost,
    Notifications,
    Now,
    Pause,
    Raised,
    Reenter,
    Refused,
    Reloaded,
    ReloadFailed,
    Reloading,
    Report,
    Requested,
    ResetFailed,
    RestartAsked,
    Resume,
    Returned,
    SetLogLevel,
    SetManager,
    SetMode,
    SetOp,
    SetSpm,
    Slow,
    Stuck,
    Subnodes,
    Verbosity,
)
from guardian.core.graph import LISTED
from guardian.core.loading import Loading
from guardian.core.settings import Going, Limits, Start
from guardian.core.supervision import Supervision
from guardian.core.view import LongCall, View, some
from guardian.enums import INIT_STATE, LEAVING, NONE_STATE, Call, ErrorKind, LoadStatus, Mode, Op, Status, Worker

__all__ = ["Engine", "Going", "Limits", "Start"]


class Engine(Loading):
    """The automaton of one node.

    Parameters
    ----------
    node : name, for the sentences. start : settings restored or default. limits : times and counts.
    """

    @property
    def view(self) -> View:
        """The node as it was last published."""
        return self._v

    @property
    def gen(self) -> int:
        """Generation of the present worker."""
        return self._life.gen

    @property
    def entry(self) -> int:
        """Number of the present stay in a state; a call of another entry is none of its."""
        return self._entry

    @property
    def watchdog_s(self) -> float:
        """Seconds that a call of the present state may last, 0: any time. The state says, else its module or site."""
        v = self._v
        said = v.graph[v.state].watchdog_s if v.graph is not None and v.state in v.graph else None
        return self._watchdog_s if said is None else said

    @property
    def calling(self) -> bool:
        """Whether the worker has to make calls now, so that its loop must turn even where no call is in progress."""
        v, stay = self._v, self._stay
        running = v.worker is Worker.RUN and v.op is Op.EXEC and v.error is not ErrorKind.ERROR
        going = stay.leaving or stay.due or stay.paced or v.status in LEAVING or v.load_status is LoadStatus.SET
        return self.watched and running and not going

    @property
    def deadline(self) -> float | None:
        """Monotonic second at which to feed ``Elapsed``, None if nothing is waited for."""
        return min(self._deadlines.values(), default=None)

    @property
    def complete(self) -> bool:
        """Whether the present stay has completed, also where that is shown by nothing, as no way leads on."""
        return self._stay.complete is True

    @property
    def start(self) -> Start:
        """The settings as they are to be stored (R21)."""
        v = self._v
        return Start(
            op=v.op,
            op_by=v.op_by,
            mode=v.mode,
            mode_by=v.mode_by,
            manager=v.manager,
            request=v.request if self._request_known else None,
            request_by=v.request_by,
            request_cmd=v.request_cmd,
            request_id=v.request_id,
            event_id=v.event_id,
            spm_monitor=self._spm_said[0],
            spm_notify=self._spm_said[1],
            log_level=self._log_level_said,
        )

    def feed(self, event: Input, now: Now) -> list[Action]:
        """Tell the automaton what happened; do what it answers, in order."""
        self._now = now
        self._actions = []
        self._INPUTS[type(event)](self, event)
        return self._actions

    # --- what people ask ---

    def _on_op(self, event: SetOp) -> None:
        before = self._v.op
        self._accept()
        self._set(op=event.op, op_by=event.by)
        text = f"OP {before.name} -> {event.op.name} by {event.by}"
        if event.op is Op.STOP:
            self._stop(text, event.by)
        elif not self._life.alive:
            self._step("op", text, by=event.by)
            if event.op is Op.EXEC or not self._waits("restart"):  # a person need not wait for the next try
                self._life.pardon()
                self._spawn()
        elif self._life.stopping or self._v.worker is Worker.INIT:
            self._life.asked_again = self._life.stopping
            self._step("op", text, by=event.by)  # Gone or Loaded will look at OP
        elif event.op is Op.PAUSE:
            if before is not Op.PAUSE:
                self._tell(Pause())
            self._set(worker=Worker.PAUSE)
            self._step("op", text, by=event.by)
        elif before is Op.PAUSE:
            self._set(worker=Worker.RUN)
            self._show_outcome()
            self._step("op", text, by=event.by)
            self._resume()
        else:
            self._step("op", text, by=event.by)

    def _on_mode(self, event: SetMode) -> None:
        self._accept()
        text = f"MODE {self._v.mode.name} -> {event.mode.name} by {event.by}"
        before = self._v.mode
        if event.mode is not before:
            self._stay.manual = None
        self._set(mode=event.mode, mode_by=event.by)
        if event.mode is Mode.AUTO:  # R24
            self._set(manager="", held=False)
        self._replan("mode", text, event.by, judged=before is not event.mode is Mode.AUTO)

    def _on_manager(self, event: SetManager) -> None:
        self._accept()
        self._set(manager=event.manager)
        self._step("manager", f"MANAGER = {event.manager!r} by {event.by}", by=event.by)

    def _on_requested(self, event: Requested) -> None:
        v = self._v
        self._accept()
        stuck = v.stalled or v.held or v.error is ErrorKind.ERROR
        same = event.state == v.request
        self._request_known = True
        self._set(request=event.state, request_id=v.request_id + 1, request_by=event.by, request_cmd=event.cmd)
        text = f"REQUEST {event.state} by {event.by}"
        if v.mode is Mode.MANUAL:  # R9
            self._set(held=False)
            self._stay.manual = None if event.state == NONE_STATE else event.state
        elif same and not stuck:  # R17
            text += f": that is asked for already, nothing to do (REENTER=1 runs {v.state} again)"
            self._step("request", text, by=event.by)
            return
        else:
            self._set(held=False)
        self._replan("request", text, event.by, after_error=True)

    def _on_reenter(self, event: Reenter) -> None:
        self._accept()
        v = self._v
        text = f"REENTER {v.state} by {event.by}"
        if v.op is Op.STOP:
            self._step("reenter", f"{text}: the node is stopped; OP=EXEC starts it", by=event.by)
        elif not self._life.alive:  # R25: a dead worker comes back in INIT
            self._step("reenter", f"{text}: a new worker starts in {INIT_STATE}", by=event.by)
            self._life.pardon()
            self._spawn()
        elif self._life.stopping:  # OP=EXEC came after OP=STOP: nothing more for a worker that ends
            self._step("reenter", f"{text}: a new worker is about to start in {INIT_STATE}", by=event.by)
        elif v.worker is Worker.PAUSE and not self._stay.due and not self._stay.leaving:
            self._stay.reenter_due = True
            self._step("reenter", f"{text}: at OP=EXEC", by=event.by)
        elif v.worker is not Worker.RUN or self._stay.due or self._stay.leaving or self._stay.paced:
            self._step("reenter", f"{text}: a state is about to be entered anyway", by=event.by)
        else:
            self._step("reenter", text, by=event.by)
            self._reenter()

    def _on_spm(self, event: SetSpm) -> None:
        """What a person has switched stays so until new code is loaded, over restarts (R21)."""
        self._accept()
        monitor, notify = self._spm_said
        texts = []
        if event.monitor is not None:
            monitor = event.monitor
            self._set(spm_monitor=monitor)
            texts.append(f"SPM_MONITOR {'on' if monitor else 'off'}")
        if event.notify is not None:
            notify = event.notify
            self._set(spm_notify=notify)
            texts.append(f"SPM_NOTIFY {'on' if notify else 'off'}")
        self._spm_said = (monitor, notify)
        self._tell_spm()
        self._step("spm", f"{' and '.join(texts)} by {event.by}", by=event.by)

    def _on_log_level(self, event: SetLogLevel) -> None:
        """What a person has said stays so, over restarts (R21)."""
        self._accept()
        self._log_level_said = event.level
        self._set(log_level=event.level)
        if self._life.alive and not self._life.stopping:
            self._tell(Verbosity(level=event.level))
        self._step("log_level", f"LOGLEVEL {event.level.name} by {event.by}", by=event.by)

    def _on_refused(self, event: Refused) -> None:
        text = f"{event.pv}={event.value} by {event.by} refused: {event.reason}"
        self._notes["refused"] = text
        self._step("refused", text, by=event.by)

    def _resume(self) -> None:
        """EXEC after PAUSE: go on with the same instance, unless something else was decided meanwhile (R10).

        Resume is told last, so that the worker makes no call of a state that is about to be left.
        """
        deferred, self._deferred = self._deferred, set()
        due, kept = self._stay.due, self._stay.kept
        error = self._v.error is ErrorKind.ERROR
        going = Going(to=None, via=Status.REDIRECT, why=f"{' and '.join(sorted(deferred))} changed under PAUSE")
        if due is not None:
            self._stay.due = None
            self._go(due)
        elif self._stay.leaving or self._stay.paced:
            pass
        elif error and "request" in deferred and self._clears_error():  # R12
            self._enter(going)
        elif deferred and not error and self._may_redirect():
            self._set(status=Status.REDIRECT)
            self._leave(going, interrupt=True)
        elif self._stay.reenter_due:
            self._stay.reenter_due = False
            self._reenter()
        elif kept is not None:
            self._stay.kept = None
            self._on_report(kept)
        elif deferred and not error:
            self._judge_again(ask=True)
        if self._dirty():
            self._step("worker", "going on")
        self._tell(Resume())

    # --- what the worker says ---

    def _on_heard(self, event: Heard) -> None:
        life = self._life
        if event.gen == life.gen and life.alive and not (life.stopping or life.stuck) and life.killed_for is None:
            self._on_report(event.report)

    def _on_report(self, report: Report) -> None:
        if isinstance(report, (Returned, Raised)) and report.entry == self._entry:
            self._call_ended()
        handler = self._REPORTS.get(type(report))
        if handler is not None:
            handler(self, report)

    def _on_began(self, report: Began) -> None:
        if report.entry == self._entry and self._v.status is Status.ENTER:
            self._set(status=Status.MAIN)
            self._step("status", "main()")

    def _stale(self, report: Returned | Raised) -> bool:
        """Words about another entry, about one that is being left (R8), or after an error (R12), do not count."""
        going = any((self._stay.leaving, self._stay.due, self._stay.paced))
        return report.entry != self._entry or going or self._v.error is ErrorKind.ERROR

    def _on_returned(self, report: Returned) -> None:
        if self._stale(report):
            return
        if report.seq and report.seq == self._stay.judging:
            self._stay.judging = 0
        if self._v.op is Op.PAUSE:
            self._stay.kept = report
            return
        if self._v.error is ErrorKind.CONNECT:
            self._connected()
        outcome = report.outcome
        where = f"{self._v.state}.{report.call.value}()"
        if isinstance(outcome, str):
            self._jump(outcome, report.call)
            return
        self._stay.complete = outcome
        if outcome and self._wanted() is not None:  # R5
            via = Status.REDIRECT if self._v.mode is Mode.MANUAL else Status.EDGE
            self._enter(Going(to=None, via=via, why=f"{where} completed"))
            return
        before = self._v.status
        self._show_outcome()
        if self._v.status is not before or self._dirty():
            self._step("status", f"{where} {'completed' if outcome else 'goes on'}")

    def _jump(self, to: str, call: Call) -> None:
        v = self._v
        if v.graph is None or to not in v.graph:  # R6
            names = list(v.graph.states) if v.graph else []
            more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
            source = v.graph[v.state].source if v.graph and v.state in v.graph else ""
            at = f" ({source})" if source else ""
            self._error(
                f"{v.state}.{call.value}(){at} returned {to!r}, which is no state of {self.node}; "
                f"its states: {', '.join(names[:LISTED])}{more}; correct the name"
            )
            return
        self._enter(Going(to=to, via=Status.JUMP, why=f"{v.state}.{call.value}() returned {to!r}"))

    def _on_raised(self, report: Raised) -> None:
        if self._stale(report):
            return
        self._stay.judging = 0  # the call that was to answer has ended, also under PAUSE
        if self._v.op is Op.PAUSE:
            self._stay.kept = report
        elif report.kind is ErrorKind.CONNECT:  # R13
            self._not_done()
            self._set(error=ErrorKind.CONNECT, connect=report.channels)
            self._await_channels()
            self._notes["connect"] = report.message
            if self._dirty():
                self._step("connect", f"{self._v.state}.{report.call.value}(): {report.message}")
        else:
            self._error(report.message)

    def _on_connected(self, report: Connected) -> None:
        """R13: the channels are back, and the method is being called again; it may take its time."""
        if report.entry == self._entry and self._v.error is ErrorKind.CONNECT:
            self._connected()
            self._step("connect", "the channels are back")

    def _error(self, message: str) -> None:
        """R12: no more user code, until someone asks for it."""
        self._notes.pop("connect", None)
        self._not_done()
        self._stay.judging = 0
        self._notes["error"] = message
        self._set(error=ErrorKind.ERROR, connect=())
        self._await_channels()
        self._step("error", message)

    def _on_left(self, report: Left) -> None:
        if report.entry != self._entry or self._stay.leaving is None:
            return
        going, self._stay.leaving = self._stay.leaving, None
        self._deadlines.pop("leave", None)
        self._enter_at_exec(going)

    def _on_slow(self, event: Slow) -> None:
        """A call that takes long is told, and harms nobody: who wants it ended has a REQUEST or STOP for that."""
        v, life = self._v, self._life
        if event.gen != life.gen or event.entry != self._entry or not self.watched:
            return
        if event.call is None:
            ended = v.slow or (self._published.slow if self._published is not None else None)
            self._call_ended()
            if self._dirty() and ended is not None:
                self._step("slow", f"{ended.method} has ended after {event.seconds:.1f} s")
            return
        method = f"{v.state}.{event.call.value}()"
        began = v.slow.since if v.slow is not None and v.slow.method == method else self._now.epoch - event.seconds
        self._set(slow=LongCall(method=method, seconds=event.seconds, since=began))
        self._notes["slow"] = explain.slow(self._v)
        self._step("slow", self._notes["slow"])

    def _on_notifications(self, report: Notifications) -> None:
        if report.texts != self._v.notifications:
            self._set(notifications=report.texts)
            text = "; ".join(report.texts)
            self._step("notify", f"notify: {text}" if text else "notifications cleared")

    def _on_lost(self, report: Lost) -> None:
        """R13: also while no call needs them. What its code does about it is the code's business."""
        if report.channels == self._v.lost:
            return
        self._set(lost=report.channels)
        self._await_channels()
        self._step("connect", f"lost: {some(report.channels)}" if report.channels else "nothing is lost any more")

    def _on_subnodes(self, report: Subnodes) -> None:
        if report.subnodes != self._v.subnodes:
            self._set(subnodes=report.subnodes)
            bad = [one.node for one in report.subnodes if not one.ok]
            self._step("subnodes", f"not OK: {', '.join(bad)}" if bad else "all subnodes are OK")

    _INPUTS: dict[type, Callable[[Engine, Any], None]] = {
        SetOp: _on_op,
        SetMode: _on_mode,
        SetManager: _on_manager,
        Requested: _on_requested,
        Reenter: _on_reenter,
        ResetFailed: Supervision._on_reset_failed,
        RestartAsked: Supervision._on_restart,
        SetSpm: _on_spm,
        SetLogLevel: _on_log_level,
        LoadAsked: Loading._on_load_asked,
        CheckBegan: Loading._on_check_began,
        Checked: Loading._on_checked,
        Refused: _on_refused,
        Begin: Supervision._on_begin,
        Elapsed: Supervision._on_elapsed,
        Gone: Supervision._on_gone,
        Stuck: Supervision._on_stuck,
        Slow: _on_slow,
        Heard: _on_heard,
    }
    _REPORTS: dict[type, Callable[[Engine, Any], None]] = {
        Loaded: Loading._on_loaded,
        LoadFailed: Loading._on_load_failed,
        Reloading: Loading._on_reloading,
        Reloaded: Loading._on_reloaded,
        ReloadFailed: Loading._on_reload_failed,
        Began: _on_began,
        Returned: _on_returned,
        Raised: _on_raised,
        Connected: _on_connected,
        Left: _on_left,
        Notifications: _on_notifications,
        Lost: _on_lost,
        Subnodes: _on_subnodes,
    }
