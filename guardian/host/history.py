"""Reads journals: forward and backward, also while they are written, and fast enough for years of them.

What a question costs is the bytes that it has to look at, so most of them are never made into records:

* Who wants the newest reads **backward from the end**, a block at a time, and stops when there are enough.
* Who wants a time finds the place in the file **by halving**. Times in a file do not fall by more than
  :data:`SET_BACK_S`: a clock that is set back by more begins a new file.
* Who wants certain records names **words** that their lines must have (:func:`word`). Lines are cut out of a block only
  around a word that is found. The words are a sieve, not a promise: other records come through, too, and the caller
  looks at each.

A full journal of 256 MB is looked through in about a quarter of a second.

Damage is passed over and counted, as far as it is met: of a block with NULs (what a power cut leaves), or that begins
or ends in what is no record, every line is read; else those lines that have the words. A line that is longer than any
record could be is one damage, and takes no memory.

A file that is open here stays readable when it is put aside or removed meanwhile.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import msgspec

Record = dict[str, Any]
#: Lines that must have all of these words.
Words = tuple[bytes, ...]

#: A line longer than this is damage: no record comes near it.
LINE_MAX = 4_000_000
#: A clock may be set back by so much within a file; seconds.
SET_BACK_S = 3600.0
#: Read at once, and found by halving. Small enough to stay in the cache of a processor while it is looked through.
_BLOCK, _NEAR = 1 << 16, 1 << 16
#: Epoch seconds in the far future: a larger number is no time.
_LATEST = 1e12
#: In the place of a line that is too long.
_DAMAGE = b"\xff"
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which records are wanted, and in which order.

    Parameters
    ----------
    since, until : epoch seconds, both included; None: open.
    words : a line must have all the words of one of these; none: each line may be wanted.
    newest_first : backward.
    marks : behind each block comes how far was looked, also where nothing is found: see :func:`is_mark`.
    """

    since: float | None = None
    until: float | None = None
    words: tuple[Words, ...] = ()
    newest_first: bool = False
    marks: bool = False


EVERYTHING = Query()


def word(text: str) -> bytes:
    """What a line has, however it is written, of which one value is this text."""
    return json.dumps(text).encode()


def word_like(pattern: str) -> bytes:
    """The same for a value that matches a pattern as of a shell: what all of these have."""
    plain = next((pattern[:i] for i, letter in enumerate(pattern) if letter in "*?["), None)
    return word(pattern) if plain is None else word(plain)[:-1]


def is_mark(record: Mapping[str, Any]) -> bool:
    """Whether it is no record: a file was looked at up to its ``stamp``, so many ``bytes`` more."""
    return record.get("kind") == ""


class Reading(Iterator[Record]):
    """The records of one file.

    Parameters
    ----------
    file : a path, which is opened when the first record is asked for, and closed at the end; or what is open already,
        and stays so.
    packed_bytes : one that is packed is unpacked to be read backward, so far; None: however large it is.

    Attributes
    ----------
    skipped : lines passed over so far because they were no records. A torn last line is one.

    Raises
    ------
    OSError, EOFError, zlib.error
        When a record is asked for: the file cannot be read.
    """

    def __init__(self, file: Path | IO[bytes], query: Query = EVERYTHING, *, packed_bytes: int | None = None) -> None:
        self.skipped = 0
        self._packed_bytes = packed_bytes
        self._reached = _LATEST if query.newest_first else -_LATEST
        self._query = query
        self._words = [sorted(words, key=len, reverse=True) for words in query.words]  # few lines have a long word
        self._records = self._read(file)

    def __next__(self) -> Record:
        return next(self._records)

    def close(self) -> None:
        """Close the file before its end."""
        self._records.close()

    def _read(self, file: Path | IO[bytes]) -> Generator[Record, None, None]:
        backward = self._query.newest_first
        with open_file(file) if isinstance(file, Path) else nullcontext(file) as opened:
            if isinstance(opened, gzip.GzipFile):  # it can only be read forward
                opened.seek(0)
                blocks = _forward(iter(lambda: opened.read(_BLOCK), b""))
                if backward:
                    blocks = reversed([self._kept(block) for block in _no_more(blocks, self._packed_bytes)])
            else:
                begin, end = _span(opened, self._query)
                blocks = _backward(opened, begin, end) if backward else _forward(_pieces(opened, begin, end))
            for block in blocks:
                yield from self._in(block, backward)
                if self._query.marks:
                    yield self._mark(block, backward)

    def _mark(self, block: bytes, backward: bool) -> Record:
        lines = block.rstrip(b"\n")
        stamp = _stamp(record_of(lines.partition(b"\n")[0] if backward else lines.rpartition(b"\n")[2]) or {})
        self._reached = self._reached if stamp is None else stamp  # damage tells no time
        return {"kind": "", "stamp": self._reached, "bytes": len(block)}

    def _kept(self, block: bytes) -> bytes:
        return b"\n".join([*self._lines(block), b""])

    def _lines(self, block: bytes) -> list[bytes]:
        return self._sieved(block) if self._query.words and _sound(block) else block.split(b"\n")

    def _in(self, block: bytes, backward: bool) -> Iterator[Record]:
        lines = self._lines(block)
        for line in reversed(lines) if backward else lines:
            record = record_of(line)
            if record is None:
                self.skipped += bool(line.strip())
            elif self._in_time(record):
                yield record

    def _sieved(self, block: bytes) -> list[bytes]:
        """The lines that may be wanted."""
        found: dict[int, bytes] = {}
        for first, *others in self._words:
            for place, line in _lines_with(first, block):
                if all(other in line for other in others):
                    found[place] = line
        return [found[place] for place in sorted(found)]

    def _in_time(self, record: Record) -> bool:
        since, until = self._query.since, self._query.until
        if since is None and until is None:
            return True
        stamp = _stamp(record)
        return stamp is not None and (since is None or stamp >= since) and (until is None or stamp <= until)


def read(path: Path, *, node: str | None = None, since: float | None = None) -> Iterator[Record]:
    """The records of one file, oldest first, of one `node` or of all, from the time `since` (epoch seconds) on."""
    words = ((word(node),),) if node is not None else ()
    found = Reading(path, Query(since=since, words=words))
    return found if node is None else (record for record in found if record.get("node") == node)


def open_file(path: Path) -> IO[bytes]:
    """Open a file of a journal; ``.gz`` is unpacked. Waits for nobody, should it be a pipe.

    Raises
    ------
    OSError
    """
    if path.suffix == ".gz":
        return cast(IO[bytes], gzip.open(path))
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")


def record_of(line: bytes) -> Record | None:
    """The record that a line is; None: it is none."""
    try:
        record = _decode(line)
    except (ValueError, RecursionError):
        try:
            record = json.loads(line)  # takes more: NaN, numbers of any length
        except (ValueError, RecursionError):
            return None
    return record if isinstance(record, dict) else None


def has_time(record: Mapping[str, Any]) -> bool:
    """Whether it has a time that can be one."""
    stamp = _stamp(record)
    return stamp is not None and abs(stamp) <= _LATEST


def _stamp(record: Mapping[str, Any]) -> float | None:
    stamp = record.get("stamp")
    return stamp if isinstance(stamp, (int, float)) else None


# --- whole lines, a block at a time -------------------------------------------------------------------------------


def _lines_with(word: bytes, block: bytes) -> Iterator[tuple[int, bytes]]:
    """Lines that have a word, and where each begins. The block ends with a newline."""
    at = block.find(word)
    while at >= 0:
        begin, end = block.rfind(b"\n", 0, at) + 1, block.index(b"\n", at)
        yield begin, block[begin:end]
        at = block.find(word, end)


def _sound(block: bytes) -> bool:
    """Whether it shows no sign of damage."""
    return block.startswith(b'{"') and block.endswith(b"}\n") and b"\0" not in block


def _pieces(file: IO[bytes], begin: int, end: int) -> Iterator[bytes]:
    while begin < end and (data := os.pread(file.fileno(), min(_BLOCK, end - begin), begin)):
        begin += len(data)
        yield data


def _forward(pieces: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for data in pieces:
        cut = data.rfind(b"\n") + 1
        if cut:
            yield rest + data[:cut]
            rest = data[cut:]
        else:
            rest = _no_longer(rest + data)
    if rest:
        yield rest


def _backward(file: IO[bytes], begin: int, end: int) -> Iterator[bytes]:
    rest = b""
    while begin < end:
        start = max(begin, end - _BLOCK)
        data = os.pread(file.fileno(), end - start, start)
        end = start
        cut = data.find(b"\n") + 1
        if cut:
            yield data[cut:] + rest
            rest = data[:cut]
        else:
            rest = _no_longer(data + rest, b"\n")
    if rest:
        yield rest


def _no_more(blocks: Iterator[bytes], most: int | None) -> Iterator[bytes]:
    """All of them.

    Raises
    ------
    OSError
        They have more bytes.
    """
    size = 0
    for block in blocks:
        yield block
        size += len(block)
        if most is not None and size > most:
            raise OSError(0, f"it is packed, and has more than {most} bytes; unpack it, or read it with guardlog")


def _no_longer(rest: bytes, end: bytes = b"") -> bytes:
    """A part of a line, if it may become one."""
    return rest if len(rest) <= LINE_MAX else _DAMAGE + end


# --- finding a time by halving ------------------------------------------------------------------------------------


def _span(file: IO[bytes], query: Query) -> tuple[int, int]:
    """From where to where a file has to be read; both at the beginning of a line, or at an end of the file."""
    size = file.seek(0, os.SEEK_END)
    begin, end = 0, size
    if query.since is not None:
        low, _ = _halve(file, size, query.since - SET_BACK_S, damage_is_older=False)
        begin = _next_line(file, low) if low else 0
    if query.until is not None:
        _, high = _halve(file, size, query.until + SET_BACK_S, damage_is_older=True)
        end = _next_line(file, high) if high < size else size
    return begin, min(end, size)


def _halve(file: IO[bytes], size: int, stamp: float, *, damage_is_older: bool) -> tuple[int, int]:
    """Two places near each other: what is before the first is older than `stamp`, what is behind the second is not."""
    low, high = 0, size
    while high - low > _NEAR:
        middle = (low + high) // 2
        found = _first_stamp(file, middle, high)
        if damage_is_older if found is None else found < stamp:
            low = middle
        else:
            high = middle
    return low, high


def _next_line(file: IO[bytes], place: int) -> int:
    file.seek(place)
    while (line := file.readline(LINE_MAX)) and not line.endswith(b"\n"):
        pass
    return file.tell()


def _first_stamp(file: IO[bytes], start: int, end: int) -> float | None:
    """The time of the first record that begins behind `start`; None if there is none before `end`."""
    file.seek(start)
    file.readline(LINE_MAX)
    while file.tell() < end and (line := file.readline(LINE_MAX)):
        if (stamp := _stamp(record_of(line) or {})) is not None:
            return stamp
    return None
