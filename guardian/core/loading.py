"""LOAD: reading new code into a running node, so that nothing bad gets in and nothing good is lost (R11).

=============  =======================================================================================
LOAD_STATUS    what happens
=============  =======================================================================================
REQUEST        somebody has written LOAD=1; the check waits for its turn
INPROGRESS     a process of its own imports the new code, while the old code runs on
SET            the new code is good; the worker imports it at the next boundary between two methods
DONE           it runs: the new graph is in force, the living instance has the new class
ERROR          it is bad, or the present STATE or REQUEST is gone: the old code runs on
=============  =======================================================================================

A LOAD that comes while another is under way means one more reading after it, because the code may have changed since
it was read; ten of them mean one more. A new worker reads the code anyway and so ends what is under way. Without a
worker there is nothing to exchange: a stopped node learns its new graph from the check alone, one whose code did not
load or whose worker died too often gets a new worker (R25).

An import that takes too long is given up, in whichever process it runs: it is interrupted, and so fails and says in
which line it was. What cannot be interrupted is killed.
"""

from __future__ import annotations

from dataclasses import replace

from guardian.core.deaths import Verdict
from guardian.core.events import (
    Check,
    CheckBegan,
    Checked,
    EndCheck,
    GiveUp,
    GiveUpCheck,
    LoadAsked,
    Loaded,
    LoadFailed,
    Reload,
    Reloaded,
    ReloadFailed,
    Reloading,
)
from guardian.core.graph import Graph, SystemFacts
from guardian.core.settings import Going
from guardian.core.supervision import Supervision
from guardian.enums import INIT_STATE, NONE_STATE, ErrorKind, LoadStatus, Op, Status, Worker
from guardian.errors import GraphError

_UNDER_WAY = frozenset({LoadStatus.REQUEST, LoadStatus.INPROGRESS, LoadStatus.SET})


class Loading(Supervision):
    """A machine that can exchange its code. Not used by itself: see ``engine.py``."""

    _check = 0  #: number of the check under way
    _checks = 0  #: how many there were
    _load_again = False  #: LOAD came while one was under way
    _checked: tuple[SystemFacts, Graph] | None = None  #: what the worker was told to read (SET)

    def _on_load_asked(self, event: LoadAsked) -> None:
        self._accept()
        v, text = self._v, f"LOAD by {event.by}"
        if self._check or v.load_status is LoadStatus.SET:
            self._load_again = True
            self._step("load", f"{text}: the code is read once more after the load that is under way", by=event.by)
        elif self._life.alive and not self._life.stopping and v.worker is Worker.INIT:
            self._load_again = True
            self._step("load", f"{text}: the code is read once more when the worker has loaded it", by=event.by)
        elif v.op is Op.STOP:
            self._begin_check(text, event.by)
        elif self._life.alive and self._life.stopping:
            self._life.asked_again = True
            self._spm_said = (None, None)
            self._step("load", f"{text}: a new worker is about to read the code", by=event.by)
        elif self._life.alive:
            self._begin_check(text, event.by)
        else:  # R25: dead, or without code
            self._spm_said = (None, None)
            self._step("load", f"{text}: a new worker starts in {INIT_STATE}", by=event.by)
            self._life.pardon()
            self._spawn()

    # --- the check -------------------------------------------------------------------------------------------------

    def _begin_check(self, text: str, by: str) -> None:
        self._load_again = False
        self._set(load_status=LoadStatus.REQUEST)
        self._step("load", text, by=by)
        self._checks += 1
        self._check = self._checks
        self._actions.append(Check(number=self._check))

    def _on_check_began(self, event: CheckBegan) -> None:
        if event.number != self._check:
            return
        self._limit_import(self.limits.load_timeout_s)
        self._set(load_status=LoadStatus.INPROGRESS)
        self._step("load", "a process of its own reads the new code; the old code runs on")

    def _end_check(self) -> None:
        if self._check:
            self._actions.append(EndCheck(number=self._check))
        self._check = 0
        self._import_over()

    def _on_checked(self, event: Checked) -> None:
        if event.number != self._check:
            return
        self._end_check()
        if isinstance(event.report, LoadFailed):
            self._refuse_code(event.report.reason)
            return
        facts = event.report.facts
        try:
            graph = Graph.build(facts.states, facts.edges)
        except GraphError as error:
            self._refuse_code(str(error))
            return
        if self._v.op is Op.STOP or not self._life.alive or self._life.stopping:
            self._adopt_stopped(facts, graph)
        elif why := self._why_not(graph):
            self._refuse_code(why)
        else:
            self._checked = facts, graph
            self._set(load_status=LoadStatus.SET)
            self._tell(Reload())
            self._notes["loading"] = (
                f"the new code is good, and is read as soon as {self._v.state} has no method running"
            )
            self._step("load", "the new code is good; it is read between two methods")

    def _why_not(self, graph: Graph) -> str:
        """The sentence that says why this node cannot go on with that graph, "" if it can."""
        v = self._v
        for what, name in (("STATE", v.state), ("REQUEST", v.request)):
            if name not in graph and name != NONE_STATE:
                return (
                    f"{what} is {name}, which the new code does not have. Request another state first, or keep {name}"
                )
        return ""

    def _refuse_code(self, reason: str) -> None:
        """The old code runs on, and says so."""
        self._checked = None
        self._notes.pop("loading", None)
        kept = "; the old code runs on" if self._v.worker in (Worker.RUN, Worker.PAUSE) else ""
        self._notes["reload"] = f"LOAD failed{kept}: {reason}"
        self._set(load_status=LoadStatus.ERROR, load_error=reason)
        self._step("load", self._notes["reload"])
        self._load_once_more()

    def _load_once_more(self) -> None:
        if self._load_again:
            self._begin_check("LOAD came meanwhile", "")

    # --- an import that does not end -----------------------------------------------------------------------------

    def _limit_import(self, limit_s: float) -> None:
        self._deadlines["load"] = self._now.mono + limit_s

    def _import_over(self) -> None:
        for name in ("load", "given up"):
            self._deadlines.pop(name, None)

    def _import_overdue(self) -> None:
        if self._check:
            self._actions.append(GiveUpCheck(number=self._check))
        else:
            self._tell(GiveUp())
        self._deadlines["given up"] = self._now.mono + self.limits.stop_timeout_s

    def _import_stuck(self) -> None:
        """It cannot even be interrupted: it is in C code, or the interrupt is swallowed."""
        reason = f"{self.node}: its import takes too long and cannot be interrupted; the log has where it stood"
        if self._check:
            self._end_check()
            self._refuse_code(reason)
        elif self._v.worker is Worker.INIT:
            self._on_load_failed(LoadFailed(reason=reason))
        else:
            self._kill(reason)

    # --- a new worker reads the code anyway ------------------------------------------------------------------------

    def _spawn(self, after_kill: Going | None = None) -> None:
        self._forget_load()
        super()._spawn(after_kill)
        self._limit_import(self.limits.start_timeout_s)

    def _forget_load(self) -> None:
        """What is under way does not count any more: it never ended, so what was loaded last is in force."""
        self._end_check()
        self._load_again, self._checked = False, None
        for note in ("reload", "loading"):
            self._notes.pop(note, None)
        if self._v.load_status in _UNDER_WAY:
            self._set(load_status=LoadStatus.DONE)

    def _on_loaded(self, report: Loaded) -> None:
        self._import_over()
        super()._on_loaded(report)
        if self._v.load_status is LoadStatus.DONE:
            self._load_once_more()

    def _on_load_failed(self, report: LoadFailed) -> None:
        self._import_over()
        super()._on_load_failed(report)
        if self._life.load_failed and self._load_again:
            self._load_again = False
            self._life.asked_again = True

    def _stop(self, text: str, by: str) -> None:
        """The worker ends before it has exchanged its code: as if the node had been stopped already."""
        if self._checked is not None:
            self._adopt_stopped(*self._checked)
        if not self._check:
            self._import_over()
        super()._stop(text, by)

    def _died(self, reason: str, verdict: Verdict) -> None:
        self._forget_load()
        super()._died(reason, verdict)

    # --- the exchange ----------------------------------------------------------------------------------------------

    def _on_reloading(self, _report: Reloading) -> None:
        if self._v.load_status is LoadStatus.SET:
            self._limit_import(self.limits.load_timeout_s)

    def _on_reload_failed(self, report: ReloadFailed) -> None:
        self._import_over()
        if self._v.load_status is LoadStatus.SET:
            self._refuse_code(report.reason)

    def _on_reloaded(self, report: Reloaded) -> None:
        if self._v.load_status is not LoadStatus.SET:
            return
        self._import_over()
        facts = report.facts
        try:
            graph = Graph.build(facts.states, facts.edges)
        except GraphError as error:  # the files have changed since they were checked
            self._refuse_code(str(error))
            return
        text = self._take_code(facts, graph) + self._left_behind(report.left)
        if self._v.state not in graph:  # entered while the code was exchanged
            lost = self._v.state
            self._set(state=INIT_STATE, status=Status.INIT)
            self._set(target=self._plan())
            self._step("load", text)
            self._enter_at_exec(Going(to=INIT_STATE, via=None, why=f"the new code has no {lost}, where the node was"))
        elif self._v.error is ErrorKind.ERROR:  # R12
            self._set(target=self._plan())
            self._step("load", text)
            if self._v.op is Op.PAUSE:
                self._stay.reenter_due = True
            else:
                self._reenter()
        else:
            self._replan("load", text, "", judged=False)
        self._load_once_more()

    def _adopt_stopped(self, facts: SystemFacts, graph: Graph) -> None:
        """A stopped node: its menu and its graph are those of the new code, which OP=EXEC will run."""
        text = self._take_code(facts, graph)
        if self._v.state not in graph:
            self._set(state=INIT_STATE, status=Status.INIT)
        self._set(target=self._plan())
        self._step("load", f"{text}; OP=EXEC runs it")
        self._load_once_more()

    def _take_code(self, facts: SystemFacts, graph: Graph) -> str:
        for note in ("load", "reload", "loading"):
            self._notes.pop(note, None)
        self._checked = None
        self._spm_said = (None, None)
        self._adopt(facts, graph)
        stay = self._stay
        for name in ("leaving", "due", "paced"):
            going = getattr(stay, name)
            if going is not None and going.to is not None and going.to not in graph:
                setattr(stay, name, replace(going, to=None))
        return self._loaded_text(facts, graph) + self._settle_request(facts, graph)

    def _left_behind(self, left: tuple[str, ...]) -> str:
        return f"; left behind by the old code, until the worker ends: {', '.join(left)}" if left else ""

    _DEADLINES = {**Supervision._DEADLINES, "load": _import_overdue, "given up": _import_stuck}
