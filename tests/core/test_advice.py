"""What is said of a system, from its tables alone: each kind of finding, that nothing else is said, and the order."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardian.core.advice import Finding, ImportRead, Jump, Misspelt, Sleep, SourceFacts, advise
from guardian.core.graph import Edge, Graph, StateInfo, SystemFacts

BOUNDED = settings(max_examples=60)


def states(*names: str, **more: dict[str, object]) -> tuple[StateInfo, ...]:
    """States numbered 0, 1, ...; ``more`` by name."""
    return tuple(
        StateInfo(name=name, index=i, source=f"SUS.py:{10 * i + 1}", **more.get(name, {}))  # type: ignore[arg-type]
        for i, name in enumerate(names)
    )


def edges(*ways: str) -> tuple[Edge, ...]:
    """ "A B C" is the edges A -> B -> C."""
    return tuple(Edge(start=a, end=b) for way in ways for a, b in pairwise(way.split()))


def system(*ways: str, **more: dict[str, object]) -> SystemFacts:
    names = dict.fromkeys(["INIT", *" ".join(ways).split(), *more])
    return SystemFacts(states=states(*names, **more), edges=edges(*ways))


def said(facts: SystemFacts, **source: tuple[object, ...]) -> tuple[Finding, ...]:
    return advise(facts, SourceFacts(**source), redirect_timeout_s=2.0)  # type: ignore[arg-type]


def only(facts: SystemFacts, **source: tuple[object, ...]) -> Finding:
    (finding,) = said(facts, **source)
    return finding


def jump(state: str, to: str, where: str = "SUS.py:5", method: str = "run") -> Jump:
    return Jump(state=state, method=method, to=to, where=where)


def test_nothing_is_said_of_a_system_in_order() -> None:
    facts = system("INIT DOWN UP", DOWN={"goto": 1})
    assert said(facts, jumps=(jump("UP", "DOWN"),)) == ()


# --- jumps --------------------------------------------------------------------------------------------------------


def test_a_dangling_jump_names_the_state_the_value_and_what_is_near() -> None:
    facts = system("INIT LOCKLOSS DOWN UP")
    finding = only(facts, jumps=(jump("UP", "LOCKLOS", "SUS.py:47"), jump("UP", "DOWN")))
    assert (finding.kind, finding.level, finding.where, finding.state) == ("dangling-jump", "error", "SUS.py:47", "UP")
    assert finding.text == (
        "run() of UP jumps to 'LOCKLOS', which names no state: the node would stop there in ERROR; is LOCKLOSS meant?"
    )


def test_a_jump_to_nothing_near_says_what_to_do() -> None:
    assert only(system("INIT UP"), jumps=(jump("UP", "x" * 900),)).text == (
        f"run() of UP jumps to '{'x' * 60}'..., which names no state: the node would stop there in ERROR; "
        "correct the name, or define the state"
    )


@pytest.mark.parametrize("to", ["up", "Up", "UPP"])
def test_a_jump_with_another_spelling_is_near(to: str) -> None:
    assert only(system("INIT UP"), jumps=(jump("UP", to),)).text.endswith("is UP meant?")


@pytest.mark.parametrize("to", ["", "NONE", "\ud800", "a\nb"])
def test_odd_jumps_dangle_on_one_line(to: str) -> None:
    finding = only(system("INIT UP"), jumps=(jump("UP", to),))
    assert repr(to) in finding.text and "\n" not in finding.text


def test_one_fault_is_one_finding_however_many_states_have_it() -> None:
    names = [f"S{i}" for i in range(12)]
    facts = system("INIT " + " ".join(names))
    finding = only(facts, jumps=tuple(jump(n, "GONE", method=f"check.{h}") for n in names for h in ("a", "b")))
    assert finding.text.startswith(
        "check.a() and check.b() on S0, S1, S2, S3, S4, S5, S6, S7, S8, S9 and 2 more jumps to 'GONE'"
    )
    assert finding.state == ""


# --- sleeps -------------------------------------------------------------------------------------------------------


def sleep(state: str, seconds: float, where: str = "SUS.py:7") -> Sleep:
    return Sleep(state=state, method="main", seconds=seconds, where=where)


def test_a_sleep_longer_than_a_redirect_waits() -> None:
    finding = only(system("INIT A B"), sleeps=(sleep("A", 2.5), sleep("B", 2.5), sleep("A", 2.0, "SUS.py:9")))
    assert (finding.kind, finding.level, finding.where, finding.state) == ("long-sleep", "warning", "SUS.py:7", "")
    assert finding.text.startswith("main() of A, B sleeps 2.5 s, longer than redirect_timeout, 2 s:")
    assert "self.timer['nap'] = 2.5" in finding.text


def test_a_sleep_where_no_redirect_strikes_is_fine() -> None:
    assert said(system("INIT A", A={"redirect": False}), sleeps=(sleep("INIT", 9), sleep("A", 9))) == ()


def test_the_redirect_timeout_of_the_module_goes_first() -> None:
    facts = system("INIT A")
    slow = SystemFacts(states=facts.states, edges=facts.edges, redirect_timeout_s=60.0)
    assert said(slow, sleeps=(sleep("A", 60),)) == ()
    quick = SystemFacts(states=facts.states, edges=facts.edges, redirect_timeout_s=0.5)
    assert "redirect_timeout, 0.5 s" in only(quick, sleeps=(sleep("A", 1),)).text


def watched(facts: SystemFacts, watchdog_s: float | None, **states: float | None) -> SystemFacts:
    """The facts with the watchdog of the module, and of single states."""
    told = tuple(replace(s, watchdog_s=states.get(s.name)) for s in facts.states)
    return replace(facts, states=told, watchdog_s=watchdog_s)


def test_a_sleep_that_the_watchdog_does_not_let_end() -> None:
    facts = watched(system("INIT A B", A={"redirect": False}, B={"redirect": False}), 10.0, B=60.0)
    finding = only(facts, sleeps=(sleep("A", 30), sleep("B", 30), sleep("A", 9, "SUS.py:9")))
    assert (finding.kind, finding.level, finding.where, finding.state) == ("watchdog", "error", "SUS.py:7", "A")
    assert finding.text.startswith("main() of A sleeps 30 s, and watchdog = 10 has its process killed before that is")
    assert "self.timer['nap'] = 30" in finding.text


def test_a_state_that_switches_the_watchdog_off_may_sleep() -> None:
    facts = watched(system("INIT A", A={"redirect": False}), 10.0, A=0.0)
    assert said(facts, sleeps=(sleep("A", 30),)) == ()
    assert said(watched(facts, None), sleeps=(sleep("A", 30),)) == ()


# --- what is read at import, misspelt, or odd -----------------------------------------------------------------------


def test_channels_used_at_import_one_line_one_finding() -> None:
    reads = tuple(ImportRead(channel=f"X1:A-{i}", write=False, where="lib.py:3") for i in range(11))
    finding = only(system("INIT A"), reads=(*reads, reads[0]))
    assert (finding.kind, finding.level, finding.where) == ("import-read", "warning", "lib.py:3")
    assert finding.text.startswith("reads X1:A-0, X1:A-1, ") and "X1:A-9 and 1 more when the module is" in finding.text


def test_a_write_at_import_is_worse_than_a_read() -> None:
    read = ImportRead(channel="X1:A", write=False, where="SUS.py:3")
    write = ImportRead(channel="X1:A", write=True, where="SUS.py:30")
    assert [(f.kind, f.level) for f in said(system("INIT A"), reads=(read, write))] == [
        ("import-write", "error"),
        ("import-read", "warning"),
    ]


def test_a_misspelt_name_says_which_is_meant() -> None:
    finding = only(
        system("INIT A"), misspelt=(Misspelt(owner="check", name="pre_exc", meant="pre_exec", where="SUS.py:4"),)
    )
    assert (finding.kind, finding.level, finding.where) == ("misspelt", "warning", "SUS.py:4")
    assert finding.text == "check.pre_exc is used by nothing: is pre_exec meant? Then rename it"


def test_a_state_without_index_gets_a_note_with_its_number() -> None:
    facts = SystemFacts(
        states=(StateInfo(name="INIT", index=0), StateInfo(name="A", index=-2, source="SUS.py:9")),
        edges=edges("INIT A"),
    )
    finding = only(facts, unnumbered=("INIT", "A"))
    assert (finding.kind, finding.level, finding.where, finding.state) == ("no-index", "note", "SUS.py:9", "A")
    assert finding.text == "A has no index, for now -2; archives tell states by their numbers, so give one"


def test_states_without_index_are_one_note_a_file() -> None:
    places = ("SUS.py:9", "lib.py:3", "SUS.py:20")
    infos = tuple(StateInfo(name=n, index=-2 - i, source=p) for i, (n, p) in enumerate(zip("ABC", places, strict=True)))
    found = said(
        SystemFacts(states=(StateInfo(name="INIT", index=0), *infos), edges=edges("INIT A B C")),
        unnumbered=tuple("ABC"),
    )
    assert [(f.where, f.state, f.text.partition(";")[0]) for f in found] == [
        ("SUS.py:9", "", "A, C have no index, for now -2, -4"),
        ("lib.py:3", "B", "B has no index, for now -3"),
    ]


@pytest.mark.parametrize(
    ("text", "where", "rest"),
    [
        ("nominal = 'B' names no state", "", "nominal = 'B' names no state"),
        ("SUS.py:10 mixes tabs and spaces", "SUS.py:10", "mixes tabs and spaces"),
        ("", "", ""),
    ],
)
def test_warnings_of_the_load_are_passed_on(text: str, where: str, rest: str) -> None:
    facts = SystemFacts(states=states("INIT", "A"), edges=edges("INIT A"), warnings=(text,))
    assert only(facts) == Finding(kind="load", level="warning", text=rest, where=where)


# --- states nobody reaches ----------------------------------------------------------------------------------------


def test_a_state_nobody_reaches_is_told_with_what_lies_behind() -> None:
    finding = only(system("INIT A", "C D B C", "E B"))
    assert (finding.kind, finding.level, finding.where, finding.state) == ("unreachable", "warning", "SUS.py:51", "E")
    assert finding.text.startswith("no edge or jump leads from INIT to E, nor to C, D, B behind it: only MODE=MANUAL")


def test_each_way_that_is_missing_is_a_finding() -> None:
    found = said(system("INIT A", "B A", "C A"))
    assert [(f.state, f.text.split(":")[0]) for f in found] == [
        ("B", "no edge or jump leads from INIT to B"),
        ("C", "no edge or jump leads from INIT to C"),
    ]


def test_goto_states_jumps_and_names_in_the_code_lead_to_a_state() -> None:
    assert said(system("INIT A", "B C", B={"goto": 1})) == ()
    assert said(system("INIT A", "B C"), jumps=(jump("A", "B"),)) == ()
    assert said(system("INIT A", "B C"), mentioned=("B",)) == ()


# --- shortcuts ------------------------------------------------------------------------------------------------------


def test_a_shortcut_through_a_goto_state_names_both_ways_and_the_cure() -> None:
    facts = system("INIT DOWN A B C D", "D C B A", DOWN={"goto": 1})
    finding = only(facts)
    assert (finding.kind, finding.level, finding.where, finding.state) == ("shortcut", "warning", "SUS.py:11", "DOWN")
    # two ways of two edges are told apart by their numbers (R19)
    assert finding.text == (
        "2 requests lead through DOWN although edges lead around it: C -> DOWN -> A (2) beats C -> B -> A (2); "
        "D -> DOWN -> A (2) beats D -> C -> B -> A (3). "
        "goto = 3 in DOWN keeps to the edges; if it is meant, declare the edges into DOWN"
    )
    assert said(system("INIT DOWN A B C D", "D C B A", DOWN={"goto": 3})) == (), "the cure does not help"
    assert said(system("INIT DOWN A B C D", "D C B A", "D DOWN", "C DOWN", DOWN={"goto": 1})) == (), (
        "nor does the other"
    )


@pytest.mark.parametrize(("weight", "cure"), [(2.75, 2), (3, 3), (4.5, 4)])
def test_the_cure_is_the_least_number_that_helps(weight: float, cure: int) -> None:
    """C -> B -> A against C -> DOWN -> A; goto is 1, the edge from DOWN 1.5."""

    def facts(goto: int) -> SystemFacts:
        ways = (*edges("INIT DOWN B C"), Edge(start="DOWN", end="A", weight=1.5), Edge(start="C", end="B", weight=0.5))
        return SystemFacts(
            states=states("INIT", "DOWN", "A", "B", "C", DOWN={"goto": goto}),
            edges=(*ways, Edge(start="B", end="A", weight=weight)),
        )

    (finding,) = (f for f in said(facts(1)) if f.kind == "shortcut")
    assert f"goto = {cure} in DOWN" in finding.text
    assert [f for f in said(facts(cure)) if f.kind == "shortcut"] == []
    assert [f.kind for f in said(facts(cure - 1))] == ["shortcut"]


def test_many_shortcuts_are_told_in_one_line_the_shortest_detours_first() -> None:
    names = [f"S{i:02}" for i in range(15)]
    text = only(system("INIT DOWN " + " ".join(names), " ".join(reversed(names)), DOWN={"goto": 1})).text
    assert text.startswith(
        "49 requests lead through DOWN although edges lead around it: S02 -> DOWN -> S00 (2) beats S02 -> S01 -> S00 "
        "(2); S03 -> DOWN"
    )
    assert "; and 46 more. goto = 14 in DOWN" in text and len(text) < 500


def test_long_ways_are_cut_in_the_middle() -> None:
    facts = system("INIT S1 S2 S3 S4 S5 A", DOWN={"goto": 1})
    ways = tuple(Edge(start=e.start, end=e.end, weight=3 if e.start == "INIT" else 0.25) for e in facts.edges)
    text = only(SystemFacts(states=facts.states, edges=(*ways, Edge(start="DOWN", end="A")))).text
    assert "INIT -> DOWN -> A (2) beats INIT -> S1 -> (3 more) -> S5 -> A (4.25)" in text


@pytest.mark.parametrize(
    "facts",
    [
        system("INIT DOWN A B C", DOWN={"goto": 1}),  # no other way
        system("INIT DOWN A B C LOST DOWN", DOWN={"goto": 1}),  # the declared way leads there too
        system("INIT DOWN A B C D", "D C B A", DOWN={"goto": 1}, A={"request": False}),  # nobody asks for it
        system("INIT A B C D DOWN", DOWN={"goto": 1}),  # it is DOWN that is asked for
    ],
)
def test_a_way_through_a_goto_state_that_is_no_surprise(facts: SystemFacts) -> None:
    assert [f for f in said(facts) if f.kind == "shortcut"] == []


# --- all of them --------------------------------------------------------------------------------------------------


def test_errors_first_then_by_file_and_line() -> None:
    facts = system("INIT A")
    found = said(
        facts,
        jumps=(jump("A", "X", "b.py:10"), jump("A", "Y", "b.py:9"), jump("A", "Z", "a.py:30"), jump("A", "V", "odd")),
        sleeps=(sleep("A", 9, "a.py:1"),),
        unnumbered=("A",),
    )
    assert [(f.level, f.where) for f in found] == [
        ("error", "odd"),
        ("error", "a.py:30"),
        ("error", "b.py:9"),
        ("error", "b.py:10"),
        ("warning", "a.py:1"),
        ("note", "SUS.py:11"),
    ]


NAMES = ["INIT", "A", "B", "C", "DOWN", "SAFE"]
WHERES = st.sampled_from(["", "SUS.py:3", "SUS.py:12", "lib.py:1", "x:y", "lib.py:²"])
TEXTS = st.sampled_from(NAMES) | st.text(max_size=50)
METHODS = st.sampled_from(["main", "run", "check.pre_exec"])
SOURCES = st.builds(
    SourceFacts,
    jumps=st.lists(
        st.builds(Jump, state=st.sampled_from(NAMES), method=METHODS, to=TEXTS, where=WHERES), max_size=6
    ).map(tuple),
    sleeps=st.lists(
        st.builds(
            Sleep, state=st.sampled_from(NAMES), method=METHODS, seconds=st.floats(allow_nan=False), where=WHERES
        ),
        max_size=4,
    ).map(tuple),
    misspelt=st.lists(st.builds(Misspelt, owner=TEXTS, name=TEXTS, meant=TEXTS, where=WHERES), max_size=3).map(tuple),
    reads=st.lists(st.builds(ImportRead, channel=TEXTS, write=st.booleans(), where=WHERES), max_size=4).map(tuple),
    unnumbered=st.lists(st.sampled_from(NAMES), unique=True).map(tuple),
    mentioned=st.lists(TEXTS, max_size=3).map(tuple),
)


@st.composite
def systems(draw: st.DrawFn) -> SystemFacts:
    weight = st.sampled_from([1, 1, 2, 0.5, 3])
    flags = st.fixed_dictionaries(
        {"goto": st.none() | st.none() | weight, "request": st.booleans(), "redirect": st.booleans()}
    )
    pairs = draw(st.sets(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=12))
    return SystemFacts(
        states=states(*NAMES, **{name: draw(flags) for name in NAMES}),
        edges=tuple(Edge(start=a, end=b, weight=draw(weight)) for a, b in sorted(pairs)),
    )


@BOUNDED
@given(systems(), SOURCES)
def test_any_tables_give_the_same_lines_each_time(facts: SystemFacts, source: SourceFacts) -> None:
    found = advise(facts, source, redirect_timeout_s=2.0)
    assert found == advise(facts, source, redirect_timeout_s=2.0)
    assert [f.level for f in found] == sorted((f.level for f in found), key=["error", "warning", "note"].index)
    assert {f.state for f in found} <= {"", *NAMES}
    assert msgspec.convert(msgspec.to_builtins(found), tuple[Finding, ...]) == found


@BOUNDED
@given(systems())
def test_a_state_is_called_unreachable_if_no_path_leads_there(facts: SystemFacts) -> None:
    graph = Graph.build(facts.states, facts.edges)
    lost = {name for name in NAMES if graph.path("INIT", name) is None}
    told = [f for f in said(facts) if f.kind == "unreachable"]
    assert {f.state for f in told} <= lost
    assert {name for name in lost if not any(name in f.text for f in told)} == set()


@BOUNDED
@given(systems())
def test_what_the_cure_of_a_shortcut_promises_holds(facts: SystemFacts) -> None:
    for finding in said(facts):
        if finding.kind == "shortcut":
            weight = int(finding.text.split("goto = ")[1].split()[0])
            cured = tuple(
                StateInfo(
                    name=s.name, index=s.index, request=s.request, goto=weight if s.name == finding.state else s.goto
                )
                for s in facts.states
            )
            left = said(SystemFacts(states=cured, edges=facts.edges))
            assert finding.state not in {f.state for f in left if f.kind == "shortcut"}


@BOUNDED
@given(SOURCES)
def test_source_facts_go_over_a_pipe(source: SourceFacts) -> None:
    assert msgspec.convert(msgspec.to_builtins(source), SourceFacts) == source
