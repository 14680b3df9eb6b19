"""Goes on with what hosts write, as ``tail -F`` does: over files that are put aside, hosts that start anew, new nodes.

Each file is known by its inode and its first bytes, for inodes are used again. When another one stands under its name,
the old one is found where it was put aside, and read to its end first; then all that came in between, in order. Where
it was removed meanwhile (whoever reads here was stopped, or is a pager), what came after it is still shown.

No file is kept open, and however much has come, only a block of each node is in memory.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import select
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn, Protocol

from guardian.client.records.linefile import WIDTH, Wanted, found_as
from guardian.client.records.logfiles import Place
from guardian.errors import ExpectedError
from guardian.host.logfolder import NodeFile

#: Between two looks at the files, and at what files there are, in seconds.
LOOK_S, LIST_S = 0.2, 1.0
_BLOCK, _HEAD = 256 * 1024, 64


class Shower(Protocol):
    """Prints lines."""

    def all(self, lines: Iterable[bytes]) -> int: ...


@dataclass(slots=True)
class _Read:
    """How far the log of one node was read: what was put aside until then, and so many bytes of one more file."""

    inode: int = 0
    head: bytes = b""  #: its first bytes
    at: int = 0
    aside: tuple[str, int] = ("", 0)  #: of the newest that was put aside, as in `NodeFile`

    def is_of(self, file: NodeFile) -> bool:
        """Whether `file` is that one: another one may have its inode, and its size too."""
        return file.inode == self.inode and _head(file)[: len(self.head)] == self.head


class Followed:
    """The files of one host, as far as they were read.

    Parameters
    ----------
    wanted : which lines are wanted.
    """

    def __init__(self, place: Place, patterns: list[str], wanted: Wanted) -> None:
        self._place = place
        self._patterns = patterns
        self._wanted = wanted
        self._read: dict[str, _Read] = {}
        self._growing: dict[str, Path] = {}

    def begin(self) -> list[tuple[list[NodeFile], Wanted]]:
        """What is there now, up to the end of its last line; what comes after that is news."""
        found = self._place.files(self._patterns)
        for name, files in found.items():
            last = files[-1]
            if last.growing:
                files[-1] = replace(last, size=_end_of_line(last))
            before = [file.aside for file in files if not file.growing]
            self._read[name] = _Read(last.inode, _head(last), files[-1].size, max(before, default=("", 0)))
            self._growing[name] = last.path
        return [(files, self._wanted) for files in found.values()]

    def news(self, *, anew: bool) -> list[Iterator[bytes]]:
        """The lines that have come, of each node. `anew`: look for new files too."""
        changed = {name for name, path in self._growing.items() if self._has_changed(name, path)}
        if anew or changed:
            with contextlib.suppress(ExpectedError):  # the folder is not there now
                return [self._of(name, files) for name, files in self._place.files(self._patterns).items()]
        return []

    def _has_changed(self, name: str, path: Path) -> bool:
        try:
            status = path.stat()
        except OSError:
            return False
        return (status.st_ino, status.st_size) != (self._read[name].inode, self._read[name].at)

    def _of(self, name: str, files: list[NodeFile]) -> Iterator[bytes]:
        read = self._read.setdefault(name, _Read())
        self._growing[name] = files[-1].path
        here = next((number for number, file in enumerate(files) if read.is_of(file)), None)
        if here is None:
            files = [file for file in files if file.growing or file.aside > read.aside]
        for number, file in enumerate(files[here:]):
            if here is None or number:
                read.inode, read.head, read.at = file.inode, b"", 0
            with contextlib.suppress(OSError):
                yield from self._more(file, read)
            if not file.growing:
                read.aside = file.aside

    def _more(self, file: NodeFile, read: _Read) -> Iterator[bytes]:
        if file.size == read.at:
            return
        read.head = read.head or _head(file)
        while data := _bytes(file, _BLOCK, read.at):
            whole, newline, _ = data.rpartition(b"\n")
            if not newline:
                break  # it is being written
            read.at += len(whole) + 1
            yield from self._wanted.within(whole.split(b"\n"))


def follow(
    where: list[Place],
    patterns: list[str],
    wanted: Callable[[Place], Wanted],
    first: Callable[[list[tuple[list[NodeFile], Wanted]]], Iterable[bytes]],
    show: Shower,
) -> NoReturn:
    """Show lines as they come, for ever.

    Parameters
    ----------
    first : which of the lines that are there already are shown, too.

    Raises
    ------
    KeyboardInterrupt, BrokenPipeError
    """
    hosts = [Followed(place, patterns, wanted(place)) for place in where]
    show.all(first([reading for host in hosts for reading in host.begin()]))
    listed_at = time.monotonic()
    while True:
        _pause(LOOK_S)
        anew = time.monotonic() - listed_at >= LIST_S
        listed_at = time.monotonic() if anew else listed_at
        news = [lines for host in hosts for lines in host.news(anew=anew)]
        show.all(heapq.merge(*news, key=lambda line: line[:WIDTH]))


def _pause(seconds: float) -> None:
    """Wait, unless nobody reads what is printed: then nothing may come that would tell."""
    poll = select.poll()
    poll.register(1, 0)
    if any(event & select.POLLERR for _, event in poll.poll(seconds * 1000)):
        raise BrokenPipeError


def _bytes(file: NodeFile, size: int, at: int) -> bytes:
    fd = found_as(file, file.inode)
    try:
        return os.pread(fd, size, at)
    finally:
        os.close(fd)


def _head(file: NodeFile) -> bytes:
    """Its first bytes; none if it is gone."""
    with contextlib.suppress(OSError):
        return _bytes(file, _HEAD, 0)
    return b""


def _end_of_line(file: NodeFile) -> int:
    """The place behind the last newline."""
    with contextlib.suppress(OSError):
        fd = found_as(file, file.inode)
        try:
            at = file.size
            while at > 0:
                begin = max(0, at - _BLOCK)
                found = os.pread(fd, at - begin, begin).rfind(b"\n")
                if found >= 0:
                    return begin + found + 1
                at = begin
        finally:
            os.close(fd)
    return 0
