"""Source files as syntax trees, where there is nothing to read, and classes that do not want to be looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from guardian.worker.syntax import Sources, Tree, class_name, is_a, mro, own


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
