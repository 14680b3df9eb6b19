"""Goes on with what hosts write, as ``tail -F`` does: over files that are put aside, hosts that start anew, new nodes.

Each file is known by its inode and how far it was read. When another one stands under its name, the old one is found
where it was put aside, and read to its end first; then all that came in between, in order. No file is kept open.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn, Protocol

from guardian.cli.log.linefile import WIDTH, Wanted, found_as
from guardian.cli.log.logfiles import Place
from guardian.errors import ExpectedError
from guardian.host.logfolder import NodeFile

#: Between two looks at the files, and at what files there are, in seconds.
LOOK_S, LIST_S = 0.2, 1.0
_BLOCK = 256 * 1024


class Shower(Protocol):
    """Prints lines."""

    def all(self, lines: Iterable[bytes]) -> int: ...


@dataclass(slots=True)
class _Read:
    """How far the log of one node was read: all before `inode`, and of it so many bytes."""

    inode: int = 0
    at: int = 0


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
            self._read[name] = _Read(last.inode, files[-1].size)
            self._growing[name] = last.path
        return [(files, self._wanted) for files in found.values()]

    def news(self, *, anew: bool) -> list[bytes]:
        """The lines that have come. `anew`: look for new files too."""
        changed = {name for name, path in self._growing.items() if self._has_changed(name, path)}
        if anew or changed:
            with contextlib.suppress(ExpectedError):  # the folder is not there now
                found = self._place.files(self._patterns)
                return [line for name, files in found.items() for line in self._of(name, files)]
        return []

    def _has_changed(self, name: str, path: Path) -> bool:
        try:
            status = path.stat()
        except OSError:
            return False
        return (status.st_ino, status.st_size) != (self._read[name].inode, self._read[name].at)

    def _of(self, name: str, files: list[NodeFile]) -> list[bytes]:
        read = self._read.setdefault(name, _Read())
        self._growing[name] = files[-1].path
        numbers = [file.inode for file in files]
        first = numbers.index(read.inode) if read.inode in numbers else 0
        if read.inode and read.inode not in numbers:  # what was read is gone; what is aside was read before it
            first = len(files) - 1
            read.at = 0
        lines = []
        for file in files[first:]:
            if file.inode != read.inode:
                read.inode, read.at = file.inode, 0
            elif file.size < read.at:
                read.at = 0  # emptied
            with contextlib.suppress(OSError):
                lines += self._more(file, read)
        return lines

    def _more(self, file: NodeFile, read: _Read) -> list[bytes]:
        lines: list[bytes] = []
        if file.size == read.at:
            return lines
        fd = found_as(file, file.inode)
        try:
            while data := os.pread(fd, _BLOCK, read.at):
                whole, newline, _ = data.rpartition(b"\n")
                if not newline:
                    break  # it is being written
                read.at += len(whole) + 1
                lines += self._wanted.within(whole.split(b"\n"))
        finally:
            os.close(fd)
        return lines


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
        lines = [line for host in hosts for line in host.news(anew=anew)]
        show.all(sorted(lines, key=lambda line: line[:WIDTH]))


def _pause(seconds: float) -> None:
    """Wait, unless nobody reads what is printed: then nothing may come that would tell."""
    poll = select.poll()
    poll.register(1, 0)
    if any(event & select.POLLERR for _, event in poll.poll(seconds * 1000)):
        raise BrokenPipeError


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
