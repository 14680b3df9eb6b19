"""The journals of hosts, read as one, with what was rotated away, and while they grow.

What cannot be read is told, and no reason to end as long as something can be. Damage in between is counted.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from guardian.errors import ExpectedError
from guardian.host.history import Query, Reading, has_time, is_mark, open_file, word
from guardian.host.places import JOURNAL
from guardian.host.rotation import aside, moment, stamp_of

Record = dict[str, Any]
#: In the names of what a host has put aside: it is no journal.
_ASIDE = ".damaged-"
#: Packed in ways that are not read here.
_PACKED = frozenset({".bz2", ".lz4", ".xz", ".zip", ".zst"})
#: A folder is looked at until nothing has changed, so often at most.
_LOOKS = 10


@dataclass(slots=True)
class _File:
    """A file that is open: whatever becomes of its name, its records can be read."""

    path: Path
    file: IO[bytes]
    changed_at: float


class Journals:
    """The journals of some hosts. All are opened first, so that nothing is missed that is put aside then.

    Parameters
    ----------
    folders : the state directories of the hosts.
    told : called with a sentence for what cannot be read.
    packed_bytes : unpacked, a file may have so many if it is read backward, as that takes so much memory.

    Attributes
    ----------
    damaged : lines passed over so far, of those that were read.

    Raises
    ------
    ExpectedError
        There is nothing to read.
    """

    def __init__(
        self, folders: Sequence[Path], told: Callable[[str], None], *, packed_bytes: int | None = None
    ) -> None:
        self.damaged = 0
        self._told = told
        self._packed_bytes = packed_bytes
        self._found = self._could_read = False
        self.folders = folders
        self._hosts = [files for folder in self.folders if (files := self._open(folder))]
        if not self._hosts and not self._found:
            named = ", ".join(map(str, self.folders[:3])) + (" ..." if len(self.folders) > 3 else "")
            raise ExpectedError(
                f"no {JOURNAL} in {named}; give --site or --state-dir of a host that has run on this machine"
            )

    def records(self, query: Query, wanted: Callable[[Record], bool]) -> Iterator[Record]:
        """Those that are `wanted`, by their times as far as files are in order; all that have a time. Once, or again.

        Parameters
        ----------
        query : which may be wanted at all, and in which order. With marks they come, too, and have the kind "".

        Raises
        ------
        ExpectedError
            At the end: none of the files could be read.
        """
        yield from heapq.merge(
            *(self._of(files, query, wanted) for files in self._hosts), key=_stamp, reverse=query.newest_first
        )
        if not self._could_read:
            raise ExpectedError("none of the journals could be read")

    def begin(self) -> float | None:
        """Epoch seconds of the oldest record, None if there is none, or none that can be read."""
        stamps: list[float] = []
        for files in self._hosts:
            with contextlib.suppress(OSError, EOFError, zlib.error, StopIteration):
                stamps.append(next(_stamp(one) for one in Reading(files[0].file) if has_time(one)))
        return min(stamps, default=None)

    def knows(self, node: str, since: float | None = None, until: float | None = None) -> bool:
        """Whether there is any record of a node."""
        query = Query(since=since, until=until, words=((word(node),),), newest_first=True)
        return next(self.records(query, lambda record: record.get("node") == node), None) is not None

    def close(self) -> None:
        """Close all files."""
        for each in (each for files in self._hosts for each in files):
            each.file.close()

    def _open(self, folder: Path) -> list[_File]:
        """``journal.jsonl`` and what it was before, the oldest first; also what others put aside: ``.1``, ``.gz``."""
        path, held, told = folder / JOURNAL, dict[tuple[int, int], _File](), set[Path]()
        for _ in range(_LOOKS):
            known = len(held)
            others = [one for one in _glob(path) if _ASIDE not in one.name]
            ours = aside(path)
            for one in (*(other for other in others if other not in ours), *ours):
                if one in told:
                    continue
                try:
                    _hold(one, held)
                except FileNotFoundError:  # put aside or removed this moment
                    known = -1
                except OSError as error:
                    told.add(one)
                    self._told(f"{one}: {error.strerror}; it is not read")
            if len(held) == known:
                break
        self._found = self._found or bool(told)

        def order(one: _File) -> tuple[bool, str, int]:
            """By the names that a host has given: a copy may have lost the times of files."""
            return one.path == path, *(moment(path, one.path) if one.path in ours else (stamp_of(one.changed_at), 0))

        return sorted(held.values(), key=order)

    def _of(self, files: list[_File], query: Query, wanted: Callable[[Record], bool]) -> Iterator[Record]:
        for each in reversed(files) if query.newest_first else files:
            try:
                if query.since is not None and each.changed_at < query.since:
                    pass  # its last record is older
                elif each.path.suffix in _PACKED:
                    self._told(f"{each.path}: what is packed is read if it is .gz; unpack this one")
                    continue
                else:
                    yield from self._in(each.file, query, wanted)
                self._could_read = True
            except (OSError, EOFError, zlib.error) as error:
                self._told(f"{each.path}: {getattr(error, 'strerror', None) or error}; it is read as far as it can be")

    def _in(self, file: IO[bytes], query: Query, wanted: Callable[[Record], bool]) -> Iterator[Record]:
        reading = Reading(file, query, packed_bytes=self._packed_bytes)
        for record in reading:
            self.damaged += reading.skipped
            reading.skipped = 0
            if not has_time(record) or not isinstance(record.get("kind"), str):
                self.damaged += 1
                continue
            if is_mark(record) or wanted(record):
                yield record
        self.damaged += reading.skipped


def _hold(path: Path, held: dict[tuple[int, int], _File]) -> None:
    """Open a file, unless it is open already and has got another name."""
    file = open_file(path)
    info = os.fstat(file.fileno())
    known = held.setdefault((info.st_dev, info.st_ino), _File(path, file, info.st_mtime))
    if known.file is not file:
        known.path = path
        file.close()


def _glob(path: Path) -> list[Path]:
    try:
        return sorted(path.parent.glob(f"{path.name}*"))
    except OSError:  # the folder was removed meanwhile
        return []


def _stamp(record: Record) -> float:
    return float(record["stamp"])
