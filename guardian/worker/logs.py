"""The worker's end of the log path: everything user code says goes down one pipe, and nothing of it can block.

Three kinds of output share the pipe:

* ``log(...)``, ``print``, Python's ``logging`` and tracebacks become **frames**: one line each with the time of the
  call, a level, and the state and method it came from (:func:`frames` and :func:`parse_frame` are the two ends of it);
* what C code, faulthandler and children of user code write to descriptors 1 and 2 arrives as it is, as plain lines;
* what does not fit is dropped and counted in the beat page, where the host sees the count although the pipe is full.

Invariants. Each write is one frame of at most PIPE_BUF bytes to a non-blocking pipe: it goes in whole or not at all, so
frames of threads and forked children never mix, and a slow or stopped host costs user code a failed system call, not
its time. There is no lock in here: an interrupt or a fork in the middle of a line cannot leave one held. The writer
has an open file description of its own, so a child that makes its stdout blocking, or user code that closes or
redirects descriptor 1, changes nothing for ``log``. No fault of what is logged (bad format, failing ``__str__``, lone
surrogates) is raised into user code.

Cost: 5 to 10 us a line, handed over or dropped.
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import logging
import os
import re
import select
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from guardian.enums import LogLevel
from guardian.worker.beat import BeatWriter

LEVELS = tuple(level.name for level in LogLevel)
#: Longer lines are cut, with a mark that says so.
MAX_CHARS = 2000
#: A frame begins with this character, so it is found even behind a line that C code left unfinished.
MARK = b"\x1e"
#: Whatever else looks like one is text, that of a binary file perhaps.
_FRAME = re.compile(rb"\x1e(\d{1,16})\x1f(%s)\x1f([^\x00-\x1f\x7f]*)\x1f(.*)" % "|".join(LEVELS).encode(), re.DOTALL)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_MAX_CONTEXT = 120
#: Folders of Python's own modules and of ours.
_LIBRARIES = (os.path.dirname(os.__file__) + os.sep, os.path.dirname(os.path.dirname(__file__)) + os.sep)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One line of a worker as it left it."""

    stamp_us: int  #: microseconds since 1970, taken at the call
    level: str
    context: str  #: "STATE.method", or "" outside of states
    text: str
    at: int = 0  #: where in the line read from the pipe the frame began; what is before it is not part of it


def cut(text: str) -> str:
    """`text`, or its first MAX_CHARS characters and how many there were."""
    return text if len(text) <= MAX_CHARS else f"{text[:MAX_CHARS]} ... [cut, {len(text)} characters]"


def frames(text: str, *, stamp_us: int, level: str = "INFO", context: str = "") -> Iterator[bytes]:
    """The frames of `text`, one for each of its lines, none longer than PIPE_BUF."""
    head = b"\x1e%d\x1f%s\x1f%s\x1f" % (stamp_us, level.encode(), context.encode("utf-8", "backslashreplace"))
    room = select.PIPE_BUF - len(head) - 1
    for line in text.removesuffix("\n").split("\n"):
        body = cut(line).encode("utf-8", "backslashreplace")
        if len(body) > room:  # few characters, many bytes
            note = f" ... [cut, {len(line)} characters]"
            body = (body[: room - len(note)].decode("utf-8", "ignore") + note).encode()
        yield head + body + b"\n"


def parse_frame(line: bytes) -> Frame | None:
    """The frame in a line of the pipe (without its newline), or None if there is none."""
    found = _FRAME.search(line, max(0, len(line) - select.PIPE_BUF))  # no frame is longer
    if found is None:
        return None
    stamp, level, context, text = found.groups()
    return Frame(
        stamp_us=int(stamp),
        level=level.decode(),
        context=context.decode("utf-8", "backslashreplace"),
        text=text.decode("utf-8", "backslashreplace"),
        at=found.start(),
    )


def message(text: object, args: tuple[object, ...]) -> str:
    """``text % args`` as :mod:`logging` does it; what cannot be formatted is shown in pieces, never raised."""
    plain = _str(text)
    if not args:
        return plain
    values: object = args[0] if len(args) == 1 and isinstance(args[0], Mapping) and args[0] else args
    try:
        return plain % values
    except Exception:
        return " ".join([plain, *map(_str, args)])


def _str(value: object) -> str:
    try:
        return str(value)
    except Exception as error:
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"


class LogWriter:
    """What user code calls ``log``, and where all its output meets. Made by :func:`install`.

    Parameters
    ----------
    fd : where frames go. dropped : called for each that does not.
    """

    def __init__(self, fd: int, dropped: Callable[[], None]) -> None:
        self._fd = fd
        self._dropped = dropped
        self._context = ""
        self._level = LogLevel.INFO
        self._streams: list[_Stream] = []

    @property
    def context(self) -> str:
        """Shown with every line: "STATE.method" of the present call, "" between calls. The loop sets it."""
        return self._context

    @context.setter
    def context(self, value: str) -> None:
        self._context = _CONTROL.sub("?", value)[:_MAX_CONTEXT]

    @property
    def level(self) -> LogLevel:
        """The least that is sent. May be set by any thread, at any time."""
        return self._level

    @level.setter
    def level(self, value: LogLevel) -> None:
        was, self._level = self._level, value
        if (was is LogLevel.DEBUG) is not (value is LogLevel.DEBUG):
            logging.getLogger().setLevel(logging.DEBUG if value is LogLevel.DEBUG else logging.INFO)

    def log(self, text: object, *args: object, level: str = "INFO") -> None:
        """Write a line to the log of the node: ``log('text')`` or ``log('x is %s', x)``.

        Parameters
        ----------
        text : shown by ``str``; each line of it becomes a line of the log.
        args : filled into `text` in the ``%`` way.
        level : DEBUG, INFO, WARNING, ERROR or CRITICAL; anything else counts as INFO.
        """
        level = level if level in LEVELS else "INFO"
        if LogLevel[level] >= self._level:  # what is not sent need not be formatted, either
            self.send(message(text, args), level)

    def flush(self) -> None:
        """Show what was printed without a newline. The loop does so after each call of user code."""
        for stream in self._streams:
            stream.flush()

    def send(self, text: str, level: str) -> None:
        """Write each line of `text`, unless it is below the level; `level` is one of LEVELS."""
        if LogLevel[level] < self._level:
            return
        stamp_us = time.time_ns() // 1000
        for frame in frames(text, stamp_us=stamp_us, level=level, context=self._context):
            try:
                os.write(self._fd, frame)
            except OSError:  # full, or the host has gone
                self._dropped()


class _Stream(io.TextIOBase):
    """Stands in for sys.stdout or sys.stderr: whole lines go to the log, the rest waits for its newline.

    Unfinished lines are kept for each thread, so that prints of several threads do not mix.
    """

    encoding = "utf-8"
    errors = "backslashreplace"
    newlines = None
    mode = "w"
    line_buffering = True

    def __init__(self, writer: LogWriter, fd: int, name: str, level: str) -> None:
        super().__init__()
        self.name = name
        self.buffer = _Bytes(self)
        self._writer = writer
        self._fd = fd
        self._level = level
        self._pending: dict[threading.Thread, str] = {}  # not by number: a new thread may get that of an old one

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        me = threading.current_thread()
        whole, newline, rest = (self._pending.pop(me, "") + text).rpartition("\n")
        if newline:
            self._writer.send(whole, self._level)
        whole_parts = max(0, len(rest) - 1) // MAX_CHARS  # one pass: what is left is not copied for each part
        for at in range(0, whole_parts * MAX_CHARS, MAX_CHARS):
            self._writer.send(rest[at : at + MAX_CHARS], self._level)
        if rest:
            self._pending[me] = rest[whole_parts * MAX_CHARS :]
        return len(text)

    def flush(self) -> None:
        if not self._pending:
            return
        me = threading.current_thread()
        for thread in list(self._pending):
            if thread is me or not thread.is_alive():  # a thread that ended leaves its last words to the others
                rest = self._pending.pop(thread, "")
                if rest:
                    self._writer.send(rest, self._level)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd  # children started with stdout=sys.stdout write plain lines

    def reconfigure(self, **_: object) -> None:
        """Accepted and without effect, as this stream has nothing to configure."""

    def close(self) -> None:
        """The streams of a worker stay open as long as it lives; a close only flushes."""
        self.flush()


class _Bytes(io.RawIOBase):
    """``sys.stdout.buffer``: bytes into the same lines."""

    def __init__(self, stream: _Stream) -> None:
        super().__init__()
        self._stream = stream

    def write(self, data: Any) -> int:
        raw = bytes(data)
        self._stream.write(raw.decode("utf-8", "backslashreplace"))
        return len(raw)

    def flush(self) -> None:
        self._stream.flush()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()

    def close(self) -> None:
        self.flush()


class _NoLock(contextlib.AbstractContextManager[None]):
    """In the place of a lock."""

    def acquire(self) -> None: ...

    def release(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


class _Handler(logging.Handler):
    """Python's logging into the log of the node. Without the usual lock: a line is one write."""

    def __init__(self, writer: LogWriter) -> None:
        super().__init__()
        self._writer = writer

    def createLock(self) -> None:
        self.lock = cast(Any, _NoLock())  # one write is one line: an interrupt must find no lock held

    def emit(self, record: logging.LogRecord) -> None:
        level = LogLevel(min(max(record.levelno // 10 - 1, 0), 4))
        if level < self._writer.level or (level is LogLevel.DEBUG and _is_library(record.pathname)):
            return
        args = record.args or ()
        text = message(record.msg, args if isinstance(args, tuple) else (args,))
        if record.name != "root":
            text = f"{record.name}: {text}"
        if record.exc_info and record.exc_info[0] is not None:
            text += "\n" + logging.Formatter().formatException(record.exc_info)
        self._writer.send(text, level.name)


def _is_library(path: str) -> bool:
    """Whether code there is not the user's: what libraries say at DEBUG would bury what he looks for."""
    return path.startswith(_LIBRARIES) or "/site-packages/" in path or "/dist-packages/" in path


def install(fd: int, beat: BeatWriter) -> LogWriter:
    """Send everything this process says down the pipe `fd`, from now on.

    Takes over descriptors 1 and 2, sys.stdout and sys.stderr, the root logger and faulthandler, and makes C's stdout
    line-buffered. `fd` is closed.

    Parameters
    ----------
    fd : write end of a pipe whose other end the host reads.
    beat : where lines that do not fit are counted.
    """
    os.set_blocking(fd, False)
    for target in (1, 2):
        os.dup2(fd, target, inheritable=True)
    if fd > 2:
        os.close(fd)
    try:
        own = os.open("/proc/self/fd/1", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # no /proc: share the description
        own = os.dup(1)

    writer = LogWriter(own, beat.drop)
    out = _Stream(writer, 1, "<stdout>", "INFO")
    err = _Stream(writer, 2, "<stderr>", "WARNING")
    writer._streams = [out, err]
    # The originals too: code that puts sys.stdout back takes them from there, and they would raise BlockingIOError.
    sys.stdout = sys.__stdout__ = cast(Any, out)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = cast(Any, err)  # type: ignore[misc]

    take_logging(writer)
    faulthandler.enable(file=2, all_threads=True)
    _line_buffer_c_stdout()
    return writer


def take_logging(writer: LogWriter) -> None:
    """Send there what goes through Python's logging, and nowhere else."""
    root = logging.getLogger()
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    root.addHandler(_Handler(writer))
    root.setLevel(logging.INFO)


def _line_buffer_c_stdout() -> None:
    """C's stdout on a pipe would keep its lines until 4096 bytes are full, so a crash would eat them."""
    import ctypes

    try:
        libc = ctypes.CDLL(None)
        stdout = ctypes.c_void_p.in_dll(libc, "stdout")
        libc.setvbuf(stdout, None, 1, ctypes.c_size_t(0))  # 1: _IOLBF
    except (AttributeError, ValueError, OSError):  # a C library without these names: lines come late, that is all
        pass
