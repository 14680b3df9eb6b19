"""What a node is and how it moves: the view, the present stay, the plan, and the transitions between states.

Everything the world may see is one :class:`~guardian.core.view.View`; each visible change ends in one ``Step`` with a
new event id (R23). Beside it stand the private facts of the present *stay* in one state (:class:`Stay`).

At most one of ``leaving``, ``due`` and ``paced`` stands at a time. Where a transition goes is decided when it happens,
not when it was asked for: a REQUEST that comes meanwhile counts (``Going.to`` None: "the TARGET of that moment").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from guardian.core.events import Action, Command, Enter, Judge, Leave, Now, Policy, Raised, Returned, Step, Tell
from guardian.core.lifecycle import Lifecycle
from guardian.core.pace import Pace
from guardian.core.settings import Going, Limits, Start
from guardian.core.view import View
from guardian.enums import INIT_STATE, LEAVING, NONE_STATE, ErrorKind, Mode, OnComplete, Op, Status, Worker


@dataclass(slots=True)
class Stay:
    """Private facts of one stay in one state.

    Parameters
    ----------
    complete : the latest outcome; None until the first method returned.
    judging : number of the Judge that is not answered yet, 0 for none (R7).
    manual : MANUAL only: the state to enter once the present one may be left (R9).
    leaving : the worker was told to leave the state and has not answered yet (R8).
    due : nothing runs any more, this is to be entered as soon as OP allows (R8, R10).
    kept : what a method returned under PAUSE, judged at EXEC (R10).
    paced : an entering put off, because the node changes state too fast (R22).
    reenter_due : REENTER came under PAUSE.
    """

    complete: bool | None = None
    judging: int = 0
    manual: str | None = None
    leaving: Going | None = None
    due: Going | None = None
    kept: Returned | Raised | None = None
    paced: Going | None = None
    reenter_due: bool = False


#: What is dated in ``View.since``: an entry keeps its time for as long as its fact stays the same.
_SINCE: dict[str, Callable[[View], object]] = {
    "op": lambda v: v.op,
    "mode": lambda v: v.mode,
    "state": lambda v: v.state_time,
    "status": lambda v: v.status,
    "request": lambda v: v.request,
    "stalled": lambda v: v.stalled,
    "error": lambda v: v.error,
    "lost": lambda v: bool(v.lost),
    "notification": lambda v: bool(v.notifications),
    "worker": lambda v: v.worker,
    "load": lambda v: v.load_status,
    "slow": lambda v: v.slow,
}
#: What GRDMSG says, the most urgent first.
_NOTES = ("refused", "load", "worker", "error", "connect", "reload", "plan", "held", "pace", "slow", "loading")


class Machine:
    """The moving parts of the automaton. Not used by itself: see ``engine.py``."""

    def __init__(self, node: str, start: Start | None = None, limits: Limits | None = None) -> None:
        start = start or Start()
        self.node = node
        self.limits = limits or Limits()
        self._v = View(
            event_id=start.event_id,
            op=start.op,
            op_by=start.op_by,
            mode=start.mode,
            mode_by=start.mode_by,
            manager=start.manager,
            request=start.request or NONE_STATE,
            request_id=start.request_id,
            request_by=start.request_by,
            request_cmd=start.request_cmd,
            spm_monitor=bool(start.spm_monitor),
            spm_notify=bool(start.spm_notify),
            log_level=self.limits.log_level if start.log_level is None else start.log_level,
        )
        self._spm_said = (start.spm_monitor, start.spm_notify)  #: by people; None: what the module says counts
        self._spm_told = (False, False)  #: to the worker
        self._log_level_said = start.log_level  #: by people; None: what the limits say counts
        self._published: View | None = None
        self._facts: dict[str, object] = {}  #: of it, those that are dated
        self._request_known = start.request is not None
        self._life = Lifecycle(self.limits)
        self._pace = Pace(cycle_s=self.limits.cycle_s)
        self._said_redirect_s: float | None = None  #: by the module; None: the limits say
        self._said_watchdog_s: float | None = None
        self._deadlines: dict[str, float] = {}
        self._notes: dict[str, str] = {}
        self._actions: list[Action] = []
        self._now = Now(0.0, 0.0)
        self._seq = 0
        self._deferred: set[str] = set()  #: what was written while it could not be acted on: "request", "mode" (R10)
        self._entry = 0
        self._stay = Stay()

    # --- the limits ---

    def obey(self, limits: Limits) -> None:
        """Other limits are in force from now on. What is being waited for already ends when it was to end."""
        self.limits = limits
        self._life.obey(limits)

    @property
    def _redirect_timeout_s(self) -> float:
        return self._said_redirect_s or self.limits.redirect_timeout_s

    @property
    def _watchdog_s(self) -> float:
        return self.limits.watchdog_s if self._said_watchdog_s is None else self._said_watchdog_s

    # --- the plan ---

    def _plan(self) -> str:
        """TARGET: the next state of the cheapest path (R5), the present one where nothing leads on (R6, R9, R16)."""
        v = self._v
        self._notes.pop("plan", None)
        self._notes.pop("held", None)
        if v.graph is None or v.state not in v.graph:
            return v.state
        if v.mode is Mode.MANUAL:
            return self._stay.manual or v.state
        if v.request == NONE_STATE:
            return v.state
        if v.held:
            if v.state != v.request:
                self._notes["held"] = (
                    f"held in {v.state} after a jump; REQUEST={v.request} again, another REQUEST or MODE=AUTO goes on"
                )
            return v.state
        step = v.graph.step(v.state, v.request)
        if step is None:
            self._notes["plan"] = f"{self.node}: {v.graph.why_no_path(v.state, v.request)}"
            return v.state
        return step

    def _wanted(self) -> str | None:
        """The state to go to when the present one completes, None to stay."""
        if self._v.mode is Mode.MANUAL:
            return self._stay.manual
        return self._v.target if self._v.target != self._v.state else None

    def _policy(self) -> OnComplete:
        return OnComplete.KEEP if self._wanted() is None else OnComplete.WAIT

    def _may_redirect(self) -> bool:
        """R8: whether the present state may be left without waiting for its completion."""
        v, to = self._v, self._wanted()
        if to is None or v.graph is None or v.state == INIT_STATE or not v.graph[v.state].redirect:
            return False
        return v.mode is Mode.MANUAL or v.graph.is_goto(to)

    def _clears_error(self) -> bool:
        """R12: whether a REQUEST leads out of an ERROR: its first step is a redirect, or MODE is MANUAL."""
        return self._wanted() is not None and (self._v.mode is Mode.MANUAL or self._may_redirect())

    def _replan(self, kind: str, text: str, by: str, *, judged: bool = True, after_error: bool = False) -> None:
        """REQUEST or MODE changed the plan: say so at once (R7), and go or have the worker judge.

        ``judged`` False: a redirect is judged only if TARGET has changed with the plan (R8).
        """
        before = self._v.target
        self._set(target=self._plan())
        v = self._v
        judged = judged or v.target != before
        if v.worker is not Worker.RUN or v.op is not Op.EXEC or self._life.stopping:  # R10: judged at EXEC
            if judged:
                self._deferred.add(kind)
            if v.worker is Worker.PAUSE and not self._life.stopping:
                self._judge_again(ask=False)
            self._step(kind, text, by=by)
        elif self._stay.leaving or self._stay.due or self._stay.paced:  # on the way: the TARGET of that moment counts
            if self._stay.leaving and self._stay.leaving.to is not None and self._may_redirect():
                self._stay.leaving = Going(to=None, via=Status.REDIRECT, why=text)
            self._show_outcome()
            self._step(kind, text, by=by)
        elif v.error is ErrorKind.ERROR:  # R12
            self._show_outcome()
            self._step(kind, text, by=by)
            if after_error and self._clears_error():
                self._enter(Going(to=None, via=Status.REDIRECT, why=text))
        elif judged and self._may_redirect():
            self._set(status=Status.REDIRECT)
            self._leave(Going(to=None, via=Status.REDIRECT, why=text), interrupt=True)
            self._step(kind, text, by=by)
        else:
            self._judge_again(ask=True)
            self._show_outcome()
            self._step(kind, text, by=by)

    def _judge_again(self, *, ask: bool) -> None:
        """Tell the worker the policy of the new plan; ``ask``: it is to call run() now and answer (R7)."""
        self._tell(Policy(entry=self._entry, on_complete=self._policy()))
        if ask and not self._stay.judging:
            self._seq += 1
            self._stay.judging = self._seq
            self._tell(Judge(entry=self._entry, seq=self._seq))

    def _show_outcome(self) -> None:
        """R4: DONE is the latest outcome at the requested state, nothing else."""
        v = self._v
        if v.status in LEAVING:
            return
        if self._stay.complete is not None:
            done = self._stay.complete and v.state == v.request
            self._set(status=Status.DONE if done else Status.RUN)
        elif v.status is Status.DONE and v.state != v.request:
            self._set(status=Status.RUN)

    # --- transitions ---

    def _forget_entry(self, *, keep_manual: bool = False) -> None:
        """The present stay counts no more. ``keep_manual``: but for the state MANUAL waits to enter."""
        self._stay = Stay(manual=self._stay.manual if keep_manual else None)
        for name in ("leave", "pace"):
            self._deadlines.pop(name, None)
        self._call_ended()
        if not self._v.lost:
            self._deadlines.pop("connect", None)

    def _leave(self, going: Going, *, interrupt: bool) -> None:
        self._stay.leaving = going
        self._stay.judging = 0
        self._stay.kept = None
        if interrupt:
            self._deadlines["leave"] = self._now.mono + self._redirect_timeout_s
        self._tell(Leave(entry=self._entry, interrupt=interrupt))

    def _reenter(self) -> None:
        v = self._v
        going = Going(to=v.state, via=None, why="REENTER")
        if v.error is ErrorKind.ERROR:
            self._enter(going)
        else:
            protected = v.graph is not None and not v.graph[v.state].redirect
            self._leave(going, interrupt=not protected)

    def _go(self, going: Going) -> None:
        """Enter what was put off; an edge that the plan does not want any more is not taken: the state goes on."""
        if going.via is Status.EDGE and self._wanted() is None:
            self._judge_again(ask=True)
        else:
            self._enter(going)

    def _enter_at_exec(self, going: Going) -> None:
        """Enter a state now, or when OP is EXEC again (R10)."""
        if self._v.op is Op.EXEC:
            self._enter(going)
        else:
            self._stay.due = going

    def _enter(self, going: Going) -> None:
        """Enter a state now, or put it off where the node changes state too fast (R22)."""
        wait_s = self._pace.hold_s(self._now.mono)
        if wait_s > 0:
            if "pace" not in self._notes:
                self._notes["pace"] = "changes state too fast (two states jumping at each other?): one change a cycle"
                self._step("pace", self._notes["pace"])
            self._forget_entry(keep_manual=True)
            self._stay.paced = going
            self._deadlines["pace"] = self._now.mono + wait_s
            return
        if not self._pace.pacing:
            self._notes.pop("pace", None)
        to = self._destination(going)
        before = self._v.state
        # R9: a start or a REENTER does not carry out what MANUAL was asked for, nor withdraw it
        self._forget_entry(keep_manual=going.via is None and self._stay.manual != to)
        self._deferred.clear()
        self._entry += 1
        self._pace.entered(self._now.mono)
        for note in ("refused", "error", "connect"):
            self._notes.pop(note, None)
        self._set(
            state=to,
            state_time=self._now.epoch,
            status=Status.ENTER,
            error=ErrorKind.NONE,
            connect=(),
            known=True,
        )
        self._await_channels()
        if going.via is Status.JUMP and (self._v.mode is not Mode.AUTO or self._v.request == NONE_STATE):
            self._set(held=True)  # R6
        self._set(target=self._plan())
        jumped_over = going.via is Status.JUMP and self._may_redirect()  # R8: even before main()
        if not jumped_over:
            self._tell(Enter(entry=self._entry, state=to, on_complete=self._policy()))
        how = "" if going.via is None else f"{going.via.name}: {before} -> "
        self._step("enter", f"{how}{to} ({self._v.index(to)}), target {self._v.target}: {going.why}", via=going.via)
        if jumped_over:
            self._enter(
                Going(to=None, via=Status.REDIRECT, why=f"on arrival by a jump, the way leads to {self._v.target}")
            )

    def _destination(self, going: Going) -> str:
        """Where a transition leads, as things are now.

        A redirect that is none any more (REQUEST was changed while the state was being left) enters the state anew that
        it has interrupted: that state has not completed, so no edge may be taken from it.
        """
        v, wanted = self._v, self._wanted()
        if going.to is not None or wanted is None:
            return going.to or v.state
        lost = going.via is Status.REDIRECT and v.mode is not Mode.MANUAL and v.graph and not v.graph.is_goto(wanted)
        return v.state if lost else wanted

    # --- small tools ---

    def _call_ended(self) -> None:
        """Whatever took long, it does so no more."""
        self._notes.pop("slow", None)
        self._set(slow=None)

    def _not_done(self) -> None:
        """A call that raised leaves no outcome behind, so DONE does not stand (R4, R12)."""
        self._stay.complete = None
        if self._v.status is Status.DONE:
            self._set(status=Status.RUN)

    def _connected(self) -> None:
        """Nobody waits for a channel any more (R13)."""
        self._notes.pop("connect", None)
        self._set(error=ErrorKind.NONE, connect=())
        self._await_channels()

    def _await_channels(self) -> None:
        """It is worth an alarm when channels have been missing for some time, also if the code goes on without."""
        if not self._v.disconnected:
            self._deadlines.pop("connect", None)
            self._set(overdue=False)
        elif not self._v.overdue:
            self._deadlines.setdefault("connect", self._now.mono + self.limits.connect_alarm_s)

    def _accept(self) -> None:
        self._notes.pop("refused", None)

    def _set(self, **changes: Any) -> None:
        self._v = replace(self._v, **changes)

    def _tell(self, command: Command) -> None:
        self._actions.append(Tell(gen=self._life.gen, command=command))

    def _message(self) -> str:
        standing = [self._notes[n] for n in _NOTES if n in self._notes]
        return " | ".join(standing[:2])

    def _reason(self) -> str:
        """The most urgent word about the node itself."""
        return next((self._notes[n] for n in _NOTES if n in self._notes and n != "refused"), "")

    def _dirty(self) -> bool:
        """Whether the view differs from the last one published, its number and time aside."""
        return replace(self._v, message=self._message(), reason=self._reason()) != self._published

    def _step(self, kind: str, text: str, *, by: str = "", via: Status | None = None) -> None:
        """Give the step its number and time (R23), and hand it out."""
        now, v = self._now.epoch, self._v
        before, self._facts = self._facts, {name: fact(v) for name, fact in _SINCE.items()}
        since = {name: v.since[name] if before.get(name, ...) == fact else now for name, fact in self._facts.items()}
        if v.slow is not None:
            since["slow"] = v.slow.since  # it began long before it was told
        self._v = self._published = replace(
            v, event_id=v.event_id + 1, stamp=now, message=self._message(), reason=self._reason(), since=since
        )
        self._actions.append(Step(view=self._v, kind=kind, text=text, by=by, via=via))
