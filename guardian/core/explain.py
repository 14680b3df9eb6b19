"""OK, ACTIVE, the alarm a node deserves, and why it is not OK: in sentences (R15).

One table of terms says what OK means. OK is "every term holds"; WHY reads the first terms that do not, so the
lamp and the sentence cannot disagree. Each sentence says what is wrong, since when (UTC), and what to do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import TypeVar

from guardian.core.texts import BECAUSE
from guardian.core.view import View, some
from guardian.core.when import clock
from guardian.enums import (
    ALIVE,
    FOLLOWS_GRAPH,
    INIT_STATE,
    NONE_STATE,
    ErrorKind,
    LoadStatus,
    Mode,
    Op,
    Severity,
    Status,
    Worker,
)

T = TypeVar("T")
#: Subordinates whose reasons are told.
OTHERS = 3
#: Goto states that are named as a way out.
WAYS = 2


@dataclass(frozen=True, slots=True)
class Term:
    """One condition of OK. ``since``: which of ``View.since`` dates its failing. ``active``: ACTIVE needs it too.

    ``ok`` False: ACTIVE alone needs it; an empty sentence is none. ``others``: it may fail because another node is not
    as it should be.
    """

    holds: Callable[[View], bool]
    sentence: Callable[[View], str]
    since: str
    active: bool = False
    ok: bool = True
    others: bool = False


def _by(who: str) -> str:
    return f" by {who}" if who else ""


def _stalled(v: View) -> str:
    if not v.held:
        return f"STALLED in {v.state}, request {v.request}: {v.reason}"
    manager = f" (managed by {v.manager})" if v.mode is Mode.MANAGED and v.manager else ""
    wanted = v.nominal or v.request
    again = " again" if v.request == wanted else ""
    return f"STALLED in {v.state} after a jump, request {v.request}{manager}; write REQUEST={wanted}{again}"


def _elsewhere(v: View) -> str:
    if v.request == NONE_STATE:
        return f"no state is requested, it rests in {v.state}; write REQUEST={v.nominal}"
    return f"REQUEST is {v.request}{_by(v.request_by)}, nominal is {v.nominal}; write REQUEST={v.nominal}"


def slow(v: View) -> str:
    """What takes so long, and what would end it; "" if nothing does."""
    return f"{v.slow}; it waits or is busy, and {_way_out(v)}" if v.slow else ""


def _way_out(v: View) -> str:
    """What interrupts the call in progress."""
    free = v.graph is not None and v.state in v.graph and v.state != INIT_STATE and v.graph[v.state].redirect
    gotos = tuple(name for name in v.graph.states if v.graph.is_goto(name) and name != v.state) if v.graph else ()
    if free and v.mode not in FOLLOWS_GRAPH:
        return "any other REQUEST interrupts it"
    return f"REQUEST={' or '.join(gotos[:WAYS])} interrupts it" if free and gotos else "OP=STOP ends it"


def _not_loaded(v: View) -> str:
    running = v.worker in ALIVE - {Worker.INIT}
    return "its new code does not load, the old code runs on" if running else "its code does not load"


def _no_worker(v: View) -> str:
    if v.worker is Worker.INIT:
        return "starting: its code is being loaded"
    if v.worker in ALIVE:
        return "its worker is ending, then a new one starts"
    return "no worker; write OP=EXEC"


TERMS = (
    Term(
        lambda v: not v.failed,  # it comes first: EXEC after PAUSE would not go on
        lambda v: v.reason,
        "worker",
        active=True,
    ),
    Term(
        lambda v: v.op is Op.EXEC,
        lambda v: f"{'stopped' if v.op is Op.STOP else 'paused'}{_by(v.op_by)}; write OP=EXEC",
        "op",
        active=True,
    ),
    Term(
        lambda v: v.load_status is not LoadStatus.ERROR,
        lambda v: f"{_not_loaded(v)}: {v.load_error}. Mend it, then write LOAD=1",
        "load",
        active=True,
        ok=False,
    ),
    Term(
        lambda v: v.worker is not Worker.DEAD,
        lambda v: v.reason,
        "worker",
        active=True,
    ),
    Term(
        lambda v: v.known and v.graph is not None and v.worker in ALIVE - {Worker.INIT},
        _no_worker,
        "worker",
        active=True,
    ),
    Term(lambda v: v.load_status is LoadStatus.DONE, lambda v: "", "load", active=True, ok=False),
    Term(
        lambda v: v.error is not ErrorKind.CONNECT,
        lambda v: f"{v.state} waits for {', '.join(v.connect) or 'a channel'}; it goes on when the channel is back",
        "error",
        active=True,
    ),
    Term(
        lambda v: not v.lost or v.error is ErrorKind.ERROR,
        lambda v: f"it has lost {some(v.lost)}, which its code has used; is their IOC running?",
        "lost",
        active=True,
    ),
    Term(
        lambda v: v.error is ErrorKind.NONE,
        lambda v: f"ERROR in {v.state}: {v.reason}. Mend the code, then LOAD=1; REENTER=1 tries again",
        "error",
        active=True,
    ),
    Term(lambda v: v.slow is None, slow, "slow"),
    Term(
        lambda v: v.mode in FOLLOWS_GRAPH,
        lambda v: f"MANUAL{_by(v.mode_by)} in {v.state}; write MODE=AUTO",
        "mode",
        active=True,
    ),
    Term(lambda v: not v.stalled, _stalled, "stalled", others=True),
    Term(
        lambda v: v.nominal is not None,
        lambda v: "the module names no nominal state, so it is never OK; to change that, add nominal = '...'",
        "load",
    ),
    Term(lambda v: v.request == v.nominal, _elsewhere, "request"),
    Term(
        lambda v: v.state == v.nominal,
        lambda v: f"on the way: in {v.state}, next {v.target}, request {v.request}",
        "state",
        others=True,
    ),
    Term(
        lambda v: v.status is Status.DONE,
        lambda v: f"{v.state} is not complete yet ({v.status.name})",
        "status",
        others=True,
    ),
)


_OK = tuple(term.holds for term in TERMS if term.ok)
_ACTIVE = tuple(term.holds for term in TERMS if term.active)


def _once(tell: Callable[[View], T]) -> Callable[[View], T]:
    """Several rows tell the same of one view: the answer about the last one is kept."""
    last: tuple[View, T] | None = None

    @wraps(tell)
    def once(view: View) -> T:
        nonlocal last
        if (known := last) is None or known[0] is not view:
            last = known = (view, tell(view))
        return known[1]

    return once


@_once
def is_ok(view: View) -> bool:
    """R15: EXEC, following its graph, at REQUEST = STATE = NOMINAL, DONE, without error."""
    return all(holds(view) for holds in _OK)


def is_active(view: View) -> bool:
    """R15: user code is being executed and the graph is followed."""
    return all(holds(view) for holds in _ACTIVE)


@_once
def why_not_ok(view: View) -> str:
    """The reason a node is not OK, "" if it is: "STALLED in TRIPPED after a jump, ... (since 12:03:05Z)".

    That of a manager goes on with those of its subordinates, and theirs with those of theirs. Where that is no reason,
    user code may have one: what it says is told.
    """
    for term in TERMS:
        if not term.holds(view) and (sentence := term.sentence(view)):
            because = _because(view) if term.others else ""
            since = view.since.get(term.since, view.stamp)
            # Of hundreds of nodes the last are shown for seconds before anything has happened to them.
            return sentence + (f" (since {clock(since)})" if since else "") + because
    return ""


def _because(view: View) -> str:
    """What is wrong with the nodes that this one manages, else with those it watches; else what user code says."""
    bad = [one for one in view.subnodes if not one.ok and one.mine] or [one for one in view.subnodes if not one.ok]
    told = "; ".join(f"{one.node}: {one.why}" for one in bad[:OTHERS])
    more = f"; and {len(bad) - OTHERS} more" if len(bad) > OTHERS else ""
    if bad:
        return f"{BECAUSE}{told}{more}"
    return f"; it says: {'; '.join(view.notifications)}" if view.notifications else ""


def severity(view: View) -> Severity:
    """The worst that is wrong with a node: what OK carries, and the one thing to alarm on.

    Nothing is wrong on the way, while stopped or paused on purpose, or for want of a nominal state. A worker that was
    given up is wrong under PAUSE too: EXEC would not go on.
    """
    if view.failed:
        return Severity.MAJOR
    if view.op is not Op.EXEC:
        return Severity.NO_ALARM
    if view.error is ErrorKind.ERROR or view.overdue or view.worker is Worker.DEAD:
        return Severity.MAJOR
    if view.load_status is LoadStatus.ERROR or view.stalled or view.notifications or view.slow or _settled_away(view):
        return Severity.MINOR
    return Severity.NO_ALARM


def _settled_away(view: View) -> bool:
    """A node without a request never is DONE; it rests where it is, and nobody sends it home."""
    settled = view.status is Status.DONE or (view.request == NONE_STATE and view.status is Status.RUN)
    return view.nominal is not None and settled and view.state != view.nominal
