"""Lines out of a log file of any size: found by halving, read from either end, and passed over in blocks.

A line begins with its time, of fixed width, so times are compared as bytes. Times in a file do not fall by more than
:data:`~guardian.host.logfolder.SLACK_S` (a clock that is set back begins a new file), so a moment is found by looking
at some twenty places, however large the file. What cannot hold a wanted line is passed over by blocks, without making
lines of it.

Invariant: a file is read as far as it went when it was found, and by its inode: a host that goes on writing, or puts it
aside meanwhile, changes nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from guardian.host.logfolder import SLACK_S, NodeFile
from guardian.host.logline import stamp
from guardian.host.rotation import aside

WIDTH = len("2016-08-23_08:13:17.670880Z")
_STAMP = re.compile(rb"\d{4}-\d\d-\d\d_\d\d:\d\d:\d\d\.\d{6}Z ")
_START = re.compile(rb"(?:\A|\n)(?=(\d{4}-\d\d-\d\d_\d\d:\d\d:\d\d\.\d{6}Z) )")
#: Read at once, in bytes: a step of halving, and otherwise.
_LOOK, BLOCK = 16 * 1024, 256 * 1024
#: Halving ends here: the rest is read.
_NEAR = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which lines are wanted.

    Parameters
    ----------
    since, until : epoch seconds; None: it is open there.
    block : whether some lines together may hold one that is wanted. line : whether a line is.
    marks : backward, behind each block comes how far was looked: a time without a line (:func:`is_mark`).
    """

    since: float | None = None
    until: float | None = None
    block: Callable[[bytes], object] = lambda _: True
    line: Callable[[bytes], object] = lambda _: True
    marks: bool = False

    def within(self, lines: list[bytes]) -> list[bytes]:
        """Those of `lines` that are wanted; what has no time is none."""
        begin = None if self.since is None else _at(self.since)
        end = None if self.until is None else _at(self.until)
        return [
            line
            for line in lines
            if _STAMP.match(line)
            and (begin is None or line[:WIDTH] >= begin)
            and (end is None or line[:WIDTH] <= end)
            and self.line(line)
        ]


def is_mark(line: bytes) -> bool:
    """Whether it is no line: up to this time all of a file was looked at."""
    return len(line) == WIDTH


def forward(file: NodeFile, wanted: Wanted, begin: int = 0) -> Iterator[bytes]:
    """The lines of a file that are wanted, without their newlines, from the place `begin` on.

    Raises
    ------
    OSError
        It cannot be read.
    """
    with _opened(file) as fd:
        at, end = _bounds(fd, file.size, wanted)
        at, rest = max(at, begin), b""
        while at < end and (data := os.pread(fd, min(BLOCK, end - at), at)):
            at += len(data)
            whole, newline, rest = (rest + data).rpartition(b"\n")
            if newline and wanted.block(whole):
                yield from wanted.within(whole.split(b"\n"))
        yield from wanted.within([rest])


def backward(file: NodeFile, wanted: Wanted) -> Iterator[bytes]:
    """The same, the last line first.

    Raises
    ------
    OSError
        It cannot be read.
    """
    with _opened(file) as fd:
        begin, at = _bounds(fd, file.size, wanted)
        rest, size = b"", _LOOK
        while at > begin:
            data = os.pread(fd, min(size, at - begin), max(begin, at - size))
            if not data:
                break
            at -= len(data)
            size = BLOCK
            rest, newline, whole = (data + rest).partition(b"\n")
            if newline and wanted.block(whole):
                yield from reversed(wanted.within(whole.split(b"\n")))
            if wanted.marks and (first := _START.search(whole)):
                yield first[1]
        yield from wanted.within([rest])


def found_as(file: NodeFile, inode: int) -> int:
    """A descriptor of what had this inode when it was found under the name of `file`; it may be put aside by now.

    Raises
    ------
    OSError
        It is gone.
    """
    for path in _names(file):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        if os.fstat(fd).st_ino == inode:
            return fd
        os.close(fd)
    raise FileNotFoundError(2, "was removed meanwhile", str(file.path))


def _names(file: NodeFile) -> Iterator[Path]:
    """Where it is, and, looked for only then, where it may be by now."""
    yield file.path
    if file.growing:
        yield from reversed(aside(file.path))


@contextmanager
def _opened(file: NodeFile) -> Iterator[int]:
    fd = found_as(file, file.inode)
    try:
        yield fd
    finally:
        os.close(fd)


def _at(epoch: float) -> bytes:
    return stamp(round(max(epoch, 0.0) * 1e6)).encode()


def _bounds(fd: int, size: int, wanted: Wanted) -> tuple[int, int]:
    """From which line to which place all wanted lines are found. The end is that of a line, too."""
    begin = 0 if wanted.since is None else _halve(fd, size, _at(wanted.since - SLACK_S))[0]
    end = size if wanted.until is None else _halve(fd, size, _at(wanted.until + SLACK_S))[1]
    return min(begin, end), end


def _halve(fd: int, size: int, moment: bytes) -> tuple[int, int]:
    """Two places at which lines begin, near to each other, and between them the first line of that moment or later."""
    low, high = 0, size
    while high - low > _NEAR:
        middle = (low + high) // 2
        found = _next_line(fd, middle, high)
        if found is not None and found[1] < moment:
            low = found[0]
        else:
            high = middle
    following = _next_line(fd, high, size) if high < size else None
    return low, size if following is None else following[0]


def _next_line(fd: int, at: int, end: int) -> tuple[int, bytes] | None:
    """Where behind `at` the first line begins that has a time, and its time."""
    place = at
    while place < end:
        data = os.pread(fd, min(_LOOK, end - place), place)
        if not data:
            return None
        if place and (found := data.find(b"\n")) >= 0:
            data, place = data[found:], place + found
        if match := _START.search(data):
            return place + match.start() + (data[match.start() : match.start() + 1] == b"\n"), match[1]
        if len(data) <= WIDTH + 2:
            return None
        place += len(data) - WIDTH - 2  # a time may stand across two looks
    return None
