"""The picture of a system as DOT text: what is drawn, how, and what holds it in one column."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from guardian.core.drawing import dot_text
from guardian.core.focus import focus
from guardian.core.graph import Edge, Graph, StateInfo, assign_indices

_STATE = re.compile(r'^  "(.*)" \[(id="s-.*)\]$', re.MULTILINE)
_EDGE = re.compile(r'^  "(.*)" -> "(.*?)"(?: \[(.*)\])?$', re.MULTILINE)


def graph(*ways: str, **more: dict[str, object]) -> Graph:
    """States numbered 0, 10, ... by their names in alphabetical order, INIT first; "A B" is an edge; `more` by name."""
    names = sorted({*" ".join(ways).split(), "INIT", *more}, key=lambda name: (name != "INIT", name))
    states = [StateInfo(name=n, **{"index": 10 * i, **more.get(n, {})}) for i, n in enumerate(names)]  # type: ignore[arg-type]
    return Graph.build(assign_indices(states), [Edge(start=a, end=b) for way in ways for a, b in pairwise(way.split())])


def states(text: str) -> dict[str, str]:
    """What the text says of each state."""
    return dict(_STATE.findall(text))


def edges(text: str) -> dict[tuple[str, str], str]:
    """What it says of each edge that can be seen."""
    return {(start, end): marks for start, end, marks in _EDGE.findall(text) if "invis" not in marks}


def held(text: str) -> list[tuple[str, str]]:
    """The edges that cannot be seen."""
    return [(start, end) for start, end, marks in _EDGE.findall(text) if "invis" in marks]


def column(text: str) -> set[str]:
    """The states of the main line."""
    return {name for name, marks in states(text).items() if 'group="INIT"' in marks}


def test_every_state_and_every_declared_edge_is_there_once() -> None:
    text = dot_text(graph("INIT A B C", "C A", "B B"), name="SUS")
    assert list(states(text)) == ["INIT", "A", "B", "C"]
    assert list(edges(text)) == [("INIT", "A"), ("A", "B"), ("B", "C"), ("C", "A"), ("B", "B")]
    assert text.startswith('digraph "SUS" {\n') and text.endswith("}\n")


def test_an_edge_back_is_dashed_and_has_no_say() -> None:
    drawn = edges(dot_text(graph("INIT A B C", "C A", "A A"), name="SUS"))
    assert {pair for pair, marks in drawn.items() if "style=dashed, constraint=false" in marks} == {("C", "A")}


def test_the_edge_to_the_nearest_later_state_pulls() -> None:
    drawn = edges(dot_text(graph("INIT C", "INIT B", "INIT A", "A A", "A C", "C B"), name="SUS"))
    assert {pair for pair, marks in drawn.items() if "weight=20" in marks} == {("INIT", "A"), ("A", "C")}


def test_the_edges_that_a_goto_state_implies_are_not_drawn_and_those_declared_are() -> None:
    text = dot_text(graph("INIT A B", "B DOWN", DOWN={"goto": 5}), name="SUS")
    assert set(edges(text)) == {("INIT", "A"), ("A", "B"), ("B", "DOWN")}


def test_a_weight_is_written_at_its_edge() -> None:
    system = Graph.build(
        [StateInfo(name=name, index=i) for i, name in enumerate("ABC")],
        [Edge(start="A", end="B", weight=2.5), Edge(start="B", end="C"), Edge(start="C", end="A", weight=1e6)],
    )
    drawn = edges(dot_text(system, name="SUS"))
    assert 'label="2.5"' in drawn["A", "B"] and "label" not in drawn["B", "C"] and 'label="1e+06"' in drawn["C", "A"]


@pytest.mark.parametrize(
    ("more", "marks"),
    [
        ({}, 'label=<<b>A</b>>, tooltip="A (10)", group="A", fillcolor="#d6e6f7"'),
        ({"request": False}, 'label="A", tooltip="A (10)"'),
        (
            {"goto": 1},
            'label=<<b>A</b>>, tooltip="A (10)", group="A", fillcolor="#f9dcd8", style="filled,rounded,dashed"',
        ),
        (
            {"goto": 1, "request": False},
            'label="A", tooltip="A (10)", group="A", fillcolor="#f9dcd8", style="filled,rounded,dashed"',
        ),
        ({"doc": "Aligned.", "source": "SUS.py:3"}, 'tooltip="A (10); Aligned.; SUS.py:3"'),
    ],
    ids=["requestable", "plain", "goto", "hidden goto", "doc"],
)
def test_the_marks_of_a_state(more: dict[str, object], marks: str) -> None:
    system = graph("INIT B", A=more)
    assert states(dot_text(system, name="SUS"))["A"].startswith('id="s-A", ')
    assert marks in states(dot_text(system, name="SUS"))["A"]


def test_pages_find_states_and_edges_by_their_ids_and_what_they_are_by_their_classes() -> None:
    text = dot_text(graph("INIT A B A", B={"request": False}, DOWN={"goto": 1}), name="SUS", request="A", nominal="B")
    kinds = {name: re.search(r'class="(.*?)"', marks)[1] for name, marks in states(text).items()}  # type: ignore[index]
    assert kinds == {"INIT": "requestable", "A": "requestable request", "B": "nominal", "DOWN": "requestable goto"}
    drawn = edges(text)
    assert [marks.split(", ")[0] for marks in drawn.values()] == ['id="e-INIT--A"', 'id="e-A--B"', 'id="e-B--A"']
    assert [pair for pair, marks in drawn.items() if 'class="back"' in marks] == [("B", "A")]


def test_the_first_request_has_two_outlines_nominal_a_star_and_init_is_an_ellipse() -> None:
    drawn = states(dot_text(graph("INIT A B"), name="SUS", request="A", nominal="B"))
    assert [name for name, marks in drawn.items() if "peripheries=2" in marks] == ["A"]
    assert [name for name, marks in drawn.items() if "★" in marks] == ["B"]
    assert [name for name, marks in drawn.items() if "shape=ellipse" in marks] == ["INIT"]


# --- the column -------------------------------------------------------------------------------------------------------


def test_the_column_is_the_way_to_nominal_and_not_its_branches() -> None:
    assert column(dot_text(graph("INIT A C E", "A B", "C D"), name="SUS", nominal="E")) == {"INIT", "A", "C", "E"}


def test_a_step_of_the_column_over_a_branch_pulls_harder_than_the_branch() -> None:
    drawn = edges(dot_text(graph("INIT A C", "A B C"), name="SUS", nominal="C"))
    assert {pair: marks.rpartition(", ")[2] for pair, marks in drawn.items() if "weight" in marks} == {
        ("INIT", "A"): "weight=20",
        ("A", "B"): "weight=20",
        ("A", "C"): "weight=100",
        ("B", "C"): "weight=20",
    }


def test_the_column_goes_on_behind_nominal() -> None:
    assert column(dot_text(graph("INIT A B C D"), name="SUS", nominal="B")) == {"INIT", "A", "B", "C", "D"}


@pytest.mark.parametrize("nominal", [None, "ISLAND"])
def test_without_a_way_to_nominal_the_column_is_the_way_up(nominal: str | None) -> None:
    text = dot_text(graph("INIT A B C", "A D", ISLAND={}), name="SUS", nominal=nominal)
    assert column(text) == {"INIT", "A", "B", "C"}


def test_a_step_of_the_column_that_is_only_implied_holds_without_being_seen() -> None:
    text = dot_text(graph("DOWN UP", DOWN={"goto": 1}), name="SUS", nominal="UP")
    assert (column(text), set(edges(text)), held(text)) == (
        {"INIT", "DOWN", "UP"},
        {("DOWN", "UP")},
        [("INIT", "DOWN")],
    )


def test_a_state_with_edges_back_alone_is_held_by_the_shortest() -> None:
    assert held(dot_text(graph("INIT A B C", "D A", "D C"), name="SUS")) == [("C", "D")]


def test_states_without_numbers_come_after_the_others_in_their_order() -> None:
    system = graph("INIT A B C", "C A", A={"index": None}, B={"index": None})
    assert [system.index(name) for name in ("INIT", "C", "A", "B")] == [0, 30, -2, -3]
    text = dot_text(system, name="SUS")
    assert list(states(text)) == ["INIT", "C", "A", "B"]
    assert {pair for pair, marks in edges(text).items() if "dashed" in marks} == {("B", "C")}


def test_a_system_of_one_state_and_one_without_init_are_drawn() -> None:
    one = Graph.build([StateInfo(name="UP", index=1)], [])
    assert list(states(dot_text(one, name="SUS", request="UP", nominal="UP"))) == ["UP"]


def test_the_same_system_gives_the_same_text() -> None:
    system = graph("C A", "D B", "F E", "G E")
    assert len({dot_text(system, name="SUS") for _ in range(3)}) == 1
    assert held(dot_text(system, name="SUS")) == [("A", "C"), ("B", "D"), ("E", "F"), ("E", "G")]


def test_any_text_is_shown_as_it_is() -> None:
    name = 'A"<&>\\N É'
    text = dot_text(Graph.build([StateInfo(name=name, index=0, doc="a\tb\x01\udce9")], []), name=name)
    assert text.encode()
    marks = next(line for line in text.splitlines() if "(0)" in line)
    assert r'label=<<b>A"&lt;&amp;&gt;\N É</b>>' in marks
    assert r'"A\"<&amp;>\\N É"' in marks and r"a\\tb\\x01\\udce9" in marks


# --- the focus --------------------------------------------------------------------------------------------------------


def test_the_focus_draws_its_states_alone_with_its_way_as_the_column() -> None:
    system = graph("INIT A B C D", "B X C", "D Y", DOWN={"goto": 1})
    looked_at = focus(system, state="B", target="C", request="C")
    text = dot_text(system, name="SUS", focus=looked_at)
    assert list(states(text)) == ["A", "B", "C", "D", "DOWN", "X"]
    assert {name for name, marks in states(text).items() if 'group="B"' in marks} == {"B", "C", "D"}
    assert set(edges(text)) == {("A", "B"), ("B", "C"), ("C", "D"), ("B", "X"), ("X", "C")}


def test_a_step_of_the_way_over_a_goto_state_is_drawn_in_the_focus_though_nobody_declared_it() -> None:
    system = graph("INIT A B C", "DOWN A", DOWN={"goto": 1})
    text = dot_text(system, name="SUS", focus=focus(system, state="C", target="DOWN", request="A"))
    assert ("C", "DOWN") in edges(text) and ("B", "DOWN") not in edges(text)
