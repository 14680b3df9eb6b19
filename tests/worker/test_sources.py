"""A worker tells which files it has compiled, and what was in them then."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from guardian.core.events import Sources
from guardian.core.sources import LARGEST_BYTES, blob_id, unpack
from guardian.worker import source, system
from guardian.worker.sources import LINE_FILES, Telling

SUS = "from guardian import GuardState\nimport helper\nclass UP(GuardState): pass\nedges = [('INIT', 'UP')]\n"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    path, modules = sys.path[:], set(sys.modules)
    folder = tmp_path / "my nodes"
    folder.mkdir()
    (folder / "SUS.py").write_text(SUS)
    (folder / "helper.py").write_text("x = 1\n")
    yield folder
    sys.path[:] = path
    for name in [n for n in sys.modules if n not in modules and n in {*source.modules(), "ezca"}]:
        del sys.modules[name]
    source.install([])


def load(*folders: Path) -> None:
    for name in source.modules():
        del sys.modules[name]
    system.load("SUS", [str(one) for one in folders])


class Told:
    """What a host hears."""

    def __init__(self, *archived: str) -> None:
        self.lines: list[Sources] = []
        self.telling = Telling(archived, self.lines.append, contextlib.nullcontext)

    @property
    def names(self) -> dict[str, bytes | None]:
        files = [file for line in self.lines for file in line.files]
        return {file.name: None if file.packed is None else unpack(file.packed) for file in files}


def test_what_is_told_is_what_was_compiled_and_not_what_lies_there_now(folder: Path):
    for name, data in (
        ("latin", b"# -*- coding: latin-1 -*-\r\nx = '\xe9'\r\n"),
        ("helper", b"import latin, helper\n"),
    ):
        (folder / f"{name}.py").write_bytes(data)
    load(folder)
    compiled = {path.name: path.read_bytes() for path in folder.glob("*.py")}
    for name in ("SUS", "helper", "latin"):
        (folder / f"{name}.py").write_text("edited meanwhile")
    told = Told()
    told.telling.loaded()
    assert told.names == compiled
    assert all(file.blob == blob_id(compiled[file.name]) for file in told.lines[0].files)
    assert [(line.more, line.late) for line in told.lines] == [(False, False)]


def test_a_content_is_told_once_and_not_at_all_to_a_host_that_has_it(folder: Path):
    load(folder)
    told = Told(blob_id(b"x = 1\n"))
    told.telling.loaded()
    assert told.names == {"SUS.py": SUS.encode(), "helper.py": None}
    (folder / "helper.py").write_text("x = 2\n")
    load(folder)
    told.lines.clear()
    told.telling.loaded()
    assert told.names == {"SUS.py": None, "helper.py": b"x = 2\n"}


def test_what_a_method_imports_is_told_when_it_was_called_and_nothing_else(folder: Path):
    (folder / "late.py").write_text("y = 1\n")
    load(folder)
    told = Told()
    told.telling.loaded()
    told.lines.clear()
    told.telling.called()
    assert told.lines == []
    __import__("late")
    told.telling.called()
    told.telling.called()
    assert told.names == {"SUS.py": None, "helper.py": None, "late.py": b"y = 1\n"}
    assert [line.late for line in told.lines] == [True]


def test_packages_star_imports_circles_links_and_several_search_paths(folder: Path, tmp_path: Path):
    lib, real = tmp_path / "lib", tmp_path / "real"
    (lib / "optics" / "deep").mkdir(parents=True)
    real.mkdir()
    (folder / "SUS.py").write_text("from optics.deep.mirror import *\n" + SUS)
    (folder / "helper.py").write_text("import SUS, linked\n")
    for name in ("optics/__init__.py", "optics/deep/__init__.py", "optics/deep/mirror.py"):
        (lib / name).write_text(f"# {name}\n")
    (real / "target.py").write_text("z = 1\n")
    (lib / "linked.py").symlink_to(real / "target.py")
    load(folder, lib)
    told = Told()
    told.telling.loaded()
    assert {(file.place, file.name) for file in told.lines[0].files} == {
        (0, "SUS.py"),
        (0, "helper.py"),
        (1, "optics/__init__.py"),
        (1, "optics/deep/__init__.py"),
        (1, "optics/deep/mirror.py"),
        (1, "linked.py"),
    }
    assert told.names["linked.py"] == b"z = 1\n"


def test_a_path_that_user_code_has_put_together_is_told_without_dots_and_double_slashes(folder: Path, tmp_path: Path):
    common, deep = tmp_path / "common", folder / "deep"
    for where in (common, deep):
        where.mkdir()
    (common / "optics.py").write_text("y = 1\n")
    (deep / "down.py").write_text("z = 1\n")
    (folder / "helper.py").write_text(
        "import os, sys\nhere = os.path.dirname(__file__)\n"
        "sys.path += [here + '/../common', here + '//deep/./']\nimport optics, down\n"
    )
    load(folder, common)
    told = Told()
    told.telling.loaded()
    assert {(file.place, file.name) for file in told.lines[0].files} == {
        (0, "SUS.py"),
        (0, "helper.py"),
        (0, "deep/down.py"),
        (1, "optics.py"),
    }


def test_many_files_go_in_lines_of_a_bounded_length_and_a_huge_one_is_only_named(folder: Path):
    many = LINE_FILES + 10
    for number in range(many):
        (folder / f"lib{number}.py").write_text(f"x = {number}\n")
    (folder / "huge.py").write_text("#" * (LARGEST_BYTES + 1))
    (folder / "helper.py").write_text("import huge\n" + "".join(f"import lib{n}\n" for n in range(many)))
    load(folder)
    told = Told()
    told.telling.loaded()
    assert [line.more for line in told.lines] == [True, False]
    assert len(told.names) == many + 3
    assert told.names["huge.py"] is None and told.names["lib7.py"] == b"x = 7\n"
