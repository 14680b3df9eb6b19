"""What user code did, told in one line or with its own traceback, whatever it did.

Nothing here raises: an error that could not be told would be a node that stands still and says nothing. Frames of this
package and of the import system are left out; nobody but its author is helped by them.
"""

from __future__ import annotations

import importlib
import os
import re
import sysconfig
import traceback
from pathlib import Path

#: What is shown of a text of user code in one line.
LINE_LENGTH = 400
_OURS = str(Path(__file__).resolve().parent.parent)
_IMPORTLIB = str(Path(importlib.__file__).parent)
#: Folders of Python itself and of what is installed.
PYTHONS = tuple({p + os.sep for k in ("stdlib", "platstdlib", "purelib", "platlib") if (p := sysconfig.get_path(k))})
#: A line of what faulthandler writes.
_FRAME = re.compile(r'^  File "(.+)", line (\d+) in (.*)$', re.MULTILINE)


def describe(error: BaseException) -> str:
    """One line that says what user code did and where: "ZeroDivisionError: division by zero (SUS.py:31)"."""
    try:
        return _describe(error)
    except BaseException as fault:
        return f"{_kind(error)} that cannot be described: {_kind(fault)}"


def _kind(value: object) -> str:
    """The name of its class, whatever the class of that class says."""
    return str(type.__dict__["__name__"].__get__(type(value)))


def _describe(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        where = f"{Path(error.filename or '?').name}:{error.lineno}"
        return f"{_kind(error)}: {_cut(error.msg or '')} ({where})"
    text, where = one_line(error), _where(error)
    return f"{_kind(error)}{f': {text}' if text else ''}{f' ({where})' if where else ''}"


def one_line(value: object) -> str:
    """What a value of user code says of itself, first line, cut; its ``__str__`` may do what it likes."""
    try:
        text = plain_str(str(value))
    except BaseException as error:
        return f"<{_kind(value)} that cannot be shown: {_kind(error)}>"
    return _cut(text.split("\n", 1)[0])


def plain_str(text: str) -> str:
    """The characters of a str, whatever its class says: "ALIGNED", not "States.ALIGNED"."""
    return str.__str__(text)


def _cut(text: str) -> str:
    return text if len(text) <= LINE_LENGTH else text[: LINE_LENGTH - 3] + "..."


def shown(value: object) -> str:
    """A value as Python writes it, cut; its ``__repr__`` may do what it likes."""
    try:
        return _cut(repr(value))
    except BaseException as error:
        return f"<{_kind(value)} that cannot be shown: {_kind(error)}>"


def _where(error: BaseException) -> str:
    """The innermost line of user code in a traceback."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not is_ours(f.filename)]
    user = [f for f in frames if is_users(f.filename)] or frames
    return f"{Path(user[-1].filename).name}:{user[-1].lineno}" if user else ""


def frames_in_dump(dump: str) -> list[tuple[str, str, str]]:
    """File, line and function of the main thread's frames, innermost first, in what faulthandler wrote; not of ours."""
    frames = _FRAME.findall(dump.rpartition("(most recent call first):")[2])  # the main thread comes last
    return [frame for frame in frames if not is_ours(frame[0])]


def where_in_dump(dump: str) -> str:
    """The innermost line of user code of the main thread, in what faulthandler wrote: "SUS.py:31", or ""."""
    user = [(file, line) for file, line, _ in frames_in_dump(dump) if is_users(file)]
    if not user:
        return ""
    # What was made of a text ("<string>") may be ours, as the methods of a dataclass are; a line of a file is better.
    file, line = next((frame for frame in user if not frame[0].startswith("<")), user[0])
    return f"{Path(file).name}:{line}"


def is_ours(filename: str) -> bool:
    """Whether a frame of that file belongs to this package or to the import system."""
    return filename.startswith((_OURS + os.sep, _IMPORTLIB + os.sep, "<frozen"))


def is_users(filename: str) -> bool:
    """Whether it belongs to neither this package nor to Python, nor to what is installed."""
    return not is_ours(filename) and not filename.startswith(PYTHONS)


def user_traceback(error: BaseException) -> str:
    """The traceback of user code, without the frames that are ours."""
    try:
        return _user_traceback(error)
    except BaseException as fault:
        return f"{describe(error)}; its traceback cannot be shown: {_kind(fault)}"


def _user_traceback(error: BaseException) -> str:
    told = traceback.TracebackException.from_exception(error)
    for part in _chain(told):
        kept = [f for f in part.stack if not is_ours(f.filename)]
        part.stack = traceback.StackSummary.from_list(kept)
    return "".join(told.format()).rstrip()


def _chain(shown: traceback.TracebackException) -> list[traceback.TracebackException]:
    """It and all that it came from. Told apart by identity: comparing two chains takes a recursion as deep as they."""
    found: dict[int, traceback.TracebackException] = {}
    todo: list[traceback.TracebackException | None] = [shown]
    while todo:
        part = todo.pop()
        if part is not None and id(part) not in found:
            found[id(part)] = part
            todo += [part.__cause__, part.__context__]
    return list(found.values())
