"""The state graph: the cheapest path against a search of every path, and what is refused."""

from __future__ import annotations

import time
from fractions import Fraction
from itertools import pairwise, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardian.core.graph import Edge, Graph, StateInfo, assign_indices
from guardian.errors import GraphError

WEIGHTS = st.sampled_from([1, 1, 1, 2, 0.1, 0.2, 0.3, 0.5, 1.5, 1e-3])
NAMES = ["INIT", "A", "B", "C", "D", "E"]
BOUNDED = settings(max_examples=40)


def state(name: str, index: int | None = None, **more: object) -> StateInfo:
    return StateInfo(name=name, index=index, source=f"TEST.py:{len(name)}", **more)  # type: ignore[arg-type]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    names = NAMES[: draw(st.integers(1, 5))]
    numbers = draw(st.permutations([0, 7, -2, 3, -9, 100]))
    infos = [state(n, i, goto=draw(st.none() | st.none() | WEIGHTS)) for n, i in zip(names, numbers, strict=False)]
    pairs = draw(st.sets(st.tuples(st.sampled_from(names), st.sampled_from(names)), max_size=14))
    return Graph.build(infos, [Edge(start=a, end=b, weight=draw(WEIGHTS)) for a, b in sorted(pairs)])


def best_path(graph: Graph, start: str, end: str) -> tuple[str, ...] | None:
    """R5, R19 by trying everything: least cost, then fewest edges, then smallest indices."""
    weight = {(e.start, e.end): Fraction(str(e.weight)) for e in graph.edges}
    between = [n for n in graph.states if n not in (start, end)]
    ways = []
    for size in range(len(between) + 1):
        for middle in permutations(between, size):
            way = (start, *middle, end)
            hops = list(pairwise(way))
            if all(hop in weight for hop in hops):
                ways.append((sum(weight[hop] for hop in hops), len(hops), [graph.index(n) for n in way], way))
    return min(ways)[3] if ways else None


@BOUNDED
@given(graphs())
def test_R5_the_path_is_the_best_of_all(graph: Graph) -> None:
    for start in graph.states:
        for end in graph.states:
            expected = (start,) if start == end else best_path(graph, start, end)
            found = graph.path(start, end)
            assert found == expected
            cost = graph.cost(start, end)
            if found is None:
                assert graph.step(start, end) is None and cost is None
                sentence = graph.why_no_path(start, end)
                assert f"{start} -> {end}" in sentence and ("come from" in sentence or "no edge leads" in sentence)
            else:
                weight = {(e.start, e.end): Fraction(str(e.weight)) for e in graph.edges}
                assert cost == float(sum(weight[hop] for hop in pairwise(found)))
                assert graph.step(start, end) == found[min(1, len(found) - 1)]


@BOUNDED
@given(graphs())
def test_the_steps_to_a_state_come_in_an_order_in_which_each_has_been_there_before(graph: Graph) -> None:
    for end in graph.states:
        seen = {end}
        for start, step in graph.steps_to(end):
            assert step in seen and start not in seen and step == graph.step(start, end)
            seen.add(start)
        assert seen == {start for start in graph.states if graph.path(start, end)}


@BOUNDED
@given(graphs(), st.randoms(use_true_random=False))
def test_a_plan_does_not_depend_on_the_order_of_the_parts(graph: Graph, dice: object) -> None:
    infos, edges = list(graph.states.values()), [e for e in graph.edges if not e.implied]
    dice.shuffle(infos)  # type: ignore[attr-defined]
    dice.shuffle(edges)  # type: ignore[attr-defined]
    again = Graph.build(infos, edges)
    assert list(again.states) == list(graph.states)
    assert all(again.path(a, b) == graph.path(a, b) for a in graph.states for b in graph.states)


def test_R19_weights_are_added_exactly() -> None:
    infos = [state("A", 1), state("B", 2), state("C", 3), state("D", 4)]
    edges = [("A", "B", 0.1), ("B", "D", 0.2), ("A", "C", 0.3), ("C", "D", 1e-9), ("A", "D", 0.3)]
    graph = Graph.build(infos, [Edge(start=a, end=b, weight=w) for a, b, w in edges])
    assert graph.path("A", "D") == ("A", "D")  # 0.1 + 0.2 is not dearer, but longer


@pytest.mark.parametrize(("x", "y", "first"), [(5, 9, "X"), (9, 5, "Y"), (-2, 5, "X"), (0, -7, "Y")])
def test_R19_equal_paths_of_equal_length_go_by_the_smallest_index(x: int, y: int, first: str) -> None:
    infos = [state("A", 1), state("X", x), state("Y", y), state("Z", 4)]
    pairs = [("A", "Y"), ("A", "X"), ("X", "Z"), ("Y", "Z")]
    for order in (pairs, pairs[::-1]):
        assert Graph.build(infos, [Edge(start=a, end=b) for a, b in order]).path("A", "Z") == ("A", first, "Z")


def test_R19_a_goto_state_has_an_edge_from_every_other_and_a_declared_one_wins() -> None:
    infos = [state("INIT", 0), state("A", 1), state("B", 2), state("DOWN", 3, goto=5)]
    graph = Graph.build(infos, [Edge(start="A", end="DOWN", weight=0.5), Edge(start="INIT", end="A")])
    assert {(e.start, e.weight, e.implied) for e in graph.edges if e.end == "DOWN"} == {
        ("INIT", 5, True),
        ("A", 0.5, False),
        ("B", 5, True),
    }
    assert graph.path("INIT", "DOWN") == ("INIT", "A", "DOWN") and graph.cost("B", "DOWN") == 5
    assert graph.is_goto("DOWN") and not graph.is_goto("A") and not graph.is_goto("NONE")


def test_the_menu_and_the_states_are_in_order_of_their_indices() -> None:
    graph = Graph.build([state("A", 50), state("B", -3), state("INIT", 0, request=False)], [])
    assert list(graph.states) == ["B", "INIT", "A"] and graph.menu == ("B", "A")
    assert (graph.name(50), graph.name(1), graph.index("NONE"), graph.index("A")) == ("A", None, -1, 50)


# --- R20 indices


def numbers(*states: StateInfo, remembered: dict[str, int] | None = None) -> dict[str, int | None]:
    return {s.name: s.index for s in assign_indices(states, remembered)}


def test_R20_INIT_is_0_if_free_the_others_count_down_from_minus_2() -> None:
    assert numbers(state("A"), state("INIT"), state("B")) == {"A": -2, "INIT": 0, "B": -3}
    assert numbers(state("A", 0), state("INIT"), state("B")) == {"A": 0, "INIT": -2, "B": -3}


def test_R20_a_number_that_a_state_gave_itself_is_stepped_over() -> None:
    assert numbers(state("A"), state("B", -3), state("C"), state("D", -(2**31))) == {
        "A": -2,
        "B": -3,
        "C": -4,
        "D": -(2**31),
    }


def test_R20_kept_over_loads_and_never_given_to_another_name() -> None:
    first = numbers(state("A"), state("B"))
    assert first == {"A": -2, "B": -3}
    second = numbers(state("C"), state("B"), remembered=first)  # type: ignore[arg-type]
    assert second == {"C": -4, "B": -3}
    third = numbers(state("D"), state("A"), remembered={**first, **second})  # type: ignore[dict-item]
    assert third == {"D": -5, "A": -2}


def test_R20_a_remembered_number_that_a_state_now_claims_is_given_up() -> None:
    assert numbers(state("A"), state("B", -2), remembered={"A": -2}) == {"A": -3, "B": -2}


@BOUNDED
@given(
    st.lists(
        st.lists(
            st.tuples(st.sampled_from(NAMES), st.none() | st.none() | st.integers(-4, 4).filter(lambda i: i != -1)),
            min_size=1,
            unique_by=lambda t: t[0],
        ),
        max_size=5,
    )
)
def test_R20_over_many_loads(loads: list[list[tuple[str, int | None]]]) -> None:
    remembered: dict[str, int] = {}
    for load in loads:
        own = {i for _, i in load if i is not None}
        given_now = assign_indices([state(n, i) for n, i in load], remembered)
        for (name, wanted), info in zip(load, given_now, strict=True):
            assert info.index is not None and info.index != -1
            if wanted is not None:
                assert info.index == wanted
                continue
            assert info.index not in own
            if name in remembered and remembered[name] not in own:
                assert info.index == remembered[name]
            else:
                assert info.index not in remembered.values() and (info.index < -1 or (name, info.index) == ("INIT", 0))
        automatic = [i.index for (_, wanted), i in zip(load, given_now, strict=True) if wanted is None]
        assert len(set(automatic)) == len(automatic)
        remembered |= {
            i.name: i.index for (_, w), i in zip(load, given_now, strict=True) if w is None and i.index is not None
        }


def test_R20_an_index_that_is_no_number_is_left_for_the_list_of_faults() -> None:
    infos = assign_indices([state("A", [1]), state("B")])  # type: ignore[arg-type]
    with pytest.raises(GraphError, match=r"state A .*index = \[1\]"):
        Graph.build(infos, [])


def test_R20_every_fault_is_listed() -> None:
    infos = [
        state("A", 1),
        state("B", 1),
        state("NONE", 4),
        state("C", -1),
        state("D", True),
        state("E", 2**31),
        state("F" * 40, 5),
        state("G", 6, goto=0),
        state("H", None),
        state("A", 9),
    ]
    edges = [
        Edge(start="A", end="NOWHERE"),
        Edge(start="X", end="Y"),
        Edge(start="A", end="B", weight=0),
        Edge(start="B", end="A", weight=-1),
        Edge(start="A", end="C", weight=float("nan")),
        Edge(start="A", end="D", weight=float("inf")),
        Edge(start="A", end="E", weight="2"),  # type: ignore[arg-type]
    ]
    with pytest.raises(GraphError) as caught:
        Graph.build(infos, edges)
    faults = caught.value.faults
    wanted = [
        "states A (TEST.py:1) and B (TEST.py:1) both have index 1",
        "NONE",
        "index -1 is reserved",
        "index = True",
        "index = 2147483648",
        "has 40 bytes",
        "goto = 0",
        "index = None",
        "A is there twice",
        "A -> NOWHERE names NOWHERE",
        "X -> Y names X and Y",
        "A -> B has weight 0",
        "B -> A has weight -1",
        "A -> C has weight nan",
        "A -> D has weight inf",
        "A -> E has weight '2'",
    ]
    assert len(faults) == len(wanted)
    for part in wanted:
        assert any(part in fault for fault in faults), (part, faults)


@pytest.mark.parametrize("infos", [[], [StateInfo(name="INIT", index=0)]])
def test_R20_no_states_at_all(infos: list[StateInfo]) -> None:
    with pytest.raises(GraphError, match="no states"):
        Graph.build(infos, [])


def test_R20_39_bytes_fit_also_of_letters_that_take_two() -> None:
    Graph.build([state("A" * 39, 1)], [])
    with pytest.raises(GraphError, match="40 bytes"):
        Graph.build([state("Ä" * 20, 1)], [])


@pytest.mark.parametrize("name", ["A\nB", "\udce9", "A\0"])
def test_R20_a_name_that_cannot_be_shown_is_refused(name: str) -> None:
    with pytest.raises(GraphError) as caught:
        Graph.build([state(name, 1)], [])
    assert str(caught.value).startswith(f"state {name!r} (")


def test_R16_the_sentence_names_what_stands_between() -> None:
    infos = [state(n, i) for i, n in enumerate(["INIT", "LOCKED", "DOWN", "MISALIGNED", "ALIGN"])]
    pairs = [("INIT", "DOWN"), ("DOWN", "ALIGN"), ("MISALIGNED", "ALIGN"), ("ALIGN", "LOCKED")]
    graph = Graph.build(infos, [Edge(start=a, end=b) for a, b in pairs])
    assert graph.why_no_path("LOCKED", "ALIGN") == (
        "no path LOCKED -> ALIGN; edges into ALIGN come from DOWN, MISALIGNED; no edge leads out of LOCKED. "
        "Request one of these first, or add an edge in TEST.py:6."
    )
    assert "INIT reaches DOWN, ALIGN, LOCKED" in graph.why_no_path("INIT", "MISALIGNED")
    many = Graph.build([state(f"S{i}", i) for i in range(20)], [Edge(start=f"S{i}", end="S1") for i in range(2, 19)])
    assert "and 11 more" in many.why_no_path("S0", "S1")


def test_a_big_graph_is_planned_in_no_time() -> None:
    infos = [state(f"S{i}", i, goto=1 if i % 50 == 7 else None) for i in range(500)]
    graph = Graph.build(infos, [Edge(start=f"S{i}", end=f"S{i + 1}", weight=0.1) for i in range(499)])
    assert graph.path("S0", "S9") == tuple(f"S{i}" for i in range(10))
    assert graph.path("S300", "S17") == ("S300", "S7", *(f"S{i}" for i in range(8, 18)))


def test_R16_the_sentence_is_found_in_one_walk_whatever_the_size_of_the_graph() -> None:
    """The host thinks for all its nodes: ways to each of a thousand states took ten seconds in which it was deaf."""
    infos = [state(f"S{i}", i) for i in range(1001)]
    pairs = [(f"S{i}", f"S{(i * k + k) % 1000}") for i in range(1000) for k in range(1, 6)]
    graph = Graph.build(infos, [Edge(start=a, end=b) for a, b in pairs])
    before = time.process_time()
    assert "S0 reaches S1, S2, S3, S4, S5, S6 and 993 more" in graph.why_no_path("S0", "S1000")
    assert time.process_time() - before < 2


@pytest.mark.parametrize(
    ("states", "gotos", "words"),
    [(1000, 1000, "make 1000000 ways, 100000 can be; give goto to fewer"), (10_001, 0, "10001 states are too many")],
)
def test_a_graph_that_would_stop_the_host_of_all_nodes_is_refused(states: int, gotos: int, words: str) -> None:
    infos = [StateInfo(name=f"S{i}", index=i, goto=1 if i < gotos else None, source="X.py:1") for i in range(states)]
    with pytest.raises(GraphError, match=words):
        Graph.build(infos, [])


def test_a_graph_of_five_thousand_states_is_taken() -> None:
    infos = [StateInfo(name=f"S{i}", index=i, goto=1 if i < 10 else None, source="X.py:1") for i in range(5000)]
    graph = Graph.build(infos, [Edge(start=f"S{i}", end=f"S{i + 1}") for i in range(4999)])
    assert graph.step("S0", "S9") == "S9" and graph.step("S10", "S4999") == "S11"
