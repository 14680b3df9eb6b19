"""What is dangerous in a request, what has become so since somebody looked, and what the button says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from guardian.core.dangers import Dangers, basis, dangers, read_basis, verb
from guardian.core.facts import Facts
from guardian.core.graph import Graph
from guardian.core.journey import Journey, journey, timed
from tests.core.driver import system

_SYSTEM = system("INIT>SAFE SAFE>DAMPED DAMPED>ALIGNED", goto="SAFE:1")
GRAPH = Graph.build(_SYSTEM.states, _SYSTEM.edges)
NODE = Facts(node="MC1", where="x:1", ours=True, state="SAFE", target="SAFE", request="SAFE", status="DONE",
             op="EXEC", mode="AUTO", error="NONE", request_id=7, nominal="ALIGNED")  # fmt: skip


def of(wanted: str, graph: Graph | None = GRAPH, **changes: Any) -> Dangers:
    facts = replace(NODE, **changes)
    return dangers(facts, graph, journey(facts, graph, wanted), wanted)


@pytest.mark.parametrize(
    ("state", "changes", "found"),
    [
        ("ALIGNED", {}, Dangers()),
        ("SAFE", {"state": "DAMPED"}, Dangers()),
        ("DAMPED", {"state": "ALIGNED"}, Dangers(passes_goto=("SAFE",), leaves_nominal="ALIGNED")),
        ("SAFE", {"state": "ALIGNED"}, Dangers(leaves_nominal="ALIGNED")),
        ("SAFE", {"request": "ALIGNED"}, Dangers(leaves_nominal="ALIGNED")),
        ("NONE", {"state": "ALIGNED"}, Dangers(leaves_nominal="ALIGNED")),
        ("ALIGNED", {"state": "ALIGNED", "request": "ALIGNED"}, Dangers()),
        ("SAFE", {"state": "ALIGNED", "nominal": ""}, Dangers()),
        ("ALIGNED", {"mode": "MANAGED", "manager": "IFO"}, Dangers(managed_by="IFO")),
        ("ALIGNED", {"mode": "AUTO", "manager": "IFO"}, Dangers()),
        ("ALIGNED", {"mode": "MANUAL"}, Dangers(manual=True)),
        ("ALIGNED", {"graph": None, "mode": "MANUAL"}, Dangers(manual=True)),
    ],
    ids=str,
)
def test_what_is_dangerous(state: str, changes: dict[str, Any], found: Dangers) -> None:
    assert of(state, **changes) == found
    assert bool(found) == bool(list(found.sentences())) == (found != Dangers())


def test_a_basis_tells_later_what_was_known() -> None:
    facts = replace(NODE, state="ALIGNED", mode="MANAGED", manager="IFO")
    seen = of("DAMPED", state="ALIGNED", mode="MANAGED", manager="IFO")
    assert read_basis(basis(facts, seen)) == seen
    unknown = dangers(NODE, None, journey(NODE, None, "ALIGNED"), "ALIGNED", unreadable=True)
    assert unknown and read_basis(basis(NODE, unknown)) == unknown
    assert read_basis(basis(replace(NODE, mode="MANUAL"), of("ALIGNED", mode="MANUAL"))) == Dangers(manual=True)


@pytest.mark.parametrize("told", [{}, {"passes_goto": 3, "leaves_nominal": "", "mode": "AUTO", "manager": ""}, 3, None])
def test_what_is_no_basis_is_refused(told: Any) -> None:
    with pytest.raises(ValueError, match="no basis"):
        read_basis(told)


def test_only_what_has_become_dangerous_is_new() -> None:
    known = Dangers(passes_goto=("SAFE",), managed_by="IFO")
    assert list(known.sentences(known)) == []
    assert list(Dangers().sentences(known)) == []
    now = Dangers(
        passes_goto=("SAFE", "DOWN"), managed_by="IMC", leaves_nominal="ALIGNED", manual=True, unknown_way=True
    )
    assert list(now.sentences(known)) == [
        "the way passes DOWN, from where all is built up again",
        "it gives up its nominal state, ALIGNED",
        "it is managed by IMC",
        "its MODE is MANUAL, edges do not count",
        "its GRAPH cannot be read, so the way may pass any state, also one from where all is built up again",
    ]


def test_a_graph_that_nobody_can_read_is_no_danger_to_who_withdraws_a_request() -> None:
    assert not dangers(NODE, None, journey(NODE, None, "NONE"), "NONE", unreadable=True)


@pytest.mark.parametrize(
    ("state", "known", "says"),
    [
        ("ALIGNED", {"DAMPED": (60.0, 90.0), "ALIGNED": (90.0, 95.0)}, "Request ALIGNED (2 states, usually 2.5 min)"),
        ("DAMPED", {"DAMPED": (7.25, 9.0)}, "Request DAMPED (1 state, usually 7.2 s)"),
        ("ALIGNED", {"DAMPED": (60.0, 90.0)}, "Request ALIGNED (2 states)"),
        ("SAFE", {}, "Request SAFE"),
        ("NONE", {}, "Withdraw the request"),
    ],
)
def test_the_button_says_what_it_does(state: str, known: dict[str, tuple[float, float]], says: str) -> None:
    assert verb(timed(journey(NODE, GRAPH, state), NODE, GRAPH, known), state) == says
    assert verb(Journey(node="MC1"), "ALIGNED") == "Request ALIGNED"
