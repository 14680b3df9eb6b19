"""Every way in which modules of the field are written, in modules of our own that run in a real worker.

Each row names a module of ``modules/``, the states it must have, and what comes of some of them, in this order: True
(complete), the state it jumps to, or an error by some words of it. Then the lines that its log must hold.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from guardian.core.events import Notifications
from guardian.core.graph import Edge
from tests.worker.patterns.conftest import MODULES, Node, visit

pytestmark = pytest.mark.proc


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """What must come of a module. ``states``: the names with their indices where the module gives them."""

    states: dict[str, int | None]
    visits: dict[str, bool | str] = field(default_factory=dict)
    says: tuple[str, ...] = ()
    warns: tuple[str, ...] = ()


#: By the name of the module; the docstring of each says what it is about.
PATTERNS = {
    "VIS_STAR1": Pattern(
        states={"INIT": 0, "SAFE": 10, "ALIGNED": 100},
        visits={"INIT": True, "SAFE": True, "ALIGNED": True},
        says=("INFO [ALIGNED.run] hidden: base, STAR1",),
    ),
    "VIS_CIRC1": Pattern(
        states={"INIT": 0, "ENGAGED": None}, visits={"ENGAGED": True}, says=("gains [('L', 1), ('P', 2)]",)
    ),
    "VIS_PICK1": Pattern(
        states={"INIT": 0, "SAFE": 8, "DAMPED": 9, "CHECKED": 30},
        visits={"INIT": "SAFE", "DAMPED": True, "CHECKED": True},
    ),
    "TUPLES": Pattern(states={"INIT": 0, "A": None, "B": None}, visits={"A": True, "B": True}),
    "FACTORY": Pattern(
        states={
            "INIT": 0,
            "IDLE": 3,
            "SET_FOR_FPMI": 4,
            "SET_FOR_PRMI": 5,
            "STEP_0": None,
            "STEP_1": None,
            "INJECT": 6,
            "ALERTED": 7,
        },
        visits={"IDLE": True, "SET_FOR_PRMI": True, "STEP_1": True, "INJECT": "ALERTED", "ALERTED": True},
        says=("INFO [SET_FOR_PRMI.main] configuration PRMI", "INFO [STEP_1.main] configuration step 1", "killed a"),
    ),
    "BASES": Pattern(
        states={"INIT": 0, "ENGAGE_PAY": None, "ENGAGE_IP": None, "INJECT_FAILURE_GRACEDB": 70},
        visits={"ENGAGE_PAY": True, "ENGAGE_IP": True, "INJECT_FAILURE_GRACEDB": True},
        says=(
            "['L', 'P'] engaged with 2 after True",
            "['Y'] engaged with 0.5 after True",
            "INJECT_FAILURE_GRACEDB: no database (hwinj)",
        ),
    ),
    "STACKED": Pattern(
        states={
            "INIT": 0,
            **dict.fromkeys(("COUNTED", "JUMPS", "REPLACED", "FAULTY", "TRIPPED", "INHERITED"), None),
        },
        visits={
            "COUNTED": True,
            "JUMPS": "TRIPPED",
            "TRIPPED": True,
            "REPLACED": True,
            "FAULTY": "TRIPPED",
            "INHERITED": True,
        },
    ),
    "SPINS": Pattern(
        states={"INIT": 0, "SPIN": None, "HELPED": None, "TWICE": None},
        visits={"SPIN": True, "HELPED": True, "TWICE": True},
        says=("waiting for the timer", "waiting 0.1 s"),
    ),
    "RETURNS": Pattern(
        states={
            "INIT": 0,
            **dict.fromkeys(
                (
                    *("NUMPY_TRUE", "NUMPY_COMPARED", "NUMPY_ONE", "NUMPY_TEXT", "NEGATED", "CALLED", "ITEM"),
                    *("ATTRIBUTE", "NUMBER", "LIST", "MAIN_ONLY", "FALSE_FIRST", "EMPTY_TEXT", "AMBIGUOUS"),
                ),
                None,
            ),
        },
        visits={
            "NUMPY_TRUE": True,
            "NUMPY_COMPARED": True,
            "NUMPY_ONE": True,
            "NUMPY_TEXT": "NUMPY_TRUE",
            "NEGATED": True,
            "CALLED": True,
            "ITEM": True,
            "ATTRIBUTE": True,
            "NUMBER": True,
            "LIST": True,
            "MAIN_ONLY": True,
            "FALSE_FIRST": True,
            "EMPTY_TEXT": "",
            "AMBIGUOUS": "AMBIGUOUS.run() raised TypeError: returned a numpy.ndarray that is neither true nor false",
        },
    ),
    "ALIASES": Pattern(
        states={"INIT": 0, "LOCKED": 5, "PARKED": 6},
        visits={"LOCKED": True, "PARKED": True},
    ),
    "NAMES": Pattern(
        states={"INIT": 0, "SAFE": None, "LOOP": None},
        visits={"SAFE": True, "LOOP": "SAFE"},
        says=("VIS-NAMES SAFE X1 XLAB True", "channels of X1:VIS-NAMES_"),
    ),
    "MANAGING": Pattern(
        states={"INIT": 0, "UP": None, "MAKES": None},
        visits={"UP": True, "MAKES": True},
        says=("the same channels: True",),
    ),
    "EZCAS": Pattern(
        states={"INIT": 0, "UP": None},
        visits={"UP": True},
        says=("named X1:GAIN", "snapshot /userapps/sus/x1/burtfiles/susmc1_safe.snap"),
    ),
    "TABBED": Pattern(
        states={"INIT": 0, "UP": 1},
        visits={"UP": True},
        says=(r"'tab:\n\tkept'",),
        warns=("TABBED.py:10 mixes tabs and spaces; read with tab stops of 8, as Python 2 did; re-indent the file",),
    ),
    "DANGLING": Pattern(
        states={"INIT": 0, "UP": None, "BY_STATE": None, "BY_DECORATOR": None},
        visits={"UP": True, "BY_STATE": "FAILURE_TO_CREATE_STREAM", "BY_DECORATOR": "PRE_TRIPPED"},
    ),
}


@pytest.mark.parametrize("name", PATTERNS)
def test_a_module_of_the_field_runs(node: Node, name: str) -> None:
    pattern = PATTERNS[name]
    worker = node(name)
    facts = worker.loaded()
    given = {s.name: s.index for s in facts.states if s.name in pattern.states}
    assert {n: given[n] if pattern.states[n] is not None else None for n in given} == pattern.states
    assert len(facts.states) == len(pattern.states), [s.name for s in facts.states]
    assert facts.warnings == pattern.warns
    for state, expected in pattern.visits.items():
        came = visit(worker, state)
        assert came == expected or (isinstance(expected, str) and expected and expected in str(came)), worker.story()
    for words in pattern.says:
        worker.says(words)
    worker.stop()


def test_what_the_graph_makes_of_edges_attributes_and_names(node: Node) -> None:
    facts = node("TUPLES").loaded()
    assert facts.edges == (
        Edge(start="INIT", end="A"),
        Edge(start="A", end="B"),
        Edge(start="B", end="A", weight=3),
        Edge(start="INIT", end="A"),
    )
    facts = node("VIS_PICK1").loaded()
    assert [(e.start, e.end) for e in facts.edges] == [
        ("INIT", "SAFE"),
        ("SAFE", "DAMPED"),
        ("DAMPED", "SAFE"),
        ("DAMPED", "INIT"),
        ("SAFE", "CHECKED"),
    ]
    assert facts.nominal == facts.request == "DAMPED"
    by_name = {s.name: s for s in node("ALIASES").loaded().states}
    assert (by_name["LOCKED"].request, by_name["PARKED"].request, by_name["PARKED"].goto) == (False, False, 9)
    facts = node("NAMES").loaded()
    assert (facts.prefix, facts.edges[0].end, facts.request) == ("VIS-NAMES", "SAFE", None)
    by_name = {s.name: s for s in node("FACTORY").loaded().states}
    assert (by_name["IDLE"].goto, by_name["SET_FOR_PRMI"].request) == (1, False)
    assert by_name["STEP_0"].doc == "Sets one configuration." and by_name["IDLE"].source == "factory_lib.py:8"
    facts = node("VIS_STAR1").loaded()
    assert (facts.request, facts.nominal, len(facts.edges)) == ("ALIGNED", "ALIGNED", 2)
    assert [Path(f).name for f in facts.usercode] == ["star_base.py", "star_master.py", "star_type.py"]


def test_misspelt_hooks_are_ignored_and_good_ones_notify(node: Node) -> None:
    worker = node("STACKED")
    worker.loaded()
    assert visit(worker, "FAULTY") == "TRIPPED"
    assert worker.hear(Notifications).texts == ("oplev",)
    worker.stop()


def test_a_library_may_be_a_link_with_an_absolute_target(node: Node, tmp_path: Path) -> None:
    shutil.copy(MODULES / "VIS_LINK1.py", tmp_path)
    (tmp_path / "vistools.py").symlink_to((MODULES / "scripts" / "vistools.py").absolute())
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "more_tools.py").write_text("OPTIC = 'LINK1'\n")
    worker = node("VIS_LINK1", tmp_path)
    facts = worker.loaded()
    assert visit(worker, "UP") is True
    assert facts.usercode == (str(tmp_path / "more" / "more_tools.py"), str(tmp_path / "vistools.py"))
    worker.stop()


@pytest.mark.parametrize(
    ("name", "words", "imported"),
    [
        (
            "NO_KAGRA",
            "NO_KAGRA: ModuleNotFoundError: No module named 'kagralib' (nokagra_lib.py:3); to get it: it is KAGRA's "
            "own, put it in one of the search paths",
            'nokagra_lib.py", line 3',
        ),
        (
            "OLD_NODE",
            "OLD_NODE: SyntaxError: this is Python 2 (a print statement): print 'value %s' % value -- re-write the "
            "line, or the file with 2to3 (old_lib.py:3)",
            'OLD_NODE.py", line 2',
        ),
    ],
)
def test_what_cannot_be_loaded_is_one_line_and_the_log_has_the_users_lines_alone(
    node: Node, name: str, words: str, imported: str
) -> None:
    worker = node(name)
    assert worker.load_failed() == words
    said = "\n".join(worker.log)
    assert imported in said and "guardian/" not in said and "importlib" not in said


def test_every_module_here_is_in_some_test() -> None:
    text = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    nodes = {path.stem for path in MODULES.glob("*.py") if path.stem.isupper()}
    assert {name for name in nodes if f'"{name}"' not in text} == set()
