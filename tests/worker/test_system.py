"""Finding, importing and reading system modules, in this process: nothing here needs a worker."""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

import pytest

from guardian.core.graph import Edge
from guardian.errors import EzcaConnectError, SystemLoadError
from guardian.worker.faults import describe, one_line, user_traceback
from guardian.worker.system import load
from tests.worker.conftest import Load


def refusal(system: Load, source: str, **more: str) -> SystemLoadError:
    with pytest.raises(SystemLoadError) as caught:
        system("from guardian import GuardState\n" + textwrap.dedent(source), **more)
    return caught.value


# --- what a system is ---------------------------------------------------------------------------------------------


def test_facts_of_a_system(system: Load, folder: Path) -> None:
    loaded = system(
        '''\
        from guardian import GuardState
        from SUSLIB import *
        from SUSLIB import helper

        prefix = 'SUS-MC1'
        request = 'ALIGNED'
        nominal = 'GONE'
        redirect_timeout = 5
        reactive = True

        class DAMPED(GuardState):
            """ Damping is on.

            And more.
            """
            index = 10
            request = False
            redirect = False
            inex = 117

            def main(self):
                pass

        class SAFE(GuardState):
            goto = True

        class PARK(GuardState):
            goto = 7

        HOLD = SAFE2 = make()
        HOLD.index = 30
        edges = [('INIT', 'DAMPED'), ['DAMPED', 'ALIGNED', 2.5]]
        edges += (('ALIGNED', 'DAMPED'),)
        ''',
        SUSLIB="""\
        from guardian import GuardState as Base, GuardStateDecorator

        class watchdog(GuardStateDecorator):
            def pre_exec(self):
                pass

        class damping(Base):
            pass

        class _PRIVATE(Base):
            pass

        class ALIGNED(damping):
            @watchdog
            @watchdog
            def run(self):
                return True

        def make():
            class Made(Base):
                pass
            return Made

        def helper():
            pass

        LIMIT = 3
        """,
    )
    facts = loaded.facts
    by_name = {s.name: s for s in facts.states}
    assert {n: s.index for n, s in by_name.items()} == {
        "INIT": 0,
        "ALIGNED": -2,
        "DAMPED": 10,
        "SAFE": -3,
        "PARK": -4,
        "HOLD": 30,
    }
    assert {n: s.goto for n, s in by_name.items() if s.goto is not None} == {"SAFE": 1, "PARK": 7}
    assert [n for n, s in by_name.items() if not s.request] == ["INIT", "DAMPED"]
    assert [n for n, s in by_name.items() if not s.redirect] == ["DAMPED"]
    assert by_name["DAMPED"].doc == "Damping is on." and by_name["ALIGNED"].doc == ""
    assert by_name["DAMPED"].source == "SUS.py:21" and by_name["ALIGNED"].source == "SUSLIB.py:14"
    assert by_name["SAFE"].source == "SUS.py" and by_name["INIT"].source == ""
    assert facts.edges == (
        Edge(start="INIT", end="DAMPED"),
        Edge(start="DAMPED", end="ALIGNED", weight=2.5),
        Edge(start="ALIGNED", end="DAMPED"),
    )
    assert (facts.request, facts.nominal, facts.prefix, facts.redirect_timeout_s) == ("ALIGNED", None, "SUS-MC1", 5.0)
    assert facts.reactive is True
    assert facts.module == str(folder / "SUS.py") and facts.usercode == (str(folder / "SUSLIB.py"),)
    assert facts.warnings == ("nominal = 'GONE' names no state of the system, taken as missing",)
    assert list(loaded.states) == list(by_name) and loaded.module is sys.modules["SUS"]


def test_automatic_indices_are_kept(system: Load) -> None:
    facts = system(
        "from guardian import GuardState\nclass A(GuardState): pass\nclass B(GuardState): pass\n",
        indices={"B": -2, "OLD": -3},
    ).facts
    assert {s.name: s.index for s in facts.states} == {"INIT": 0, "A": -4, "B": -2}


def test_numbers_of_numpy_and_names_of_enums_arrive_as_plain_ones(system: Load) -> None:
    facts = system(
        """\
        import enum
        import numpy as np
        from guardian import GuardState

        class Name(str, enum.Enum):
            UP = 'UP'

        class UP(GuardState):
            index = np.int64(7)
            goto = np.float64(2.5)
            request = np.bool_(False)

        class DOWN(GuardState):
            goto = np.bool_(True)

        edges = [(Name.UP, np.str_('DOWN'), np.float32(0.5))]
        request = nominal = Name.UP
        redirect_timeout = np.float64(1.5)
        watchdog = np.float32(0.5)
        reactive = np.bool_(False)
        prefix = np.str_('SUS')
        ca_monitor = np.bool_(True)
        ca_channels = [(np.str_('N'), np.int32(7)), ('WAVE', np.arange(2.0)), ('X', np.float32(0.5))]
        """
    ).facts
    assert facts.ca_monitor is True
    assert [(one.name, one.value) for one in facts.ca_channels] == [("N", "7"), ("WAVE", "[0.0,1.0]"), ("X", "0.5")]
    plain = [facts.states[1].index, facts.states[1].goto, facts.states[1].request, facts.states[2].goto]
    assert plain == [7, 2.5, False, 1] and [type(v) for v in plain] == [int, float, bool, int]
    assert facts.edges == (Edge(start="UP", end="DOWN", weight=0.5),)
    assert [type(v) for v in (facts.edges[0].start, facts.edges[0].weight, facts.request, facts.prefix)] == [
        str,
        float,
        str,
        str,
    ]
    assert facts.request == facts.nominal == "UP" and facts.redirect_timeout_s == 1.5
    assert facts.watchdog_s == 0.5 and type(facts.watchdog_s) is float
    assert facts.reactive is False


def test_odd_variables_are_warned_of_and_taken_as_missing(system: Load) -> None:
    facts = system(
        """\
        from guardian import GuardState
        class UP(GuardState): pass
        request = ['UP']
        nominal = 'NONE'
        redirect_timeout = 'soon'
        reactive = 'often'
        prefix = 3
        """
    ).facts
    assert (facts.request, facts.nominal, facts.redirect_timeout_s, facts.prefix) == (None, None, None, "")
    assert facts.reactive is None
    assert [w.split(" ")[0] for w in facts.warnings] == ["request", "redirect_timeout", "reactive", "prefix"]


def test_the_watchdog_of_a_module_and_of_its_states(system: Load) -> None:
    """A number counts, None and False switch it off, what field code calls so for itself is none of our business."""
    facts = system(
        """\
        from guardian import GuardState, GuardStateDecorator
        watchdog = 30
        class SAYS_NOTHING(GuardState): pass
        class NUMBER(GuardState):
            watchdog = 2.5
        class INHERITS(NUMBER): pass
        class NONE_AT_ALL(GuardState):
            watchdog = None
        class OFF(NUMBER):
            watchdog = False
        class METHOD(GuardState):
            def watchdog(self): pass
        """
    ).facts
    said = {s.name: s.watchdog_s for s in facts.states}
    assert facts.watchdog_s == 30.0 and said == {
        "INIT": None,
        "SAYS_NOTHING": None,
        "NUMBER": 2.5,
        "INHERITS": 2.5,
        "NONE_AT_ALL": 0.0,
        "OFF": 0.0,
        "METHOD": None,
    }
    assert facts.warnings == ()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("None", 0.0), ("False", 0.0), ("GuardStateDecorator", None), ("lambda: 3", None), ("os", None)],
)
def test_a_module_may_switch_the_watchdog_of_the_site_off(system: Load, value: str, seconds: float | None) -> None:
    facts = system(
        "import os\nfrom guardian import GuardState, GuardStateDecorator\nclass A(GuardState): pass\n"
        f"watchdog = {value}\n"
    ).facts
    assert (facts.watchdog_s, facts.warnings) == (seconds, ())


@pytest.mark.parametrize("value", ["'soon'", "0", "-1", "True", "float('nan')", "float('inf')", "[5]", "10 ** 400"])
def test_an_odd_watchdog_is_warned_of_with_its_place_and_taken_as_missing(system: Load, value: str) -> None:
    facts = system(
        "from guardian import GuardState\nclass A(GuardState):\n    def run(self): pass\n"
        f"    watchdog = {value}\nwatchdog = {value}\n"
    ).facts
    assert (facts.watchdog_s, [s.watchdog_s for s in facts.states]) == (None, [None, None])
    assert [w.split(" = ")[0] for w in facts.warnings] == ["SUS.py:3 watchdog of A", "watchdog"]
    assert all("is not a number of seconds above 0" in w for w in facts.warnings)


def test_the_variables_of_the_set_point_monitor(system: Load) -> None:
    facts = system(
        """\
        from guardian import GuardState
        class UP(GuardState): pass
        ca_monitor = True
        ca_monitor_notify = 1
        ca_channels = ['GAIN', ('OFFSET', 3.5), ['SWITCH', 'ON'], ('WAVE', (0.0, 1)), ('FLAG', True)]
        """
    ).facts
    assert facts.ca_monitor and facts.ca_monitor_notify and facts.warnings == ()
    assert [(one.name, one.value) for one in facts.ca_channels] == [
        ("GAIN", ""),
        ("OFFSET", "3.5"),
        ("SWITCH", '"ON"'),
        ("WAVE", "[0.0,1]"),
        ("FLAG", "true"),
    ]


def test_without_them_the_set_point_monitor_is_off(system: Load) -> None:
    facts = system("from guardian import GuardState\nclass UP(GuardState): pass\nca_monitor = None\n").facts
    assert (facts.ca_monitor, facts.ca_monitor_notify, facts.ca_channels, facts.warnings) == (False, False, (), ())


@pytest.mark.parametrize(
    ("line", "warning"),
    [
        ("ca_monitor = 'yes'", "ca_monitor = 'yes' is neither True nor False, taken as False"),
        ("ca_monitor_notify = 2", "ca_monitor_notify = 2 is neither"),
        ("ca_channels = 'GAIN'", "ca_channels = 'GAIN' is no list of 'CHAN' and ('CHAN', value), ignored"),
        ("ca_channels = [3, 'A', ('B', 1, 2)]", "ca_channels = [...] has 3, ('B', 1, 2), neither 'CHAN' nor"),
        ("ca_channels = [('A', {}), (), '']", "ca_channels = [...] has ('A', {}), (), '', neither"),
        (
            "ca_channels = [('A', [])] * 5",
            "ca_channels = [...] has ('A', []), ('A', []), ('A', []) and 2 more, neither",
        ),
        ("ca_channels = [('A', 'x' * 2000)]", "neither 'CHAN' nor ('CHAN', value)"),
        ("ca_channels = [f'A{n}' for n in range(3000)]", "ca_channels = [...] has 3000 channels, 2000 can be watched"),
    ],
)
def test_what_the_set_point_monitor_cannot_use_is_told(system: Load, line: str, warning: str) -> None:
    facts = system(f"from guardian import GuardState\nclass UP(GuardState): pass\n{line}\n").facts
    assert len(facts.warnings) == 1 and warning in facts.warnings[0]
    assert not facts.ca_monitor and not facts.ca_monitor_notify
    assert all(one.name.startswith("A") for one in facts.ca_channels) and len(facts.ca_channels) <= 2000


def test_the_module_is_known_by_its_name_while_it_is_imported(system: Load) -> None:
    loaded = system(
        """\
        from GRDLIB import *
        OPTIC = 'MC1'
        """,
        GRDLIB="""\
        import importlib
        from guardian import GuardState
        sysmod = importlib.import_module('SUS')
        class UP(GuardState):
            def run(self):
                return sysmod.OPTIC
        """,
    )
    assert loaded.states["UP"](None).run() == "MC1"


def test_the_search_order_holds_also_for_folders_that_python_knows_already(folder: Path) -> None:
    text = "from guardian import GuardState\nclass UP(GuardState): pass\nedges = [('INIT', 'UP', {})]\n"
    for name, weight in (("old", 1), ("new", 2)):
        (folder / name).mkdir()
        (folder / name / "SUS.py").write_text(text.format(weight))
    sys.path.insert(0, str(folder / "old"))
    loaded = load("SUS", [str(folder / "new"), str(folder / "old")])
    assert loaded.facts.edges[0].weight == 2 and loaded.facts.module == str(folder / "new" / "SUS.py")


# --- what is refused ----------------------------------------------------------------------------------------------


def test_every_fault_is_listed(system: Load) -> None:
    error = refusal(
        system,
        f"""\
        class A(GuardState):
            index = 5
        class B(GuardState):
            index = 5
        class C(GuardState):
            index = [1]
        class D(GuardState):
            index = -1
            goto = 'x'
        class {"E" * 40}(GuardState):
            pass
        class NONE(GuardState):
            index = 2**31
        edges = [('A', 'Z'), 'AB', ('A', 'B', 0), ('A', 3), ('A', 'B', 'C', 'D'), ('B', 'A', float('nan'))]
        """,
    )
    for words in (
        "states A (SUS.py:2) and B (SUS.py:4) both have index 5",
        "state C (SUS.py:6): index = [1]; use a whole number",
        "index -1 is reserved",
        "state D (SUS.py:8): goto = 'x'",
        "the name has 40 bytes",
        "state NONE (SUS.py:13): the name is reserved",
        "state NONE (SUS.py:13): index = 2147483648; use a whole number",
        "edge A -> Z names Z, which is no state of this system (SUS.py:15)",
        "edge 'AB' is not ('FROM', 'TO')",
        "edge A -> B has weight 0",
        "edge ('A', 3) is not",
        "edge ('A', 'B', 'C', 'D') is not",
        "edge B -> A has weight nan",
    ):
        assert words in str(error), f"{words!r} is missing in: {error}"
    assert str(error).startswith("SUS: ") and "\n" not in str(error) and error.details == ""


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("edges = [\n    ('INIT', 'A'),\n    ('A', 'Z'),\n]\n", "(SUS.py:6)"),
        ("edges = []\nedges += [('A', name) for name in 'Z']\n", "(SUS.py:5)"),
        ("from LIB import edges\n", "(LIB.py:2)"),
        ('exec(\'edges = [("A", "Z")]\')\n', "of this system"),
    ],
    ids=["itself", "the list it is in", "a library", "nowhere"],
)
def test_a_bad_edge_is_told_with_its_line(system: Load, source: str, place: str) -> None:
    error = refusal(
        system, "class A(GuardState):\n    pass\n" + source, LIB="x = 1\nedges = [('INIT', 'A'), ('A', 'Z')]\n"
    )
    assert str(error).endswith(place) and "edge A -> Z names Z" in str(error)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("", "the module defines no states"),
        ("class up(GuardState): pass\n", "the module defines no states"),
        ("class UP(GuardState): pass\nedges = {('INIT', 'UP')}\n", "edges is a set; make it a list"),
        ("x = (1,\n", r"SyntaxError: '(' was never closed (SUS.py:2)"),
        ("if True:\nx = 1\n", "IndentationError: expected an indented block"),
        ("x = 1 / 0\n", "ZeroDivisionError: division by zero (SUS.py:2)"),
        ("import sys\nsys.exit(3)\n", "SystemExit: 3 (SUS.py:3)"),
        ("raise KeyboardInterrupt\n", "KeyboardInterrupt (SUS.py:2)"),
        ("import nowhere\n", "ModuleNotFoundError: No module named 'nowhere' (SUS.py:2)"),
        ("import json\njson.loads('{')\n", "JSONDecodeError: Expecting property name"),
        ("class Mine(BaseException): pass\nraise Mine('a\\nb')\n", "Mine: a (SUS.py:3)"),
        (
            "class Meta(type):\n @property\n def index(c): return 1/0\nclass UP(GuardState, metaclass=Meta):\n x = 1\n",
            "ZeroDivisionError: division by zero (SUS.py:4)",
        ),
        ("import LIB\n", "NameError: name 'nothing' is not defined (LIB.py:2)"),
    ],
)
def test_what_a_module_does_wrong_is_said_with_its_line(system: Load, source: str, words: str) -> None:
    error = refusal(system, source, LIB="def f():\n    nothing\nf()\n")
    assert words in str(error) and "\n" not in str(error)


def test_the_traceback_is_the_users_alone(system: Load, folder: Path) -> None:
    error = refusal(system, "import LIB\n", LIB="try:\n    1 / 0\nexcept ZeroDivisionError:\n    f()\n")
    assert re.findall(r'File "(.*)", line (\d+)', error.details) == [
        (str(folder / "LIB.py"), "2"),
        (str(folder / "SUS.py"), "2"),
        (str(folder / "LIB.py"), "4"),
    ]
    assert error.details.endswith("NameError: name 'f' is not defined")
    broken = refusal(system, "x = (1,\n")
    assert re.findall(r'File "(.*)", line (\d+)', broken.details) == [(str(folder / "SUS.py"), "2")]


def test_what_breaks_while_a_system_is_looked_at_is_an_error_of_the_system(system: Load) -> None:
    error = refusal(
        system,
        """\
        class Rude:
            def __bool__(self):
                raise ValueError('do not look')
        class UP(GuardState):
            request = Rude()
        """,
    )
    assert str(error) == "SUS: ValueError: do not look (SUS.py:4)" and "__bool__" in error.details


def test_a_folder_or_a_loaded_module_of_that_name_is_not_taken_for_it(system: Load, folder: Path) -> None:
    (folder / "SUS").mkdir()
    (folder / "SUS" / "__init__.py").write_text("")
    assert "Rename one of them" in str(refusal(system, "class UP(GuardState): pass\n"))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("sys.modules[__name__] = None", "SUS.py has put a NoneType in its own place; leave its entry"),
        ("del sys.modules[__name__]", "SUS.py has taken itself out of sys.modules; leave its entry"),
        ("raise KeyError('SUS')", "KeyError: 'SUS' (SUS.py:4)"),
        ("raise errors.SystemLoadError('a\\nb')", "SystemLoadError: a (SUS.py:4)"),
        ("edges = [('UP', 'INIT', 10**400)]", "edge UP -> INIT has weight '1000"),
        ("edges = [('UP', 'INIT', fractions.Fraction(10**400))]", "edge UP -> INIT has weight 'Fraction(1000"),
        ("class A(GuardState): index = 10**5000", "state A (SUS.py:4): index = '<int that cannot be shown"),
        ("class A(GuardState): goto = 2**70", "state A (SUS.py:4): goto = '1180591620717411303424'"),
        ("edges = [('INIT', 'UP')] * 100_001", "edges and goto states make 100001 ways, 100000 can be; give goto"),
        ("edges = [('UP', str(i)) for i in range(20_000)]", "edge UP -> 49 names 49, which is no state of this"),
    ],
    ids=lambda text: text[:25],
)
def test_what_nobody_would_write_is_told_in_one_line_as_well(system: Load, line: str, words: str) -> None:
    said = str(
        refusal(system, f"import fractions, sys; from guardian import errors\nclass UP(GuardState): pass\n{line}\n")
    )
    assert said.startswith(f"SUS: {words}") or f"; {words}" in said
    assert "\n" not in said and len(said) < 10_000
    assert ("range" in line) == said.endswith("; and 19950 more")


def test_odd_things_beside_the_states_are_no_fault(system: Load) -> None:
    """Proxies, lazy modules and metaclasses of the user are asked for nothing."""
    loaded = system(
        """\
        import sys, types
        from guardian import GuardState
        class Proxy:
            @property
            def __class__(self):
                raise RuntimeError('working outside of a request')
        THING = sys.modules['lazy one'] = Proxy()
        class Lazy(types.ModuleType):
            @property
            def __dict__(self):
                raise RuntimeError('not now')
            def __getattr__(self, name):
                raise RuntimeError('not now')
        sys.modules['lazy two'] = Lazy('lazy')
        class Meta(type):
            def __eq__(self, other):
                raise ValueError('do not compare')
            def __hash__(self):
                raise ValueError('do not count')
        class UP(GuardState, metaclass=Meta): pass
        class DOWN(GuardState, metaclass=Meta): pass
        ALIAS = DOWN
        globals()[1] = UP
        __file__ = 'elsewhere.py'
        """
    )
    assert [s.name for s in loaded.facts.states] == ["INIT", "UP", "DOWN"]
    assert loaded.facts.module.endswith("/SUS.py") and loaded.facts.usercode == ()


# --- sentences ----------------------------------------------------------------------------------------------------


class _Mute(Exception):
    def __str__(self) -> str:
        raise SystemExit("no")


def test_an_error_is_described_whatever_it_is() -> None:
    assert describe(_Mute()) == "_Mute: <_Mute that cannot be shown: SystemExit>"
    assert describe(ValueError()) == "ValueError"
    assert describe(SyntaxError()) == "SyntaxError:  (?:None)"
    assert len(describe(ValueError("x" * 10**6))) < 500
    assert one_line(EzcaConnectError("X1:A: gone")) == "X1:A: gone"
    assert "_Mute" in user_traceback(_Mute())


def test_a_chain_of_errors_longer_than_the_stack_is_shown() -> None:
    """R12: a loop that fails again while it handles a failure makes one; no error of user code ends a worker."""
    error = ValueError("first")
    for number in range(1500):
        later = ValueError(f"number {number}")
        later.__context__ = error
        error = later
    shown = user_traceback(error)
    assert "ValueError: first" in shown and shown.endswith("ValueError: number 1499")


class _Nameless(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise KeyboardInterrupt

    __module__ = __name__


def test_an_error_whose_very_class_raises_is_told_too() -> None:
    error = _Nameless("Odd", (Exception,), {})("x")
    assert describe(error) == "Odd: x"
    assert user_traceback(error).startswith("Odd: x")
