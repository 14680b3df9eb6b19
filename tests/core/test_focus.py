"""The focus of a graph: the way, what is beside it, and the goto states."""

from __future__ import annotations

from itertools import pairwise

import pytest

from guardian.core.focus import Focus, focus
from guardian.core.graph import Edge, Graph, StateInfo


def graph(*ways: str, gotos: str = "") -> Graph:
    """ "A B C" are two edges."""
    names = list(dict.fromkeys(["INIT", *" ".join(ways).split(), *gotos.split()]))
    return Graph.build(
        [StateInfo(name=n, index=i, goto=1 if n in gotos.split() else None) for i, n in enumerate(names)],
        [Edge(start=a, end=b) for way in ways for a, b in pairwise(way.split())],
    )


CHAIN = graph(*(f"S{n} S{n + 1}" for n in range(60)), "S30 LEFT", "FROM S31", "LEFT FAR", gotos="DOWN")


def test_the_way_with_one_hop_beside_it_and_the_goto_states() -> None:
    seen = focus(CHAIN, state="S30", target="S31", request="S32")
    assert seen.way == ("S30", "S31", "S32")
    assert seen.states == {"S29", "S30", "S31", "S32", "S33", "LEFT", "FROM", "DOWN"}


def test_the_way_leads_through_the_target_which_the_node_has_decided_for() -> None:
    two = graph("A B D", "A C D")
    assert focus(two, state="A", target="C", request="D").way == ("A", "C", "D")


@pytest.mark.parametrize(
    ("state", "target", "wanted", "way"),
    [
        ("S30", "S30", "NONE", ("S30",)),
        ("S30", "S30", "S29", ("S30",)),
        ("S30", "DOWN", "S2", ("S30", "DOWN")),
        ("S30", "S30", "S30", ("S30",)),
        ("GONE", "S1", "S2", ()),
    ],
    ids=["no request", "no path", "no path from the target", "there", "of other code"],
)
def test_as_far_as_the_way_is_known(state: str, target: str, wanted: str, way: tuple[str, ...]) -> None:
    seen = focus(CHAIN, state=state, target=target, request=wanted)
    assert seen.way == way
    assert {name for name in (state, target, wanted) if name in CHAIN} <= seen.states


def test_a_node_that_says_nothing_known_still_shows_something() -> None:
    assert focus(graph("INIT A"), state="?", target="?", request="?") == Focus(way=(), states=frozenset({"INIT"}))
