"""Names that nearly mean something: which are told, and which are left alone because they may be meant."""

from __future__ import annotations

import pytest

from guardian.core.advice import Misspelt
from guardian.worker.spelling import HOOKS, METHODS, is_near
from guardian.worker.survey import survey
from tests.worker.conftest import Load

ALL = (*METHODS, *HOOKS, "index", "request", "goto", "redirect", "watchdog")
HEAD = "from guardian import GuardState, GuardStateDecorator\n"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("mian", "main"),
        ("amin", "main"),
        ("mainn", "main"),
        ("Main", "main"),
        ("RUN", "run"),
        ("rnu", "run"),
        ("runn", "run"),
        ("pre_exc", "pre_exec"),
        ("preexec", "pre_exec"),
        ("pre_exce", "pre_exec"),
        ("pre_execute", "pre_exec"),
        ("post_exe", "post_exec"),
        ("postexec", "post_exec"),
        ("inex", "index"),
        ("indx", "index"),
        ("idnex", "index"),
        ("requst", "request"),
        ("requests", "request"),
        ("redirct", "redirect"),
        ("go_to", "goto"),
        ("gotoo", "goto"),
        ("watchdogs", "watchdog"),
        ("watchdgo", "watchdog"),
        ("WATCH_DOG", "watchdog"),
    ],
)
def test_a_slip_of_the_hand_is_near(name: str, meant: str) -> None:
    assert [near for near in ALL if is_near(name, near)] == [meant]


@pytest.mark.parametrize(
    "name",
    [
        *(*ALL, "gain", "pain", "ran", "rung", "fun", "spin", "start", "done", "indices", "direct", "quest", "got"),
        *("to", "_run", "run_", "__init__", "run2", "index2", "mode", "domain", "remain", "execute", "exec", "", "_"),
    ],
)
def test_another_word_is_not(name: str) -> None:
    assert [near for near in ALL if is_near(name, near)] == []


def told(system: Load, text: str, **more: str) -> list[tuple[str, str, str, str]]:
    seen = survey(system(HEAD + text, **more), ())[1]
    return [(m.owner, m.name, m.meant, m.where) for m in seen.misspelt]


def test_a_misspelt_hook_is_told_once_with_its_line_however_many_use_it(system: Load) -> None:
    assert told(
        system,
        "class check(GuardStateDecorator):\n    def pre_exc(self): pass\n"
        "class A(GuardState):\n    @check\n    def main(self): pass\n    @check\n    def run(self): pass\n"
        "class B(A): pass\n",
    ) == [("check", "pre_exc", "pre_exec", "SUS.py:3")]


def test_hooks_of_decorators_are_found_in_libraries_factories_and_bases(system: Load) -> None:
    assert sorted(
        told(
            system,
            "from LIB import make, unused\nclass A(GuardState):\n    @make()\n    def main(self): pass\n",
            LIB=HEAD
            + "class base(GuardStateDecorator):\n    def preexec(self): pass\n"
            + "def make():\n    class made(base):\n        def post_exce(self): pass\n    return made\n"
            + "class unused(GuardStateDecorator):\n    def pre_exc(self): pass\n",
        )
    ) == [
        ("base", "preexec", "pre_exec", "LIB.py:3"),
        ("made", "post_exce", "post_exec", "LIB.py:6"),
        ("unused", "pre_exc", "pre_exec", "LIB.py:9"),
    ]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("def mian(self): pass", ("A", "mian", "main", "SUS.py:3")),
        ("inex = 117", ("A", "inex", "index", "SUS.py:3")),
        ("requst = False", ("A", "requst", "request", "SUS.py:3")),
        ("x, inex = 1, 2", ("A", "inex", "index", "SUS.py:3")),
        ("inex: int = 3", ("A", "inex", "index", "SUS.py:3")),
        ("watchdgo = 2.5", ("A", "watchdgo", "watchdog", "SUS.py:3")),
        ("watch_dog = 30", ("A", "watch_dog", "watchdog", "SUS.py:3")),
    ],
)
def test_a_misspelt_method_or_attribute_of_a_state_is_told(system: Load, line: str, found: tuple) -> None:
    assert told(system, f"class A(GuardState):\n    {line}\n") == [found]


def test_a_state_is_called_by_its_name_in_the_system_and_one_without_a_place_by_none(system: Load) -> None:
    text = (
        "def make():\n    class inner(GuardState):\n        requst = False\n    return inner\nA = make()\nA.inex = 3\n"
    )
    assert sorted(told(system, text)) == [("A", "inex", "index", ""), ("A", "requst", "request", "SUS.py:4")]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("watchdgo = 30", [("SUS", "watchdgo", "watchdog", "SUS.py:3")]),
        ("redirect_timout = 0.5", [("SUS", "redirect_timout", "redirect_timeout", "SUS.py:3")]),
        ("reactiv = True", [("SUS", "reactiv", "reactive", "SUS.py:3")]),
        ("watchdog = 30; watchdogs = 3", []),
        ("watchdgo = 30; x = watchdgo", []),
        ("watchdgo = 'text'", []),
        ("requests = 30", []),
    ],
)
def test_a_misspelt_variable_of_the_module_is_told(system: Load, line: str, found: list) -> None:
    assert told(system, f"class A(GuardState): pass\n{line}\n") == found


@pytest.mark.parametrize(
    "text",
    [
        "class A(GuardState):\n    def mian(self): pass\n    def run(self): return self.mian()\n",
        "class A(GuardState):\n    inex = 3\ndef f(state): return getattr(state, 'inex')\n",
        "class A(GuardState):\n    inex = 3\n    index = 4\n",
        "class A(GuardState):\n    inex = 'text'\n    requst = 3\n    mian = 3\n    goot = 'A'\n",
        "class A(GuardState):\n    def index_of(self): pass\n    def gain(self): pass\n    runs = 3\n",
        "class A(GuardState):\n    class Main: pass\n",
        "class Other:\n    def pre_exc(self): pass\nclass A(GuardState): pass\n",
        "class A(GuardState):\n    def pre_exc(self): pass\n",
        "class check(GuardStateDecorator):\n    def pre_exec(self): self.pre_exec_()\n    def pre_exce(self): pass\n"
        "class A(GuardState): pass\n",
    ],
    ids=[
        *("called", "asked for", "beside the right one", "of another kind", "other words", "a class"),
        *("another class", "a hook in a state", "beside the right hook"),
    ],
)
def test_what_may_be_meant_is_left_alone(system: Load, text: str) -> None:
    assert told(system, text) == []


def test_a_name_is_told_in_full(system: Load) -> None:
    seen = survey(system(HEAD + "class A(GuardState):\n    inex = 3\n"), ())[1]
    assert seen.misspelt == (Misspelt(owner="A", name="inex", meant="index", where="SUS.py:3"),)
