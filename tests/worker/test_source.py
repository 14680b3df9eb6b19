"""The importer of the user's files: always the file as it is, and what it makes of files older than Python 3."""

from __future__ import annotations

import ast
import importlib
import inspect
import linecache
import os
import py_compile
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from guardian.errors import ExpectedError, SystemLoadError
from guardian.ligopath import userapps_path
from guardian.worker import source
from guardian.worker.faults import describe
from guardian.worker.system import load
from tests.support.hidden import LIGO, hidden

HEAD = "from guardian import GuardState\n"
Fetch = Callable[[str], ModuleType]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A search path, first of all; what is imported from it is forgotten afterwards."""
    path, modules = sys.path[:], set(sys.modules)
    sys.path.insert(0, str(tmp_path))
    source.install([str(tmp_path)])
    yield tmp_path
    sys.path[:] = path
    for name in [n for n in sys.modules if n not in modules and n in {*source.modules(), "ezca"}]:
        del sys.modules[name]
    source.install([])


@pytest.fixture
def fetch(folder: Path) -> Fetch:
    """Import a module anew, as a reload does."""

    def make(name: str) -> ModuleType:
        for known in source.modules():
            del sys.modules[known]
        source.install([str(folder)])
        return importlib.import_module(name)

    return make


def refusal(folder: Path, text: str | bytes) -> SystemLoadError:
    (folder / "OLD.py").write_bytes(text.encode() if isinstance(text, str) else text)
    (folder / "SUS.py").write_text(HEAD + "\nfrom OLD import *\n")
    with pytest.raises(SystemLoadError) as caught:
        load("SUS", [str(folder)])
    assert "\n" not in str(caught.value) and "guardian/" not in caught.value.details
    return caught.value


# --- the file as it is --------------------------------------------------------------------------------------------


def test_an_edit_that_changes_neither_time_nor_size_is_seen(folder: Path, fetch: Fetch) -> None:
    """What a .pyc cannot tell: it trusts the seconds and the size of its source."""
    file = folder / "USERLIB.py"
    for number in range(5):
        file.write_text(f"value = {number}\n")
        os.utime(file, (1e9, 1e9))
        assert fetch("USERLIB").value == number
    assert not (folder / "__pycache__").exists()


def test_no_pyc_is_read(folder: Path, fetch: Fetch) -> None:
    file = folder / "USERLIB.py"
    file.write_text("value = 1\n")
    py_compile.compile(str(file), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    py_compile.compile(str(file), cfile=str(folder / "GONE.pyc"))
    file.write_text("value = 2\n")
    assert fetch("USERLIB").value == 2
    with pytest.raises(ModuleNotFoundError):
        fetch("GONE")


def test_a_traceback_shows_the_lines_that_run_also_after_an_edit(folder: Path, fetch: Fetch) -> None:
    file = folder / "USERLIB.py"

    def failing_line(module: ModuleType) -> str | None:
        try:
            module.f()
        except ZeroDivisionError as error:
            return traceback.extract_tb(error.__traceback__)[-1].line
        return None

    file.write_text("def f():\n    return 1 / 0  # old\n")
    old = fetch("USERLIB")
    assert failing_line(old) == "return 1 / 0  # old"
    file.write_text("# a line more\n\ndef f():\n    return 2 / 0  # new\n")
    linecache.checkcache()
    assert failing_line(old) == "return 1 / 0  # old"
    new = fetch("USERLIB")
    assert failing_line(new) == "return 2 / 0  # new" and "2 / 0" in inspect.getsource(new.f)


def test_packages_folders_and_added_paths_below_a_search_path_are_the_users(folder: Path) -> None:
    for name in ("package/__init__.py", "package/inner.py", "plain/module.py", "lib/added.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("")
    sys.path.append(str(folder / "lib"))
    for name in ("package.inner", "plain.module", "added", "json.tool"):
        importlib.import_module(name)
    assert set(source.modules()) == {"package", "package.inner", "plain", "plain.module", "added"}


def test_a_folder_whose_parent_is_gone_from_sys_modules_stops_nobody(folder: Path) -> None:
    (folder / "outer" / "inner").mkdir(parents=True)
    (folder / "outer" / "module.py").write_text("")
    importlib.import_module("outer.inner")
    importlib.import_module("outer.module")
    outer = sys.modules.pop("outer")
    assert "outer.module" in source.modules()
    sys.modules["outer"] = outer


def test_what_is_installed_and_what_is_ours_is_never_the_users(tmp_path: Path) -> None:
    installed = tmp_path / "env" / "lib" / "site-packages" / "numerics"
    try:
        source.install(["/"])
        assert source.is_user_path(str(tmp_path)) and source.is_user_path("/")
        for path in (installed, Path(ast.__file__), Path(pytest.__file__).parent, Path(source.__file__)):
            assert not source.is_user_path(str(path)), path
    finally:
        source.install([])
    assert not source.is_user_path(str(tmp_path))


def test_installing_it_again_changes_nothing(folder: Path, fetch: Fetch) -> None:
    hooks = list(sys.path_hooks)
    (folder / "USERLIB.py").write_text("")
    fetch("USERLIB")
    finder = sys.path_importer_cache[str(folder)]
    source.install([str(folder)])
    assert sys.path_hooks == hooks and sys.path_importer_cache[str(folder)] is finder


def test_links_are_followed(folder: Path, fetch: Fetch, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("scripts")
    (elsewhere / "vistools.py").write_text("value = 1\n")
    (folder / "vistools.py").symlink_to(elsewhere / "vistools.py")
    assert fetch("vistools").value == 1
    (elsewhere / "vistools.py").write_text("value = 2\n")
    assert fetch("vistools").value == 2 and fetch("vistools").__file__ == str(folder / "vistools.py")


# --- tabs and spaces ----------------------------------------------------------------------------------------------

TABBED = '''\
class A:
\tdef f(self):
\t    if self:
\t\treturn """a
\tb
        c"""
        def g(self):
\t\treturn 'x\\
\ty', "\t", [
\t1,
            2]
'''


def test_mixed_tabs_are_read_as_python_2_did_and_no_text_changes(folder: Path, fetch: Fetch) -> None:
    with pytest.raises(TabError):
        compile(TABBED, "A", "exec")
    (folder / "USERLIB.py").write_text(TABBED)
    module = fetch("USERLIB")
    assert module.A().f() == "a\n\tb\n        c" and module.A().g() == ("x\ty", "\t", [1, 2])
    assert [f.__code__.co_firstlineno for f in (module.A.f, module.A.g)] == [2, 7]
    assert source.warnings() == (
        "USERLIB.py:4 mixes tabs and spaces; read with tab stops of 8, as Python 2 did; re-indent the file",
    )
    assert linecache.getline(module.__file__, 8).startswith("\t\treturn"), "the line as it stands in the file"
    (folder / "USERLIB.py").write_text("x = 1\n")
    fetch("USERLIB")
    assert source.warnings() == ()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("if 1:\n\tx = 1\n        y = 2\n", 2),
        ("if 1:\n    if 1:\n\tx = 1\n        y = 2\n", 2),
        ("if 1:\n\tif 0:\n\t    pass\n\telse:\n            y = 3\n", 3),
        ("if 1:\r\n\tx = 1\r\n        y = 2\r\n", 2),
        ("if 1:\n\tx = 1\n \t y = 2\n", None),
        ("if 1:\n\tx = 1\n\f\ty = 2\n        y = 4", 4),
    ],
    ids=["tab is eight", "half a tab", "five and three", "dos", "a wrong depth stays wrong", "form feed"],
)
def test_the_depth_of_a_line_is_that_of_python_2(text: str, value: int | None) -> None:
    if value is None:
        with pytest.raises(IndentationError):
            source.read(text.encode(), "A.py")
        return
    names: dict[str, int] = {}
    exec(source.read(text.encode(), "A.py").code, names)
    assert names["y"] == value


def test_the_warning_is_among_the_facts_of_the_system(folder: Path) -> None:
    (folder / "SUSLIB.py").write_text("def f():\n\tif 1:\n\t\treturn 1\n        return 2\n")
    (folder / "SUS.py").write_text(HEAD + "from SUSLIB import f\nclass UP(GuardState): pass\nnominal = 'X'\n")
    first, second = load("SUS", [str(folder)]).facts.warnings
    assert first.startswith("SUSLIB.py:4 mixes tabs and spaces; ") and second.startswith("nominal = 'X'")


# --- Python 2 and no text -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "construct"),
    [
        ("print 'up'", "a print statement"),
        ("if 1: print x, y", "a print statement"),
        ("exec 'x = 1'", "an exec statement"),
        ("exec code in ns", "an exec statement"),
        ("try: pass\nexcept ValueError, e: pass", "except X, e"),
        ("try: pass\nexcept (A, B), e: pass", "except X, e"),
        ("x = `y`", "backticks"),
        ("x = y <> z", "<>"),
        ("x = 1 if y<>z else 2", "<>"),
        ("x = 0777", "an octal number without 0o"),
        ("x = 10L", "a number with an L"),
        ("x = 0xFFL", "a number with an L"),
        ("x = ur'abc'", "an ur'' text"),
        ("raise ValueError, 'bad'", "raise X, text"),
        ("def f((a, b)): pass", "a tuple among the parameters"),
        ("if 1:\n\tif 1:\n\t\tx = 1\n        print 'up'", "a print statement"),
    ],
)
def test_python_2_is_named_with_line_and_cure(folder: Path, line: str, construct: str) -> None:
    error = refusal(folder, f"# old\n{line}\n")
    number = 2 + line.count("\n")
    shown = line.rsplit("\n", maxsplit=1)[-1].strip()
    assert str(error) == (
        f"SUS: SyntaxError: this is Python 2 ({construct}): {shown} -- re-write the line, or the file with 2to3 "
        f"(OLD.py:{number})"
    )
    assert 'SUS.py", line 3' in error.details and f'OLD.py", line {number}' in error.details


def test_python_2_over_several_lines_is_told_in_one(folder: Path) -> None:
    said = str(refusal(folder, "x = 1\nprint 'a', \\\n    x\n"))
    assert said.startswith("SUS: SyntaxError: this is Python 2 (a print statement): print 'a',") and "\n" not in said


@pytest.mark.parametrize("line", ["x = (1, 'a <> b'", "x = 'a' `", "x = ('raise E, text'", "import os, ", "x = 1.5m"])
def test_other_errors_keep_the_words_of_python(folder: Path, line: str) -> None:
    said = str(refusal(folder, line + "\n"))
    assert ("Python 2" in said) == ("`" in line) and said.endswith("(OLD.py:1)")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"x = 1\ny = 2\nz = '\xe9'\n", "byte 0xe9 is not UTF-8; save the file as UTF-8, or say in its first line"),
        (b"x = '\xe9'\n", "byte 0xe9 is not UTF-8"),
        (b"# coding: ascii\nx = '\xe9'\n", "byte 0xe9 is not ASCII"),
        ("x = 1\n".encode("utf-16"), "byte 0xff is not UTF-8"),
        (b"# coding: klingon\n", "unknown encoding: klingon; correct the coding in the first lines"),
        (b"# coding: rot13\n", "'rot13' is not a text encoding"),
        (b"\xef\xbb\xbf# coding: latin-1\n", "encoding problem: utf-8; correct the coding"),
        (b"x = 1\n\x00\x00", "a NUL byte: the file is damaged, or no text"),
        (b"(" * 300 + b")" * 300, "too many nested parentheses"),
        (b"x = " + b"-" * 100_000 + b"1", "too much for Python's compiler (MemoryError); take its longest expression"),
        (b"x = 1" + b"+1" * 100_000, "too much for Python's compiler (RecursionError); take its longest expression"),
    ],
)
def test_what_is_no_text_is_said_with_the_cure(folder: Path, data: bytes, words: str) -> None:
    said = str(refusal(folder, data))
    line = 3 if b"z" in data else 2 if b"ascii" in data or b"\0\0" in data else 1
    assert words in said and said.endswith(f"(OLD.py:{line})")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xef\xbb\xbfx = 'caf\xc3\xa9'\r\n",
        b"# -*- coding: latin-1 -*-\nx = 'caf\xe9'\n",
        b"#!/usr/bin/python\n# coding: utf-8\nx = 'caf\xc3\xa9'",
        b"x = 'caf\xc3\xa9'\ry = 1\r",
    ],
    ids=["empty", "bom", "latin-1", "second line", "old mac"],
)
def test_what_python_takes_is_taken(data: bytes) -> None:
    names: dict[str, object] = {}
    exec(source.read(data, "A.py").code, names)
    assert names.get("x", "café") == "café"


def test_a_file_that_a_method_imports_later_is_told_in_the_same_words(folder: Path, fetch: Fetch) -> None:
    (folder / "LATE.py").write_text("print 'up'\n")
    with pytest.raises(SyntaxError) as caught:
        fetch("LATE")
    assert describe(caught.value).startswith("SyntaxError: this is Python 2 (a print statement): print 'up' -- ")


# --- modules of the field -----------------------------------------------------------------------------------------


def test_a_module_that_is_missing_is_told_with_the_way_to_get_it(folder: Path) -> None:
    with hidden(LIGO):
        said = str(refusal(folder, "import cdsutils\n"))
    assert "No module named 'cdsutils' (OLD.py:1); to get it: pip install 'epics-guardian[ligo]'" in said
    said = str(refusal(folder, "import sustools\n"))
    assert said.endswith(f"install it for {sys.executable}, or put the file in one of {folder}")


def test_ezca_is_there_without_the_package_and_a_users_file_wins(folder: Path) -> None:
    from guardian.access import injected
    from guardian.errors import EzcaConnectError

    text = "from guardian import GuardState\nfrom ezca import Ezca, EzcaConnectError\nclass UP(GuardState): pass\n"
    (folder / "SUS.py").write_text(text)
    with hidden(LIGO):
        module = load("SUS", [str(folder)]).module
        assert module.Ezca is injected.chosen() and module.EzcaConnectError is EzcaConnectError
        with pytest.raises(AttributeError, match="not LIGO's package"):
            _ = sys.modules["ezca"].LIGOFilter
        del sys.modules["ezca"], sys.modules["SUS"]
        (folder / "ezca.py").write_text("Ezca = EzcaConnectError = 'mine'\n")
        assert load("SUS", [str(folder)]).module.Ezca == "mine"
        del sys.modules["ezca"]


def test_a_path_below_the_userapps_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USERAPPS_PATH", "/userapps/release")
    assert userapps_path("sus", "x1", "a.snap") == "/userapps/release/sus/x1/a.snap"
    monkeypatch.delenv("USERAPPS_PATH")
    with pytest.raises(ExpectedError, match=r"userapps_path\('sus',\): USERAPPS_PATH is not set; set it to"):
        userapps_path("sus")
