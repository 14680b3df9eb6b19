"""Source files as syntax trees: what can be looked up in them, and what is said where there is nothing to read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

from guardian.worker.syntax import UNKNOWN, Piece, Sources, Tree, class_name, is_a, mro, own

Write = Callable[..., Any]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], tuple[Sources, dict[str, Any]]]:
    """Write this file, and run it: the sources, and the names it defines."""

    def written(text: str) -> tuple[Sources, dict[str, Any]]:
        file = tmp_path / "lib.py"
        file.write_text(text)
        names: dict[str, Any] = {"__name__": "lib"}
        exec(compile(text, str(file), "exec"), names)
        return Sources([str(file)]), names

    return written


def piece(sources: Sources, function: FunctionType, cls: type | None = None) -> Piece:
    node = sources.find(function)
    assert node is not None
    return Piece(function=function, node=node, sources=sources, cls=cls, owner=cls)


def value(sources: Sources, function: FunctionType, cls: type | None = None) -> Any:
    """What the first ``return`` of a function always gives."""
    found = piece(sources, function, cls)
    return found.fold(next(found.returns()))


# --- files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [b"x = (", b"\0", b"x = '\xe9'", b"# -*- coding: nonsense -*-\n", b"x = " + b"(" * 3000, b"print 'x'\n", None],
    ids=["torn", "nul", "latin", "coding", "deep", "python 2", "missing"],
)
def test_a_file_that_cannot_be_read_has_no_tree_and_the_sources_are_not_whole(tmp_path: Path, data: Any) -> None:
    file = tmp_path / "lib.py"
    if data is not None:
        file.write_bytes(data)
    assert Tree.read(str(file)) is None
    sources = Sources([str(file)])
    assert (sources.trees, sources.whole) == ((), False)
    assert (sources.sets("x"), sources.loads("x"), sources.place_of("A", "x")) == (False, False, "")


def test_mixed_tabs_and_declared_codings_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"if 1:\n        x = 1\n\ty = 2\n")
    (tmp_path / "b.py").write_bytes(b"# -*- coding: latin-1 -*-\nx = '\xe9'\n")
    sources = Sources([str(tmp_path / name) for name in ("a.py", "b.py")])
    assert sources.whole and [text for tree in sources.trees for text in tree.mentions()] == ["é"]


def test_an_expression_without_end_is_unknown_and_no_recursion(write: Write) -> None:
    sources, names = write("def f():\n    return " + " + ".join(["'A'"] * 900) + "\n")
    assert value(sources, names["f"]) is UNKNOWN


# --- functions ----------------------------------------------------------------------------------------------------


def test_a_function_is_found_by_its_line_decorated_nested_or_a_lambda(write: Write) -> None:
    sources, names = write(
        "def same(f): return f\n@same\n@same\ndef a():\n    return 1\n"
        "def outer():\n    def b():\n        return 2\n    return b\nb = outer()\nc = lambda: 3\n"
        "class K:\n    def d(self):\n        return 4\n"
    )
    assert [value(sources, names[n]) for n in "abc"] == [1, 2, 3]
    assert value(sources, names["K"].d, names["K"]) == 4


def test_functions_that_cannot_be_told_apart_or_give_no_value_are_not_found(write: Write) -> None:
    sources, names = write(
        "a, b = lambda: 1, lambda: 2\ndef g():\n    yield 1\n    return 2\nasync def h():\n    return 3\n"
    )
    assert [sources.find(names[n]) for n in "abgh"] == [None] * 4


def test_a_function_of_no_file_is_not_found(write: Write) -> None:
    sources, _ = write("x = 1\n")
    names: dict[str, Any] = {}
    exec("def f():\n    return 1\n", names)
    assert sources.find(names["f"]) is None


# --- values -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("'A' + 'B'", "AB"),
        ("2 * 3 - 1", 5),
        ("-4 / 2", -2.0),
        ("+True", 1),
        ("LIMIT", 3),
        ("K.attribute", "text"),
        ("os.sep", "/"),
        ("1 / 0", UNKNOWN),
        ("2.0 * 1e308 * 1e308", float("inf")),
        ("'A' * 3", UNKNOWN),
        ("'A' + 3", UNKNOWN),
        ("2 ** 9", UNKNOWN),
        ("None", UNKNOWN),
        ("b'A'", UNKNOWN),
        ("[1][0]", UNKNOWN),
        ("missing", UNKNOWN),
        ("K.missing", UNKNOWN),
        ("K().attribute", UNKNOWN),
        ("K.computed", UNKNOWN),
        ("SET", UNKNOWN),
        ("K.set_later", UNKNOWN),
        ("argument", UNKNOWN),
        ("local", "L"),
        ("changed", UNKNOWN),
        ("added", UNKNOWN),
    ],
)
def test_an_expression_has_a_value_if_it_always_has_that_one(write: Write, expression: str, result: Any) -> None:
    sources, names = write(
        "import os\nLIMIT = 3\nSET = 1\n"
        "def change():\n    global SET\n    SET = 2\n    K.set_later = 3\n"
        "class K:\n    attribute = 'text'\n    set_later = 1\n    @property\n    def computed(self): return 1\n"
        "def f(argument=1):\n    local = 'L'\n    changed = 1\n    changed = 2\n    added = 1\n    added += 1\n"
        f"    return {expression}\n"
    )
    found = value(sources, names["f"])
    assert found is UNKNOWN if result is UNKNOWN else (type(found), found) == (type(result), result)


def test_where_any_attribute_may_be_set_none_of_a_class_is_known(write: Write) -> None:
    text = "class K:\n    a = 1\ndef f():\n    return K.a\ndef g(name):\n    setattr(K, {}, 2)\n"
    for name, result in (("'b'", 1), ("'a'", UNKNOWN), ("name", UNKNOWN)):
        sources, names = write(text.format(name))
        assert value(sources, names["f"]) is result


def test_a_variable_of_an_outer_function_is_known_once_it_has_a_value(write: Write) -> None:
    sources, names = write(
        "def outer(to):\n    def f():\n        return to\n    return f\nf = outer('A')\n"
        "def late():\n    def g():\n        return later\n    yield g\n    later = 1\ng = next(late())\n"
    )
    assert value(sources, names["f"]) == "A" and value(sources, names["g"]) is UNKNOWN


@pytest.mark.parametrize(
    ("body", "result"),
    [
        ("return 1", True),
        ("if x:\n        return 1\n    return 'A'", True),
        ("if x:\n        return 1", False),
        ("if x:\n        return\n    return 1", False),
        ("if x:\n        return x\n    return 1", False),
        ("return None", False),
        ("pass", False),
        ("try:\n        return 1\n    except OSError:\n        pass", False),
    ],
)
def test_whether_a_hook_takes_the_place_of_its_method(write: Write, body: str, result: bool) -> None:
    sources, names = write(f"def f(x):\n    {body}\n")
    assert piece(sources, names["f"]).replaces() is result


# --- classes of user code ------------------------------------------------------------------------------------------


def test_a_class_is_looked_at_without_a_call_of_its_code() -> None:
    class Meta(type):
        def __getattribute__(cls, name: str) -> Any:
            raise AssertionError(f"asked for {name}")

        def __instancecheck__(cls, instance: object) -> bool:
            raise AssertionError("asked")

        __subclasscheck__ = __eq__ = __instancecheck__  # type: ignore[assignment]
        __hash__ = type.__hash__

    class Base(metaclass=Meta):
        a = 1

    class Child(Base):
        b = 2

        @property
        def __class__(self) -> Any:
            raise AssertionError("asked")

    assert class_name(Child) == "Child" and list(own(Child))[:1] == ["__module__"] and own(Child)["b"] == 2
    assert [class_name(c) for c in mro(Child)] == ["Child", "Base", "object"]
    assert is_a(object.__new__(Child), object) and not is_a(object.__new__(Child), int) and is_a(True, int)
