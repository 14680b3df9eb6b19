"""Lines of logs: which are wanted, those of several nodes merged by time, and the parts of a line."""

from __future__ import annotations

import contextlib
import heapq
import os
import re
import time
from calendar import timegm
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from guardian.client.records.linefile import WIDTH, Wanted, backward, forward
from guardian.client.records.logfiles import Place
from guardian.enums import LogLevel
from guardian.host.logfolder import NodeFile

#: The parts of what begins with a time; a kill may have cut it short behind that.
_LINE = re.compile(rb"(.{27}) (\S*)(?: \[([^\]]*)\](?= ))?(?: (DEBUG|WARNING|ERROR|CRITICAL):(?= ))? ?(.*)", re.DOTALL)
#: A regular expression with one of these may be true of a line and not of the text that it stands in.
_LOOKS_ROUND = re.compile(r"\(\?|\\[AZz]")

Reading = tuple[list[NodeFile], Wanted]  #: files, the oldest first, and which of their lines
Told = Callable[[OSError], None]  #: what cannot be read


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line in its parts.

    Parameters
    ----------
    stamp : epoch seconds; None: no calendar has it, so a disk has damaged it. time : as it is written.
    context : "STATE.method", or "" for a line of the node itself.
    """

    stamp: float | None
    time: str
    node: str
    context: str
    level: str
    text: str


def parts(line: bytes) -> Line:
    """A line that begins with a time."""
    found = _LINE.fullmatch(line)
    assert found is not None  # it has a time, and the rest may be empty
    at, node, context, level, text = (
        part.decode("utf-8", "backslashreplace") if part is not None else "" for part in found.groups()
    )
    return Line(stamp=epoch_of(line), time=at, node=node, context=context, level=level or "INFO", text=text)


def level_of(line: bytes) -> str:
    """The name of its level."""
    found = _LINE.fullmatch(line)
    return "INFO" if found is None or found[4] is None else found[4].decode()


def epoch_of(line: bytes) -> float | None:
    """Its time; None: no calendar has it, so a disk has damaged it."""
    text = line[:WIDTH].decode()
    with contextlib.suppress(ValueError):
        return timegm(time.strptime(text[:19], "%Y-%m-%d_%H:%M:%S")) + float(text[19:26])
    return None


def newest(reading: Sequence[Reading], told: Told) -> Iterator[bytes]:
    """The lines, the newest first. Files are read from their ends, no further than is asked for."""
    each = [
        _readable((backward(file, wanted) for file in reversed(files)), told) for files, wanted in reversed(reading)
    ]
    return heapq.merge(*each, key=_stamp, reverse=True)


def oldest(reading: Sequence[Reading], told: Told) -> Iterator[bytes]:
    """All lines, the oldest first."""
    return heapq.merge(
        *(_readable((forward(file, wanted) for file in files), told) for files, wanted in reading), key=_stamp
    )


def wanted_lines(
    place: Place,
    nodes: Sequence[str],
    *,
    since: float | None,
    until: float | None,
    level: LogLevel = LogLevel.DEBUG,
    grep: str | None = None,
    any_case: bool = False,
    marks: bool = False,
) -> Wanted:
    """What is asked of lines, the quickest questions first.

    Parameters
    ----------
    nodes : patterns. level : and what is worse. grep : a regular expression that is found in the line.

    Raises
    ------
    re.error, RecursionError, OverflowError
        `grep` is none.
    """
    blocks: list[Callable[[bytes], object]] = []
    tests: list[Callable[[bytes], object]] = []
    if grep is not None:
        case = re.IGNORECASE if any_case else re.NOFLAG
        pattern = re.compile(os.fsencode(grep), case)
        if not _LOOKS_ROUND.search(grep):
            blocks.append(re.compile(os.fsencode(grep), re.MULTILINE | case).search)
        tests.append(pattern.search)
    if level is not LogLevel.DEBUG:
        levels = frozenset(one.name for one in LogLevel if one >= level)
        tests.append(lambda line: level_of(line) in levels)
        if LogLevel.INFO.name not in levels:
            blocks.append(re.compile("|".join(f" {name}: " for name in sorted(levels)).encode()).search)
    if place.stream is not None:
        tests.append(place.picks(nodes))
    return Wanted(
        since=since,
        until=until,
        block=lambda block: all(one(block) for one in blocks),
        line=lambda line: all(one(line) for one in tests),
        marks=marks,
    )


def _stamp(line: bytes) -> bytes:
    return line[:WIDTH]


def _readable(readings: Iterable[Iterator[bytes]], told: Told) -> Iterator[bytes]:
    """One reading after the other, as far as they can be read."""
    for reading in readings:
        try:
            yield from reading
        except OSError as error:
            told(error)
