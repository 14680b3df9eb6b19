"""The way that is shown before a request, the warnings beside it, and what becomes of the request."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from guardian.cli.ctrl.wait import Asked, verdict, worst
from guardian.cli.output import FAILED, OK, STALLED, TIMED_OUT
from guardian.core.documents import summary
from guardian.core.facts import Facts, from_rows, from_summary
from guardian.core.graph import Graph
from guardian.core.journey import journey, why_not_state
from guardian.core.view import View
from guardian.enums import ErrorKind, Mode, Op, Status
from tests.core.driver import system

_SYSTEM = system("INIT>SAFE SAFE>DAMPED DAMPED>ALIGNED", goto="SAFE:1")
GRAPH = Graph.build(_SYSTEM.states, _SYSTEM.edges)
NODE = Facts(node="MC1", where="x:1", ours=True, state="SAFE", target="SAFE", request="SAFE", status="DONE",
             op="EXEC", mode="AUTO", error="NONE", request_id=7)  # fmt: skip


def warned(to: str, graph: Graph | None = GRAPH, **changes: object) -> str:
    return "; ".join(journey(replace(NODE, **changes), graph, to).warnings)  # type: ignore[arg-type]


def test_the_way_names_all_states_that_are_passed() -> None:
    assert str(journey(NODE, GRAPH, "ALIGNED")) == "MC1: SAFE -> DAMPED -> ALIGNED"
    assert str(journey(NODE, GRAPH, "SAFE")) == "MC1: is in SAFE"
    assert str(journey(NODE, GRAPH, "NONE")) == "MC1: is in SAFE"
    assert str(journey(NODE, None, "ALIGNED")) == "MC1: no way is known"


@pytest.mark.parametrize(
    ("state", "changes", "says"),
    [
        ("ALIGNED", {}, ""),
        ("SAFE", {"state": "ALIGNED"}, ""),
        ("DAMPED", {"state": "ALIGNED"}, "the way passes SAFE, a goto state"),
        ("DAMPED", {"state": "INIT"}, "the way passes SAFE, a goto state"),
        ("ALIGNED", {"mode": "MANAGED", "manager": "IFO"}, "it is managed by IFO"),
        ("ALIGNED", {"mode": "MANUAL"}, "MODE is MANUAL: it enters ALIGNED directly"),
        ("ALIGNED", {"op": "STOP"}, "OP is STOP: it goes nowhere before OP=EXEC"),
        ("ALIGNED", {"error": "ERROR"}, "ERROR in SAFE"),
        ("ALIGNED", {"error": "CONNECT", "connect": ("X1:A",)}, "SAFE waits for X1:A"),
        ("ALIGNED", {"graph": None}, "its graph is not known"),
        ("ALIGNED", {"state": "GONE"}, "it is in GONE, from where the way is not known"),
        ("INIT", {}, "no path SAFE -> INIT; no edge leads into INIT"),
        ("NONE", {}, "NONE withdraws its request"),
    ],
    ids=str,
)
def test_what_to_know_before_it_is_sent_there(state: str, changes: dict[str, object], says: str) -> None:
    text = warned(state, **changes)  # type: ignore[arg-type]
    assert text.startswith(says) and bool(text) == bool(says)


def test_a_state_that_it_does_not_have_is_refused_with_the_nearest() -> None:
    assert why_not_state(NODE, GRAPH, "ALIGNED") is None
    assert why_not_state(NODE, GRAPH, "NONE") is None
    assert why_not_state(NODE, None, "ANYTHING") is None
    assert why_not_state(NODE, GRAPH, "ALINGED") == "MC1 has no state 'ALINGED'; did you mean ALIGNED?"
    assert "its menu is ALIGNED, DAMPED, SAFE, INIT" in str(why_not_state(NODE, GRAPH, "QQQ"))


# --- what becomes of it ---------------------------------------------------------------------------------------------

MINE = replace(NODE, request="ALIGNED", request_id=8, cmd="mine")
ASKED = Asked(state="ALIGNED", id="mine", before=7)


@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        ({}, None, ""),
        ({"state": "ALIGNED", "status": "RUN"}, None, ""),
        ({"state": "ALIGNED", "status": "DONE"}, OK, "arrived in ALIGNED"),
        ({"state": "ALIGNED", "status": "DONE", "cmd": "other", "by": "bob"}, FAILED, "was asked for ALIGNED by bob"),
        ({"request": "SAFE", "by": "bob", "request_id": 9}, FAILED, "was asked for SAFE by bob meanwhile"),
        ({"stalled": True, "why": "STALLED in SAFE after a jump"}, STALLED, "stalled: STALLED in SAFE"),
        ({"error": "ERROR", "why": "ERROR in SAFE: 1/0"}, FAILED, "does not get there: ERROR in SAFE: 1/0"),
        ({"error": "CONNECT"}, None, ""),
        ({"op": "STOP"}, None, ""),
        ({"where": ""}, None, ""),
    ],
    ids=str,
)
def test_how_a_request_ends(changes: dict[str, object], code: int | None, says: str) -> None:
    end = verdict(ASKED, replace(MINE, **changes))  # type: ignore[arg-type]
    assert (None if end is None else end.code) == code
    assert end is None or end.text.startswith(says)


def test_what_was_there_before_the_request_counts_for_nothing() -> None:
    """The node was DONE in this very state, for somebody else: the news of the request has not come yet."""
    before = replace(NODE, state="ALIGNED", request="ALIGNED", request_id=7)
    for asked in (ASKED, Asked(state="ALIGNED", before=7)):
        assert verdict(asked, before) is None
        assert verdict(asked, replace(before, state="SAFE", request="SAFE", stalled=True)) is None
    assert verdict(Asked(state="ALIGNED", before=7), replace(before, request_id=8)).code == OK  # type: ignore[union-attr]


def test_NONE_has_no_end_but_being_taken() -> None:
    end = verdict(Asked(state="NONE", before=7), replace(NODE, request="NONE", request_id=8, status="RUN"))
    assert end is not None and (end.code, end.text) == (OK, "has no request, it rests in SAFE")


def test_of_several_nodes_the_worst_counts() -> None:
    assert worst([]) == worst([OK, OK]) == OK
    assert worst([OK, TIMED_OUT]) == TIMED_OUT
    assert worst([TIMED_OUT, STALLED, OK]) == STALLED
    assert worst([STALLED, FAILED, TIMED_OUT]) == FAILED


# --- what is known of a node ----------------------------------------------------------------------------------------


def test_SUMMARY_is_read_as_it_is_written() -> None:
    view = View(
        graph=GRAPH, state="DAMPED", target="ALIGNED", request="ALIGNED", request_by="bob", request_id=3,
        request_cmd="x7", status=Status.RUN, op=Op.EXEC, mode=Mode.MANAGED, manager="IFO", error=ErrorKind.CONNECT,
        connect=("X1:A", "X1:B"), nominal="ALIGNED",
    )  # fmt: skip
    told = from_summary("MC1", "x:1", json.dumps(summary(view)), "because")
    assert told.ours and told.there and told.managed_by == "IFO"
    assert (told.state, told.target, told.request, told.status) == ("DAMPED", "ALIGNED", "ALIGNED", "RUN")
    assert (told.by, told.request_id, told.cmd, told.nominal) == ("bob", 3, "x7", "ALIGNED")
    assert (told.error, told.connect, told.reason) == ("CONNECT", ("X1:A", "X1:B"), "because")
    for odd in ("", "[]", "{}", "nonsense"):
        with pytest.raises(ValueError, match="its SUMMARY is"):
            from_summary("MC1", "x:1", odd, "")


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ({"OK": "True"}, "OK"),
        ({"OP": "PAUSE"}, "OP is PAUSE"),
        ({"OP": "1"}, "OP is PAUSE"),
        ({"ERROR": "True"}, "ERROR in DOWN"),
        ({"ERROR": "3"}, "CONNECT in DOWN"),
        ({"STALLED": "1"}, "STALLED in DOWN, request UP"),
        ({"TARGET": "DOWN"}, "STALLED in DOWN, request UP"),
        ({}, "on the way: in DOWN, next MID, request UP"),
        ({"STATE_S": "UP", "STATE": "20"}, "not OK in UP"),
    ],
    ids=str,
)
def test_an_original_Guardian_is_read_by_its_plain_PVs(rows: dict[str, str], says: str) -> None:
    plain = {"STATE": "DOWN", "TARGET": "MID", "REQUEST": "UP", "OP": "EXEC", "MODE": "0", "ERROR": "False"}
    told = from_rows("OLD", "x:1", {**plain, **rows})
    assert (told.ours, told.mode, told.reason) == (False, "AUTO", says)
