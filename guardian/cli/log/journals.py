"""The journals of the hosts that are meant, read as one, with what was rotated away, and while they grow.

What cannot be read is told, and no reason to end as long as something can be. Damage in between is counted.
"""

from __future__ import annotations

import argparse
import contextlib
import heapq
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from guardian.cli.log import WrongCall, say
from guardian.errors import ExpectedError
from guardian.host.history import Query, Reading, has_time
from guardian.host.journal import JOURNAL
from guardian.host.site import default_state_dir, read_site

Record = dict[str, Any]
#: In the names of what a host has put aside: it is no journal.
_ASIDE = ".damaged-"
#: Packed in ways that are not read here.
_PACKED = frozenset({".bz2", ".lz4", ".xz", ".zip", ".zst"})


class Journals:
    """The journals that the command line means.

    Attributes
    ----------
    damaged : lines passed over so far, of those that were read.

    Raises
    ------
    WrongCall
        There is no such site file.
    ExpectedError
        There is nothing to read.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.damaged = 0
        self._read = 0
        self._hosts = _hosts(options)

    def records(self, query: Query, wanted: Callable[[Record], bool]) -> Iterator[Record]:
        """Those that are `wanted`, by their times as far as files are in order; all that have a time.

        Parameters
        ----------
        query : which may be wanted at all, and in which order.

        Raises
        ------
        ExpectedError
            At the end: none of the files could be read.
        """
        yield from heapq.merge(
            *(self._of(files, query, wanted) for files in self._hosts), key=_stamp, reverse=query.newest_first
        )
        if not self._read:
            raise ExpectedError("none of the journals could be read")

    def begin(self) -> float | None:
        """Epoch seconds of the oldest record, None if there is none, or none that can be read."""
        stamps: list[float] = []
        for files in self._hosts:
            with contextlib.suppress(OSError, EOFError, zlib.error, StopIteration):
                stamps.append(next(_stamp(one) for one in Reading(files[0]) if has_time(one)))
        return min(stamps, default=None)

    def _of(self, files: list[Path], query: Query, wanted: Callable[[Record], bool]) -> Iterator[Record]:
        for path in reversed(files) if query.newest_first else files:
            try:
                if query.since is not None and path.stat().st_mtime < query.since:
                    self._read += 1
                    continue  # its last record is older
                if path.suffix in _PACKED:
                    say(f"{path}: what is packed is read if it is .gz; unpack this one")
                    continue
                yield from self._in(path, query, wanted)
                self._read += 1
            except (OSError, EOFError, zlib.error) as error:
                say(f"{path}: {getattr(error, 'strerror', None) or error}; it is read as far as it can be")

    def _in(self, path: Path, query: Query, wanted: Callable[[Record], bool]) -> Iterator[Record]:
        reading = Reading(path, query)
        for record in reading:
            self.damaged += reading.skipped
            reading.skipped = 0
            if not has_time(record) or not isinstance(record.get("kind"), str):
                self.damaged += 1
                continue
            if wanted(record):
                yield record
        self.damaged += reading.skipped


def _stamp(record: Record) -> float:
    return float(record["stamp"])


def _hosts(options: argparse.Namespace) -> list[list[Path]]:
    """The files of each host, the oldest first."""
    if options.site:
        try:
            folders = [read_site(options.site).state_dir]
        except ExpectedError as error:
            raise WrongCall(str(error)) from None
    elif options.state_dir:
        folders = [options.state_dir]
    else:
        base = default_state_dir("").parent
        folders = sorted(path for path in base.glob("*") if path.is_dir())
        if not folders:
            raise ExpectedError(f"no host has run here as this user ({base} is empty); give --site or --state-dir")
    found = [files for folder in folders if (files := _files(folder))]
    if not found:
        named = ", ".join(map(str, folders[:3])) + (" ..." if len(folders) > 3 else "")
        raise ExpectedError(
            f"no {JOURNAL} in {named}; give --site or --state-dir of a host that has run on this machine"
        )
    return found


def _files(folder: Path) -> list[Path]:
    """``journal.jsonl`` and what it was before it was rotated: ``.1``, ``-20261128.gz``."""
    try:
        found = [(path.stat().st_mtime, path) for path in folder.glob(f"{JOURNAL}*") if _ASIDE not in path.name]
    except OSError:  # removed meanwhile; the host is about to make it anew
        found = [(0.0, folder / JOURNAL)]
    return [path for _, path in sorted(found, key=lambda one: (one[1].name == JOURNAL, one[0]))]
