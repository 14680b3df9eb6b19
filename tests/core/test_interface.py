"""The table of PVs: limits of Channel Access, the order of one step, and values that fit their rows."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.core import interface
from guardian.core.documents import graph_facts, graph_told, read_graph
from guardian.core.graph import Graph
from guardian.core.interface import BY_NAME, EVENT, MAX_STATES, ROWS, Kind, Source, Vitals
from guardian.core.names import PV_TEMPLATE, STRING_BYTES
from guardian.core.texts import clip
from guardian.core.view import View
from guardian.enums import ErrorKind, LoadStatus, Mode, Op, Severity, Status, Worker
from tests.core.driver import system

_FACTS = system("INIT>SAFE SAFE>ALIGNED:2.5", goto="SAFE:3", nominal="ALIGNED")
GRAPH = Graph.build(_FACTS.states, _FACTS.edges)
LONG = "Ä long message, " * 400
VIEWS = {
    "new": View(),
    "done": View(graph=GRAPH, state="ALIGNED", target="ALIGNED", request="ALIGNED", status=Status.DONE),
    "talkative": View(
        graph=GRAPH,
        message=LONG,
        notifications=(LONG,) * 9,
        connect=(LONG,),
        request_by="anna@desk (10.0.0.1)",
        error=ErrorKind.CONNECT,
        overdue=True,
        worker=Worker.DEAD,
        failed=True,
        known=False,
    ),
    "stopped": View(graph=GRAPH, op=Op.STOP, mode=Mode.MANUAL, worker=Worker.STOP, load_status=LoadStatus.ERROR),
}


def source(row: interface.Row, view: View) -> Any:
    return {Source.VIEW: view, Source.GRAPH: view.graph, Source.VITALS: Vitals(heartbeat=1.7e9, exectime_s=0.123)}[
        row.source
    ]


def test_names_are_unique_and_plain() -> None:
    assert len(BY_NAME) == len(ROWS) + 1
    assert all(name == name.upper() and name.isascii() and len(name) <= 20 for name in BY_NAME)


def test_the_order_of_one_step() -> None:
    names = [row.name for row in ROWS if row.source is Source.VIEW]
    first = [n for n in names if n in ("STATUS", "STALLED", "TARGET", "REQUEST", "STATE")]
    assert first == ["STATUS", "STALLED", "TARGET", "REQUEST", "STATE"] and names[0] == "STATUS"
    assert names[-1] == "SUMMARY"


def test_channel_access_can_carry_every_row() -> None:
    for row in (*ROWS, EVENT):
        assert 0 < len(row.text.encode()) <= STRING_BYTES, f"{row.name}: the text is its DESC, a CA string"
        assert len(row.labels) <= 16 and all(len(label) <= 25 for label in row.labels)
        assert bool(row.labels) == (row.kind in (Kind.ENUM, Kind.BOOL)), row.name
        assert row.size == 1 or row.kind in (Kind.LONG, Kind.STRINGS)
        assert row.kind not in (Kind.LONG, Kind.STRINGS) or row.size > 1


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_value_fits_its_row(row: interface.Row, view: View) -> None:
    value = row.value(source(row, view))
    match row.kind:
        case Kind.ENUM | Kind.BOOL:
            assert 0 <= int(value) < len(row.labels)
            assert getattr(value, "name", None) in (None, row.labels[int(value)]) or row.name == "ERROR"
        case Kind.STRING:
            assert isinstance(value, str) and len(value.encode()) <= STRING_BYTES
        case Kind.LONG:
            assert isinstance(value, str)
        case Kind.INT:
            assert isinstance(value, int) and -(2**31) <= value < 2**31
        case Kind.DOUBLE:
            assert isinstance(value, float)
        case Kind.STRINGS:
            assert len(value) <= row.size == MAX_STATES and all(len(v.encode()) <= STRING_BYTES for v in value)
    if row.alarm is not None:
        assert row.alarm(view) in Severity


def test_the_graph_can_be_drawn_from_GRAPH() -> None:
    told = json.loads(BY_NAME["GRAPH"].value(GRAPH))
    assert told["edges"] == [["INIT", "SAFE", 1.0], ["SAFE", "ALIGNED", 2.5]]
    safe = next(s for s in told["states"] if s["name"] == "SAFE")
    assert (safe["goto"], safe["redirect"], safe["index"]) == (3.0, True, GRAPH.index("SAFE"))
    assert json.loads(BY_NAME["GRAPH"].value(None)) == {"states": [], "edges": []}


def test_GRAPH_is_read_back_to_the_graph_it_tells_of() -> None:
    read = read_graph(json.loads(BY_NAME["GRAPH"].value(GRAPH)))
    assert list(read.states) == list(GRAPH.states) and set(read.edges) == set(GRAPH.edges)
    for start in GRAPH.states:
        assert [read.path(start, end) for end in GRAPH.states] == [GRAPH.path(start, end) for end in GRAPH.states]
    for odd in ([], {}, {"states": [{}], "edges": []}, {"states": [], "edges": [["A"]]}, None):
        with pytest.raises(ValueError, match="it is no graph"):
            read_graph(odd)


def test_GRAPH_may_tell_of_no_graph_and_of_one_that_cannot_be_read() -> None:
    for none in ("", BY_NAME["GRAPH"].value(None)):
        assert graph_told(none) is None
    read = graph_told(BY_NAME["GRAPH"].value(GRAPH))
    assert read is not None and list(read.states) == list(GRAPH.states)
    for odd in ("[]", "{}", "7", "null", '{"states": [{', "[" * 100_000, '{"states": [1], "edges": []}'):
        with pytest.raises(ValueError, match="it is no graph"):
            graph_told(odd)


def test_GRAPH_has_the_watchdogs_that_states_say() -> None:
    states = [replace(s, watchdog_s={"SAFE": 2.5, "INIT": 0.0}.get(s.name)) for s in _FACTS.states]
    told = graph_facts(Graph.build(states, _FACTS.edges))
    assert {s["name"]: s["watchdog"] for s in told["states"] if "watchdog" in s} == {"INIT": 0.0, "SAFE": 2.5}
    read = read_graph(told)
    assert [read[name].watchdog_s for name in ("INIT", "SAFE", "ALIGNED")] == [0.0, 2.5, None]


def test_values_that_are_no_longer_known_are_INVALID_and_no_others() -> None:
    view = VIEWS["talkative"]
    invalid = {row.name for row in ROWS if row.alarm and row.alarm(view) is Severity.INVALID}
    states = {f"{name}{twin}" for name in ("STATE", "TARGET") for twin in ("", "_S", "_N")}
    assert invalid == states | {"STATUS", "SPM_CHANGED"}


@given(st.text(), st.integers(3, 30))
def test_clip_keeps_whole_characters_and_marks_the_cut(text: str, size: int) -> None:
    cut = clip(text, size)
    assert len(cut.encode()) <= size
    assert cut == text or (cut.endswith("...") and text.startswith(cut[:-3]))


@pytest.mark.parametrize(
    ("template", "pv", "is_one"),
    [
        (PV_TEMPLATE, "X1:GRD-SUS_PRM_REQUEST", True),
        (PV_TEMPLATE, "X1:GRD-SUS_PRM_GAIN", False),
        (PV_TEMPLATE, "X2:GRD-SUS_REQUEST", False),
        ("LAB.x:{node}:{name}", "LAB.x:SUS-1:REQUEST_N", True),
        ("LAB.x:{node}:{name}", "LAB-x:SUS-1:REQUEST", False),
        ("LAB.x:{node}:{name}", "LAB.x:SUS:SETTING", False),
        ("{name}({ifo}|{node})", "OP(X1|SUS)", True),
    ],
)
def test_which_names_are_those_of_nodes(template: str, pv: str, is_one: bool) -> None:
    assert bool(interface.node_pvs(template, ifo="X1").fullmatch(pv)) is is_one
