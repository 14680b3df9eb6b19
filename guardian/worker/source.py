"""Imports the user's source files: those below the search paths, and nothing that is installed.

Python's own importer trusts a ``.pyc`` as long as time (in whole seconds) and size of the source fit. A file that is
edited twice in a second, or copied with its old time, would so run as it was. Here a file is always compiled as it is
now, no ``.pyc`` is read or written, and a module whose source is gone is gone. Compiling costs a millisecond per
hundred lines, paid at a load.

A traceback shows the lines that run, not those an editor has put in the file since: the text goes into `linecache`
together with the code.

Files of the field are often older than Python 3. Those that mix tabs and spaces are read as Python 2 read them, which
is what their authors saw; the warning says so. What else only Python 2 understands is refused with a SyntaxError that
names the construct, so it reads the same at a load, at a reload, and when a method imports the file.
"""

from __future__ import annotations

import io
import linecache
import os
import re
import sys
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.abc import PathEntryFinder
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    PathFinder,
    SourceFileLoader,
)
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from guardian.core.sources import blob_id
from guardian.worker.faults import is_users

TAB = 8
_SHOWN = 80
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_NAMES: Any = vars(ModuleType)["__dict__"]
_paths: tuple[str, ...] = ()
_places: tuple[tuple[int, str], ...] = ()  # each search path and what it is a link to, a slash behind, and its number
_compiled = 0
_last_before: str | None = None  # what was imported last before :func:`install`

_INDENTATION = re.compile(r"[ \t\f]*")
#: What only Python 2 takes, by Python 3's message, or by what stands before and behind the place it points at.
_MESSAGES = {
    "call to 'print'": "a print statement",
    "call to 'exec'": "an exec statement",
    "multiple exception types": "except X, e",
    "leading zeros": "an octal number without 0o",
    "parameters cannot be parenthesized": "a tuple among the parameters",
}
_PLACES = (
    (re.compile(r""), re.compile(r"`"), "backticks"),
    (re.compile(r""), re.compile(r"[^'\"#]*<>"), "<>"),
    (re.compile(r"\b[uU][rR]$"), re.compile(r"['\"]"), "an ur'' text"),
    (re.compile(r"\braise\s[^'\"#]*$"), re.compile(r","), "raise X, text"),
    (re.compile(r"[0-9a-fA-FxX]$"), re.compile(r"[0-9a-fA-F]?[lL]\b"), "a number with an L"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A source file that has been compiled: its code, the text as it stands in the file, and a sentence or ""."""

    code: CodeType
    text: str
    warning: str


def install(paths: Sequence[str]) -> None:
    """From now on import what lies in these folders, and in folders below them, with this file's importer."""
    global _paths, _places, _last_before
    if _last_before is None:
        _last_before = next(reversed(sys.modules))
    wanted = tuple(dict.fromkeys(where(p) for where in (os.path.abspath, os.path.realpath) for p in paths))
    if _hook not in sys.path_hooks:
        sys.path_hooks.insert(0, _hook)
    if wanted != _paths:
        _paths = wanted
        spelt = ((n, where(p)) for where in (os.path.abspath, os.path.realpath) for n, p in enumerate(paths))
        _places = tuple((number, folder.rstrip(os.sep) + os.sep) for number, folder in spelt)
        sys.path_importer_cache.clear()
    PathFinder.invalidate_caches()


def is_user_path(path: str) -> bool:
    """Whether a file or folder is the user's: below the search paths, and no part of what is installed."""
    path = os.path.abspath(path) + os.sep
    return (
        path.startswith(tuple(p.rstrip(os.sep) + os.sep for p in _paths))
        and is_users(path)
        and not any(part in path for part in _INSTALLED)
    )


def imported() -> dict[str, ModuleType]:
    """What has been imported since :func:`install` was first called, by name, in order; anything may be in it.

    It is looked for from the end. What was there before is not touched: its memory is shared with other workers, and
    what is only looked at in Python is copied.
    """
    while True:
        found = []
        try:
            for name in reversed(sys.modules):
                if name == _last_before:
                    break
                found.append(name)
        except RuntimeError:  # another thread has imported something meanwhile
            continue
        return {name: sys.modules[name] for name in reversed(found) if name in sys.modules}


def modules() -> dict[str, ModuleType]:
    """The modules of the user that are imported now, by name; folders without a file of their own included."""
    return {
        name: module
        for name, module in imported().items()
        if issubclass(type(module), ModuleType) and name != "__main__" and _is_users(module)
    }


def file_of(module: object) -> str | None:
    """The file of a module. No code of the module is run: lazy ones import things, and fail, when they are asked."""
    if not issubclass(type(module), ModuleType):
        return None
    loader, file = _loader(module), _names(module).get("__file__")
    return loader.path if loader is not None else file if isinstance(file, str) else None


def warnings() -> tuple[str, ...]:
    """What is to be said of the files that are imported now."""
    loaders = map(_loader, modules().values())
    return tuple(dict.fromkeys(loader.warning for loader in loaders if loader is not None and loader.warning))


def compiled() -> int:
    """How many files were compiled so far."""
    return _compiled


def loaders() -> list[SourceLoader]:
    """Those of the files that are imported now and were compiled here, each file once."""
    found = {loader.path: loader for module in modules().values() if (loader := _loader(module)) is not None}
    return [loader for loader in found.values() if loader.blob]


def place_of(path: str) -> tuple[int, str]:
    """The search path that a file lies below, the deepest if there are several: its number, and the path from there.

    User code may have spelt it otherwise (``nodes/../common/lib.py``): no part of the answer is empty, ``.`` or ``..``.
    """
    path = os.path.abspath(path)
    number, folder = max(_places, key=lambda one: len(one[1]) if path.startswith(one[1]) else 0, default=(0, ""))
    return (number, path[len(folder) :]) if path.startswith(folder) else (0, path.lstrip(os.sep))


def _loader(module: object) -> SourceLoader | None:
    loader = getattr(_names(module).get("__spec__"), "loader", None)
    return loader if isinstance(loader, SourceLoader) else None


def _is_users(module: ModuleType) -> bool:
    """Whether it was imported here, or by whatever other importer from below the search paths."""
    if _loader(module) is not None:
        return True
    file = file_of(module)
    return any(map(is_user_path, _folders(module) if file is None else [file]))


def _folders(module: ModuleType) -> list[str]:
    try:
        return [str(folder) for folder in _names(module).get("__path__") or ()]
    except Exception:  # that of a namespace package looks for its parent in sys.modules, which may be gone
        return []


def _names(module: object) -> dict[str, Any]:
    """What is in a module, whatever its class says."""
    found: dict[str, Any] = _NAMES.__get__(module)
    return found


class SourceLoader(SourceFileLoader):
    """Compiles the file as it is now.

    Attributes
    ----------
    warning : what is to be said of it, or "".
    blob, size : the name that git gives to what was compiled, and its bytes; "" before that.
    data : what was compiled, until somebody has taken it; None then.
    """

    warning = ""
    blob = ""
    size = 0
    data: bytes | None = None

    def get_code(self, fullname: str) -> CodeType:
        global _compiled
        path = self.get_filename(fullname)
        data = self.get_data(path)
        source = read(data, path)
        self.warning = source.warning
        self.blob, self.size, self.data = blob_id(data), len(data), data
        _compiled += 1
        # Without a time: linecache then never looks at the file again.
        lines = [line + "\n" for line in source.text.split("\n")]
        linecache.cache[path] = (len(source.text), None, lines, path)
        return source.code


_finder = FileFinder.path_hook((ExtensionFileLoader, EXTENSION_SUFFIXES), (SourceLoader, SOURCE_SUFFIXES))


def _hook(path: str) -> PathEntryFinder:
    if not is_user_path(path):
        raise ImportError(f"{path} is below no search path", path=path)
    return _finder(path)


# --- from bytes to code -------------------------------------------------------------------------------------------


def read(data: bytes, path: str) -> Source:
    """Compile a source file.

    Raises
    ------
    SyntaxError
        With a message that says what to do, where Python's own does not.
    """
    text = _decode(data, path)
    try:
        return Source(code=_compile(text, path), text=text, warning="")
    except TabError as error:
        where = f"{Path(path).name}:{error.lineno}"
    return Source(
        code=_compile(without_tabs(text, path), path),
        text=text,
        warning=f"{where} mixes tabs and spaces; read with tab stops of {TAB}, as Python 2 did; re-indent the file",
    )


def _decode(data: bytes, path: str) -> str:
    """The text, its lines ended by newlines."""
    complaint = None
    try:
        encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0]
    except SyntaxError as error:  # also where one of the first two lines is not UTF-8
        encoding, complaint = "utf-8-sig", error.msg
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise SyntaxError(
            f"byte 0x{error.object[error.start]:02x} is not {encoding.removesuffix('-sig').upper()}; save the file as "
            "UTF-8, or say in its first line how it is written: # -*- coding: latin-1 -*-",
            (path, error.object[: error.start].count(b"\n") + 1, None, None),
        ) from None
    except LookupError as error:
        complaint = str(error)
    if complaint is not None:
        raise SyntaxError(f"{complaint}; correct the coding in the first lines, or leave it out", (path, 1, None, None))
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise SyntaxError("a NUL byte: the file is damaged, or no text; save it as UTF-8", (path, line, None, None))
    return io.IncrementalNewlineDecoder(None, True).decode(text)


def _compile(text: str, path: str) -> CodeType:
    try:
        return compile(text, path, "exec", dont_inherit=True)
    except (MemoryError, RecursionError) as error:
        message = f"too much for Python's compiler ({type(error).__name__}); take its longest expression apart"
        raise SyntaxError(message, (path, 1, None, None)) from None
    except SyntaxError as error:
        construct = _python2(error)
        if construct is None:
            raise
        line = " ".join((error.text or "").split())[:_SHOWN]  # a statement may go over several lines
        message = f"this is Python 2 ({construct}): {line} -- re-write the line, or the file with 2to3"
        raise SyntaxError(message, (error.filename, error.lineno, error.offset, error.text)) from None


def _python2(error: SyntaxError) -> str | None:
    """The construct of Python 2 that Python 3 stumbles over, None if it is none."""
    for words, construct in _MESSAGES.items():
        if words in (error.msg or ""):
            return construct
    at = max((error.offset or 1) - 1, 0)
    before, behind = (error.text or "")[:at], (error.text or "")[at:]
    return next((what for left, right, what in _PLACES if left.search(before) and right.match(behind)), None)


# --- tabs ---------------------------------------------------------------------------------------------------------


def without_tabs(text: str, path: str) -> str:
    """A text that mixes tabs and spaces, indented as Python 2 read it.

    Raises
    ------
    SyntaxError
        As :func:`read`.
    """
    untabbed = _untab(text)
    _compile(untabbed, path)  # first, so that what is taken apart next is known to be sound
    return _untab(text, _inside_texts(untabbed))


def _untab(text: str, kept: frozenset[int] = frozenset()) -> str:
    """The indentation of all lines in spaces, but not of the lines `kept` (the first line is 1)."""
    lines = text.split("\n")
    return "\n".join(
        line if number in kept else _INDENTATION.sub(_spaces, line, count=1) for number, line in enumerate(lines, 1)
    )


def _spaces(indentation: re.Match[str]) -> str:
    column = 0
    for character in indentation[0]:
        column = 0 if character == "\f" else (column // TAB + 1) * TAB if character == "\t" else column + 1
    return " " * column


def _inside_texts(text: str) -> frozenset[int]:
    """The lines that begin inside a string literal."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return frozenset(line for token in tokens for line in range(token.start[0] + 1, token.end[0] + 1))
