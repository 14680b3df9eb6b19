"""What the source of a system says: where it jumps and how long it sleeps, each in the ways people write it.

Each row is the body of a ``run()`` and what must be read in it; most say what must *not* be read, because a check with
false alarms is not run twice.
"""

from __future__ import annotations

import textwrap

import pytest

from guardian.core.advice import ImportRead, SourceFacts
from guardian.worker.survey import survey
from tests.worker.conftest import Load

HEAD = """\
import time
from time import sleep
from guardian import GuardState, GuardStateDecorator
import LIB
from LIB import fail, nap, FAULT

TRIPPED = 'TRIPPED'
PAUSE = 2
CHANGED = 'OLD'
stages = ['A']


def change():
    global CHANGED
    CHANGED = 'NEW'


def wrapped(function):
    def inner(self):
        return function(self)
    return inner


def returning(value):
    class answer(GuardStateDecorator):
        def pre_exec(self):
            return value
    return answer


class check(GuardStateDecorator):
    to = 'CHECKED'
    def pre_exec(self):
        if not self.state:
            return self.to


class tidy(GuardStateDecorator):
    def post_exec(self):
        return 'TIDIED' if stages else None


class own_way(GuardStateDecorator):
    def pre_exec(self):
        return 'NEVER'
    def __call__(self, state):
        return self.func(state)


class BASE(GuardState):
    goal = 'GOAL'
    def helper(self):
        return 'HELPED'
    def run(self):
        return 'BASED'
"""
LIB = """\
import time
FAULT = 'FAULT'
class Names:
    LOST = 'LOST'
def fail(why=None):
    if why:
        return None
    return 'FAILED'
def nap():
    time.sleep(30)
def spawn():
    def later():
        time.sleep(99)
    return later
"""


@pytest.fixture
def read(system: Load):
    """The jumps and the sleeps of X, a state with these lines."""

    def reading(lines: str, after: str = "") -> SourceFacts:
        body = textwrap.indent(textwrap.dedent(lines), "    ")
        loaded = system(f"{HEAD}\n\nclass X(BASE):\n{body}\n{textwrap.dedent(after)}", LIB=LIB)
        return survey(loaded, ())[1]

    return reading


def run(body: str) -> str:
    """A class with this run()."""
    return "def run(self):\n" + textwrap.indent(textwrap.dedent(body), "    ")


def jumps(seen: SourceFacts) -> set[tuple[str, str]]:
    return {(jump.method, jump.to) for jump in seen.jumps if jump.state == "X"}


@pytest.mark.parametrize(
    ("body", "to"),
    [
        ("return 'A'", {"A"}),
        ("return TRIPPED", {"TRIPPED"}),
        ("return FAULT", {"FAULT"}),
        ("return LIB.FAULT", {"FAULT"}),
        ("return LIB.Names.LOST", {"LOST"}),
        ("return self.goal", {"GOAL"}),
        ("return X.goal", {"GOAL"}),
        ("return 'A' + '_' + FAULT", {"A_FAULT"}),
        ("return 'A' if stages else 'B'", {"A", "B"}),
        ("return stages and 'A'", {"A"}),
        ("return stages and 'A' or 'B'", {"A", "B"}),
        ("return '' or 'B'", {"B"}),
        ("return (found := 'A')", {"A"}),
        ("to = 'A'\nreturn to", {"A"}),
        ("if stages:\n    return 'A'\nelif PAUSE:\n    return 'B'\nelse:\n    return 'C'", {"A", "B", "C"}),
        ("for s in stages:\n    return 'A'\nelse:\n    return 'B'", {"A", "B"}),
        ("try:\n    pass\nexcept OSError:\n    return 'A'\nfinally:\n    return 'B'", {"A", "B"}),
        ("with open('x') as file:\n    return 'A'", {"A"}),
        ("match PAUSE:\n    case 1:\n        return 'A'\n    case _:\n        return 'B'", {"A", "B"}),
        ("while True:\n    return 'A'", {"A"}),
        ("return fail()", {"FAILED"}),
        ("return LIB.fail(3)", {"FAILED"}),
        ("return self.helper()", {"HELPED"}),
        ("return super().run()", {"BASED"}),
        ("return super(X, self).run()", {"BASED"}),
        ("return BASE.run(self)", {"BASED"}),
        ("return True if stages else fail()", {"FAILED"}),
    ],
)
def test_a_jump_is_read_however_it_is_written(read, body: str, to: set[str]) -> None:
    assert jumps(read(run(body))) == {("run", name) for name in to}


@pytest.mark.parametrize(
    "body",
    [
        "return True",
        "return",
        "pass",
        "return ezca['TO']",
        "return stages[0]",
        "return 'A' == TRIPPED",
        "return not 'A'",
        "return ['A']",
        "return {'A': 'B'}[PAUSE]",
        "return 'A' % PAUSE",
        "return f'A{PAUSE}'",
        "return 'A'.lower()",
        "return str(PAUSE)",
        "return CHANGED",
        "return self.to",
        "return self.__class__.__name__",
        "return unknown_name",
        "log('A')",
        "x = 'A'\nx = ezca['X']\nreturn x",
        "to = 'A'\nfor to in stages: pass\nreturn to",
        "return 'A' and True",
        "def inner():\n    return 'A'\nreturn True",
        "f = lambda: 'A'\nreturn f",
        "return (lambda: 'A')",
        "class Y:\n    def z(self): return 'A'",
        "yield\nreturn 'A'",
        "if False:\n    return 'A'",
        "if 0:\n    return 'A'\nreturn True",
        "while False:\n    return 'A'",
        "return True\nreturn 'A'",
        "raise ValueError\nreturn 'A'",
        "return LIB.no_such_name",
        "return LIB.fail",
        "return self.helper",
        "return super().nothing()",
        "return fail('x').upper()",
        "return 'A' * 'B'",
        "return 1 / 0",
        "return '%s'.join(stages)",
        "return self.run and fail",
        "async def later(): return 'A'",
    ],
)
def test_what_may_be_no_jump_is_none(read, body: str) -> None:
    assert jumps(read(run(body))) == set()


@pytest.mark.parametrize(
    ("lines", "after", "found"),
    [
        ("pass", "", {("run", "BASED")}),
        ("run = lambda self: 'A'", "", {("run", "A")}),
        ("def main(self): return self.goal", "X.goal = 'LATER'", {("run", "BASED")}),
        ("def main(self): return self.other", "X.other = 'LATER'", {("run", "BASED")}),
        ("goal = 'OWN'\ndef run(self): return self.goal", "", {("run", "OWN")}),
        ("def run(self):\n    self.goal = ezca['X']\n    return self.goal", "", set()),
        ("@check\ndef run(self): pass", "", {("check.pre_exec", "CHECKED")}),
        (
            "@check\n@tidy\ndef run(self): return 'A'",
            "",
            {("check.pre_exec", "CHECKED"), ("tidy.post_exec", "TIDIED"), ("run", "A")},
        ),
        ("@returning('MADE')\ndef run(self): pass", "", {("answer.pre_exec", "MADE")}),
        ("@returning(True)\ndef run(self): return 'A'", "", set()),
        ("@returning(None)\ndef run(self): return 'A'", "", {("run", "A")}),
        ("@own_way\ndef run(self): return 'A'", "", set()),
        ("@wrapped\ndef run(self): return 'A'", "", {("run", "A")}),
        ("run = 3", "", set()),
        ("run = staticmethod(lambda: 'A')", "", set()),
        ("run = property(lambda self: 'A')", "", set()),
    ],
)
def test_jumps_come_with_the_method_and_its_decorators(read, lines: str, after: str, found: set) -> None:
    assert jumps(read(lines, after)) == found


def test_a_jump_names_its_line(read) -> None:
    (jump,) = (j for j in read("\n\ndef run(self):\n\n    return fail()").jumps if j.state == "X")
    assert (jump.state, jump.method, jump.to, jump.where) == ("X", "run", "FAILED", "LIB.py:8")


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        ("time.sleep(3)", {3}),
        ("sleep(2.5)", {2.5}),
        ("time.sleep(PAUSE)", {2}),
        ("time.sleep(PAUSE * 60 + 1)", {121}),
        ("for i in range(9):\n    time.sleep(1)", {1}),
        ("if stages:\n    with open('x'):\n        time.sleep(5)", {5}),
        ("x = [time.sleep(4) for i in stages]", {4}),
        ("nap()", {30}),
        ("LIB.nap()", {30}),
        ("delay = 7\ntime.sleep(delay)", {7}),
        ("time.sleep(3) or time.sleep(4)", {3, 4}),
        ("return time.sleep(8)", {8}),
        ("time.sleep(-1)", {-1}),
    ],
)
def test_a_sleep_is_read_however_it_is_written(read, body: str, seconds: set[float]) -> None:
    assert {nap.seconds for nap in read(run(body)).sleeps if nap.state == "X"} == seconds


@pytest.mark.parametrize(
    "body",
    [
        "time.sleep(ezca['X'])",
        "time.sleep()",
        "time.sleep(seconds=3)",
        "time.sleep(float('inf'))",
        "time.sleep(1e999)",
        "time.sleep('3')",
        "time.sleep(True)",
        "self.sleep(3)",
        "time.time(3)",
        "def later(): time.sleep(3)",
        "later = lambda: time.sleep(3)",
        "LIB.spawn()",
        "return True\ntime.sleep(3)",
        "if False:\n    time.sleep(3)",
        "sleep = print\nsleep(3)",
    ],
)
def test_what_may_be_no_sleep_is_none(read, body: str) -> None:
    assert {nap.seconds for nap in read(run(body)).sleeps if nap.state == "X"} == set()


def test_functions_that_call_each_other_come_to_an_end(system: Load) -> None:
    seen = survey(
        system(
            """\
            import time
            from guardian import GuardState
            def a():
                time.sleep(3)
                return b()
            def b():
                return a() or 'B'
            class X(GuardState):
                def run(self):
                    return self.run() or a()
            """
        ),
        (),
    )[1]
    assert {(j.method, j.to) for j in seen.jumps} == {("run", "B")} and {n.seconds for n in seen.sleeps} == {3}


@pytest.mark.parametrize(
    ("text", "mentioned"),
    [
        ("x = 'LOCK_FAST'", {"LOCK_FAST"}),
        ("x = 'LOCK_%s'", {"LOCK_FAST", "LOCK_SLOW"}),
        ("x = f'LOCK_{IFO}'", {"LOCK_FAST", "LOCK_SLOW"}),
        ("x = 'LOCK_{}'", {"LOCK_FAST", "LOCK_SLOW"}),
        ("x = ['STAGE' + str(n) for n in range(3)]", {"STAGE1"}),
        ("x = IFO + '_FAST'", {"LOCK_FAST"}),
        ("edges += [('INIT', 'LOCK_FAST')]", set()),
        ("request = 'LOCK_FAST'", set()),
        ("nominal = 'LOCK_FAST'", set()),
        ("edges.append(('INIT', 'LOCK_FAST'))", set()),
        ("x = 'LOC'", set()),
        ("x = 'L'", set()),
        ("# LOCK_FAST", set()),
    ],
)
def test_states_that_code_may_lead_to_in_other_ways_are_mentioned(system: Load, text: str, mentioned: set) -> None:
    loaded = system(
        "from guardian import GuardState\nedges = [('INIT', 'STAGE1')]\n"
        + "".join(f"class {name}(GuardState): pass\n" for name in ("LOCK_FAST", "LOCK_SLOW", "STAGE1"))
        + text.replace("IFO", "__name__")
    )
    assert set(survey(loaded, ())[1].mentioned) == mentioned


def test_where_a_source_cannot_be_read_every_state_is_mentioned(system: Load, folder) -> None:
    loaded = system("from guardian import GuardState\nclass A(GuardState): pass\n")
    (folder / "SUS.py").unlink()
    seen = survey(loaded, ())[1]
    assert seen.mentioned == ("INIT", "A") and seen.jumps == ()


def test_the_facts_name_the_line_of_each_class(system: Load) -> None:
    loaded = system(
        """\
        from LIB import make, Y
        from guardian import GuardState
        class A(GuardState):
            index = 1
            def run(self): pass
        MADE = make()
        class TWICE(GuardState): pass
        class TWICE(GuardState):
            def run(self): pass
        DYNAMIC = type('DYNAMIC', (GuardState,), {})
        class B(A): index = 2
        """,
        LIB="""\
        from guardian import GuardState
        def make():
            class inner(GuardState):
                '''doc'''
                def main(self): pass
            return inner
        class Y(GuardState): request = False
        """,
    )
    facts, _ = survey(loaded, ())
    assert {state.name: state.source for state in facts.states} == {
        "INIT": "",
        "A": "SUS.py:3",
        "MADE": "LIB.py:3",
        "TWICE": "SUS.py:8",
        "DYNAMIC": "SUS.py",
        "B": "SUS.py:11",
        "Y": "LIB.py:7",
    }


def test_what_is_odd_about_a_variable_is_told_with_its_line(system: Load) -> None:
    loaded = system(
        """\
        from LIB import *
        from guardian import GuardState
        class A(GuardState): pass
        if A:
            nominal = 'B'
        """,
        LIB="redirect_timeout = 'x'\nprefix = 3\nprefix = 4\nexec('request = \"C\"')\n",
    )
    assert [warning.split(" = ")[0] for warning in survey(loaded, ())[0].warnings] == [
        "request",
        "SUS.py:5 nominal",
        "LIB.py:1 redirect_timeout",
        "LIB.py:3 prefix",
    ]


def test_what_was_read_at_import_is_handed_on_and_states_without_index_are_told(system: Load) -> None:
    reads = (ImportRead(channel="X1:A", write=False, where="SUS.py:1"),)
    loaded = system("from guardian import GuardState\nclass A(GuardState): pass\nclass B(GuardState): index = 3\n")
    seen = survey(loaded, reads)[1]
    assert (seen.reads, seen.unnumbered) == (reads, ("INIT", "A"))


def test_the_nodes_that_a_system_manages_are_those_of_the_managers_in_its_modules(system: Load) -> None:
    loaded = system(
        "from guardian import GuardState, Node, NodeManager\nimport LIB\n"
        "class A(GuardState): pass\nclass Own(NodeManager):\n    def __init__(self): pass\n"
        "mirrors = NodeManager(['SUS_MC2', 'SUS_MC1'])\nalso = NodeManager(['SUS_MC1', 'OVEN'])\n"
        "watched, own = Node('IMC'), Own()\n",
        LIB="from guardian import NodeManager\nnodes = NodeManager(['LSC'])\n",
    )
    assert set(survey(loaded, ())[1].managed) == {"SUS_MC2", "SUS_MC1", "OVEN", "LSC"}
