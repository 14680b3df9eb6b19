"""OK, ACTIVE, the alarm of a node and WHY (R15): one view that is OK, and each thing that can be wrong with it."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from guardian.core.explain import TERMS, is_active, is_ok, severity, why_not_ok
from guardian.core.graph import Graph
from guardian.core.view import LongCall, Subnode, View
from guardian.core.when import clock
from guardian.enums import ErrorKind, LoadStatus, Mode, Op, Severity, Status, Worker
from tests.core.driver import system

_FACTS = system("INIT>SAFE SAFE>ALIGNED")
OK = View(
    graph=Graph.build(_FACTS.states, _FACTS.edges),
    state="ALIGNED",
    target="ALIGNED",
    request="ALIGNED",
    nominal="ALIGNED",
    status=Status.DONE,
    worker=Worker.RUN,
    load_status=LoadStatus.DONE,
    request_by="anna",
    stamp=1e9,
    since={"op": 1e9 - 60},
)
SLOW = LongCall(method="ALIGNED.run()", seconds=312.4, since=1e9 - 312.4)
SAFE: dict[str, Any] = {"state": "SAFE", "target": "SAFE", "request": "SAFE"}
#: what differs from OK | ACTIVE | alarm | what WHY says
TABLE: list[tuple[dict[str, Any], bool, Severity, str]] = [
    ({"op": Op.STOP, "worker": Worker.STOP}, False, Severity.NO_ALARM, "stopped; write OP=EXEC"),
    (
        {"op": Op.STOP, "op_by": "anna", "worker": Worker.STOP},
        False,
        Severity.NO_ALARM,
        "stopped by anna; write OP=EXEC",
    ),
    ({"op": Op.PAUSE, "worker": Worker.PAUSE}, False, Severity.NO_ALARM, "paused; write OP=EXEC"),
    ({"mode": Mode.MANAGED}, True, Severity.NO_ALARM, ""),
    ({"mode": Mode.MANUAL}, False, Severity.NO_ALARM, "write MODE=AUTO"),
    ({"nominal": None}, True, Severity.NO_ALARM, "names no nominal state"),
    ({"nominal": None, **SAFE}, True, Severity.NO_ALARM, "names no nominal state"),
    ({**SAFE}, True, Severity.MINOR, "REQUEST is SAFE by anna, nominal is ALIGNED; write REQUEST=ALIGNED"),
    ({**SAFE, "status": Status.RUN}, True, Severity.NO_ALARM, "REQUEST is SAFE"),
    ({"state": "SAFE", "status": Status.RUN}, True, Severity.NO_ALARM, "on the way: in SAFE, next ALIGNED"),
    ({"status": Status.RUN}, True, Severity.NO_ALARM, "ALIGNED is not complete yet (RUN)"),
    ({"request": "NONE", "status": Status.RUN}, True, Severity.NO_ALARM, "no state is requested"),
    (
        {"state": "SAFE", "target": "SAFE", "held": True, "status": Status.RUN},
        True,
        Severity.MINOR,
        "STALLED in SAFE after a jump, request ALIGNED; write REQUEST=ALIGNED again",
    ),
    (
        {"state": "SAFE", "target": "SAFE", "status": Status.RUN, "reason": "no path"},
        True,
        Severity.MINOR,
        "STALLED in SAFE, request ALIGNED: no path",
    ),
    (
        {"state": "SAFE", "target": "SAFE", "request": "INIT", "reason": "no path", "status": Status.RUN},
        True,
        Severity.MINOR,
        "STALLED in SAFE, request INIT: no path",
    ),
    (
        {"state": "SAFE", "target": "SAFE", "request": "INIT", "held": True, "mode": Mode.MANAGED, "manager": "MGR"},
        True,
        Severity.MINOR,
        "STALLED in SAFE after a jump, request INIT (managed by MGR); write REQUEST=ALIGNED",
    ),
    ({"state": "SAFE", "target": "SAFE", "nominal": None, "reason": "no path"}, True, Severity.MINOR, "no path"),
    ({"state": "SAFE", "target": "SAFE", "request": "NONE", "status": Status.RUN}, True, Severity.MINOR, "no state is"),
    ({"error": ErrorKind.ERROR, "reason": "oops"}, False, Severity.MAJOR, "ERROR in ALIGNED: oops"),
    ({"error": ErrorKind.CONNECT, "connect": ("X:C",)}, False, Severity.NO_ALARM, "waits for X:C"),
    ({"error": ErrorKind.CONNECT}, False, Severity.NO_ALARM, "waits for a channel"),
    ({"error": ErrorKind.CONNECT, "connect": ("X:C",), "overdue": True}, False, Severity.MAJOR, "waits for X:C"),
    ({"lost": ("X:C", "X:D")}, False, Severity.NO_ALARM, "it has lost X:C, X:D, which its code has used"),
    ({"lost": ("X:C",), "overdue": True}, False, Severity.MAJOR, "it has lost X:C"),
    ({"lost": ("X:C",), "error": ErrorKind.CONNECT, "connect": ("X:D",)}, False, Severity.NO_ALARM, "waits for X:D"),
    ({"lost": ("X:C",), "error": ErrorKind.ERROR, "reason": "oops"}, False, Severity.MAJOR, "ERROR in ALIGNED: oops"),
    ({"notifications": ("careful",)}, True, Severity.MINOR, ""),
    ({"worker": Worker.DEAD, "known": False, "reason": "worker died"}, False, Severity.MAJOR, "worker died"),
    (
        {"slow": SLOW},
        True,
        Severity.MINOR,
        "in ALIGNED.run() for more than 312 s; it waits or is busy, and OP=STOP ends",
    ),
    ({"slow": SLOW, "status": Status.RUN}, True, Severity.MINOR, "in ALIGNED.run() for more than 312 s"),
    ({"slow": SLOW, "mode": Mode.MANUAL}, False, Severity.MINOR, "any other REQUEST interrupts it"),
    ({"slow": SLOW, "error": ErrorKind.ERROR, "reason": "oops"}, False, Severity.MAJOR, "ERROR in ALIGNED: oops"),
    ({"worker": Worker.DEAD, "known": False, "failed": True, "reason": "gone"}, False, Severity.MAJOR, "gone"),
    (
        {"op": Op.PAUSE, "worker": Worker.DEAD, "known": False, "failed": True, "reason": "gone"},
        False,
        Severity.MAJOR,
        "gone",
    ),
    ({"worker": Worker.INIT, "load_status": LoadStatus.INPROGRESS}, False, Severity.NO_ALARM, "being loaded"),
    ({"known": False}, False, Severity.NO_ALARM, "its worker is ending"),
    ({"worker": Worker.STOP, "known": False}, False, Severity.NO_ALARM, "no worker; write OP=EXEC"),
    (
        {
            "load_status": LoadStatus.ERROR,
            "error": ErrorKind.ERROR,
            "worker": Worker.STOP,
            "known": False,
            "load_error": "SyntaxError",
        },
        False,
        Severity.MAJOR,
        "does not load: SyntaxError",
    ),
]


def test_R15_OK() -> None:
    assert is_ok(OK) and is_active(OK) and why_not_ok(OK) == "" and severity(OK) is Severity.NO_ALARM


@pytest.mark.parametrize(("wrong", "active", "alarm", "says"), TABLE, ids=lambda v: str(v)[:60])
def test_R15_what_can_be_wrong(wrong: dict[str, Any], active: bool, alarm: Severity, says: str) -> None:
    view = replace(OK, **wrong)
    why = why_not_ok(view)
    assert (is_active(view), severity(view)) == (active, alarm)
    assert says in why and is_ok(view) == (says == "") == (why == "")


def test_R11_a_failed_LOAD_leaves_the_node_OK_but_not_active_and_says_so() -> None:
    view = replace(OK, load_status=LoadStatus.ERROR, load_error="SyntaxError")
    assert is_ok(view) and not is_active(view) and severity(view) is Severity.MINOR
    assert "SyntaxError" in why_not_ok(view)


@pytest.mark.parametrize("op", [Op.STOP, Op.PAUSE])
def test_R15_no_alarm_while_stopped_or_paused_on_purpose(op: Op) -> None:
    for wrong, *_ in TABLE:
        given_up = wrong.get("failed", False)
        assert severity(replace(OK, **{**wrong, "op": op})) is (Severity.MAJOR if given_up else Severity.NO_ALARM)


def test_of_a_node_that_is_shown_and_has_not_begun_WHY_says_no_time() -> None:
    """Not 00:00:00Z, which is when 1970 began."""
    assert why_not_ok(View()) == "starting: its code is being loaded"


def test_R15_WHY_says_since_when() -> None:
    assert clock(1e9) == "01:46:40Z"
    assert why_not_ok(replace(OK, op=Op.PAUSE)).endswith("(since 01:45:40Z)")
    assert why_not_ok(replace(OK, status=Status.RUN)).endswith("(since 01:46:40Z)")


def test_R15_every_term_is_dated() -> None:
    from guardian.core.machine import _SINCE

    assert {term.since for term in TERMS} <= set(_SINCE)


def test_WHY_goes_on_with_what_user_code_says_where_no_other_node_is_the_reason() -> None:
    waits = replace(OK, status=Status.RUN, notifications=("no light", "the shutter is closed"))
    assert why_not_ok(waits).endswith(
        "is not complete yet (RUN) (since 01:46:40Z); it says: no light; the shutter is closed"
    )
    bad = Subnode(node="PSL", there=True, why="ERROR in ON")
    assert why_not_ok(replace(waits, subnodes=(bad,))).endswith("; because PSL: ERROR in ON")
    assert "it says" not in why_not_ok(replace(waits, **SAFE)), "what a person asked for is the reason"
