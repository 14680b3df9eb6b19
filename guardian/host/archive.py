"""The archive of the code that nodes have loaded: a git repository, one branch a node, one commit a load.

A commit holds the files as they were compiled, and ``states.json`` (:mod:`guardian.core.sources`) with the states and
their numbers, and where the files lay. Nothing is committed when nothing is otherwise than in the commit before. The
author is who asked for the load, the date is that of the load.

Written by a lane (:mod:`guardian.host.files`), all that waits at once: one process of git that reads the ends of the
branches, one that looks which contents are there, one that writes. Several hosts may share a repository, also on a
network disk: a node runs in one host, so no two write one branch.

What cannot be written waits in memory and is tried again. If that becomes too much, loads go that were followed by
another one of their node, the oldest first; the message of the next commit counts them. So the code that runs is
archived as soon as it can be, whatever happens.

Invariants: ARCHIVE_ID names a commit that is in the repository, with the code that the node runs. A content that is
said to be there (`contents`) is in the repository or in memory.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from guardian.core.ailments import Ailment
from guardian.core.sources import DIGITS, STATES, SourceFile, blob_id, named, unpack, what_changed
from guardian.core.threads import Seen
from guardian.enums import Severity
from guardian.host.files import RETRY_S, Clock, Lane, Trouble
from guardian.host.repository import GitError, Repository, quoted

#: Name of the repository in the state directory of a host.
ARCHIVE = "archive.git"
#: What a table of a site file may say.
KEYS: dict[str, type | tuple[type, ...]] = {"dir": str, "enabled": bool}
#: What may wait in memory, but for the last load of each node; bytes, and loads.
WAITING_BYTES, WAITING_LOADS = 32_000_000, 1000
#: Loads that are written together at most.
_TOGETHER = 200
#: How often the repository is tidied: after so many commits, or if there was one, after so many seconds.
_TIDY_COMMITS, _TIDY_S = 200, 86400.0
#: Between two looks whether it is time for that, in seconds.
_TICK_S = 60.0
CLOSE_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Archiving:
    """What a site file says of it. ``dir``: the repository; None: in the state directory."""

    dir: Path | None = None
    enabled: bool = True


def archiving(table: Mapping[str, Any], here: Path) -> Archiving:
    """What ``[archive]`` says; paths are relative to `here`."""
    return Archiving(dir=here / table["dir"] if "dir" in table else None, enabled=table.get("enabled", True))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CodeLoad:
    """What one node has loaded.

    Parameters
    ----------
    by : who asked for it, "" if nobody did. at : epoch seconds. states : content of ``states.json``, which names all
        the others. files : those that were imported.
    """

    node: str
    by: str
    at: float
    states: bytes
    files: tuple[SourceFile, ...]


class Archive:
    """Keeps the code of the nodes of a host. Nothing here waits for a disk but `close`.

    Parameters
    ----------
    directory : of the repository, made when it is first needed. link : a name that is to lead there too.
    enabled : False: nothing is kept, and no node has an ARCHIVE_ID.
    """

    def __init__(
        self,
        directory: Path,
        *,
        link: Path | None = None,
        enabled: bool = True,
        clock: Clock = time.time,
        retry_s: tuple[float, float] = RETRY_S,
    ) -> None:
        self.directory = directory
        self._repository = Repository(directory)
        self._link = link if link != directory else None
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: list[CodeLoad] = []
        self._last: dict[str, CodeLoad] = {}  # by node, whether it is written or not
        self._packed: dict[str, bytes] = {}  # contents that may not be written yet
        self._ids: dict[str, str] = {}
        self._dropped: Counter[str] = Counter()
        self._tidying: subprocess.Popen[bytes] | None = None
        self._untidy = 0  # commits since it was tidied
        self._tidied_at = float("-inf")
        self._trouble = Trouble(
            f"the code that nodes have loaded is not archived in {directory}",
            "What they run is kept in memory and tried again; nodes run on. Repair the directory (`git fsck` says what is "
            "wrong inside), or see [archive] in the site file.",
            clock,
        )
        self._lane = None
        if enabled:
            self._lane = Lane("archive", self._write, trouble=self._trouble, tick_s=_TICK_S, retry_s=retry_s)

    def keep(self, load: CodeLoad) -> None:
        """A node has loaded this."""
        if self._lane is None:
            return
        with self._lock:
            last = self._last.get(load.node)
            if last is not None and last.states == load.states:
                return
            self._packed |= {file.blob: file.packed for file in load.files if file.packed is not None}
            load = replace(load, files=tuple(replace(file, packed=None) for file in load.files))
            self._last[load.node] = load
            self._ids.pop(load.node, None)
            self._waiting.append(load)
            self._make_room()
        self._lane.wake()

    def id(self, node: str) -> str:
        """The first digits of the commit that holds what a node runs; "" as long as there is none."""
        return self._ids.get(node, "")[:DIGITS]

    def contents(self, node: str) -> tuple[str, ...]:
        """Names of contents of a node that need not be told again."""
        last = self._last.get(node)
        return () if last is None else tuple(file.blob for file in last.files)

    def leave(self, node: str) -> None:
        """A node has left the host. What waits is written."""
        with self._lock:
            self._last.pop(node, None)
            self._ids.pop(node, None)

    def wait_written(self, timeout_s: float) -> bool:
        """Wait until all that was loaded before this call is archived; False if that takes longer."""
        return self._lane is None or self._lane.wait_done(timeout_s)

    def ailment(self) -> Ailment | None:
        """What is wrong with it."""
        if self._lane is None:
            return None
        if text := self._trouble.text():
            return Ailment(what="archive", severity=Severity.MINOR, text=text, dated=True)
        if self._lane.hangs_s():
            text = (
                f"the archive {self.directory} waits for a disk that does not answer. What nodes run is kept in memory, "
                "and they run on: see to the disk, or to the server that it is on"
            )
            return Ailment(what="archive", severity=Severity.MINOR, text=text)
        return None

    def trouble(self) -> str | None:
        """The sentence of what is wrong, None if nothing is."""
        return self._trouble.text()

    def threads(self) -> tuple[Seen, ...]:
        """Those of it that are watched."""
        return () if self._lane is None else (self._lane.seen(),)

    def close(self) -> bool:
        """Try once more what waits. True if nothing is left."""
        if self._lane is None:
            return True
        done = self._lane.close(CLOSE_S)
        if self._tidying is not None:
            self._tidying.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._tidying.wait(CLOSE_S)
        return done

    # --- what waits, under the lock -----------------------------------------------------------------------------

    def _make_room(self) -> None:
        """Loads go that were followed by another one of their node, the oldest first."""
        while len(self._waiting) > WAITING_LOADS or self._waiting_bytes() > WAITING_BYTES:
            followed = next((load for load in self._waiting if self._last.get(load.node) is not load), None)
            if followed is None:
                return
            self._waiting.remove(followed)
            self._dropped[followed.node] += 1
            self._forget_contents()

    def _waiting_bytes(self) -> int:
        return sum(map(len, self._packed.values())) + sum(len(load.states) for load in self._waiting)

    def _forget_contents(self) -> None:
        """Those that no load needs any more that waits."""
        needed = {file.blob for load in self._waiting for file in load.files}
        self._packed = {blob: packed for blob, packed in self._packed.items() if blob in needed}

    # --- writing, in the lane -----------------------------------------------------------------------------------

    def _write(self) -> None:
        while True:
            with self._lock:
                batch = tuple(self._waiting[:_TOGETHER])
            if not batch:
                self._tidy()
                return
            try:
                self._commit(batch)
            except GitError as error:
                broken = self._repository.break_locks(time.time())
                if broken:
                    raise GitError(f"{error.strerror}; removed {', '.join(broken)}, left by a git that is gone") from None
                raise

    def _commit(self, batch: Iterable[CodeLoad]) -> None:
        self._prepare()
        heads = self._heads({load.node for load in batch})
        done = {load: commit for load in batch if (commit := heads[load.node].of(load))}
        for load in batch:  # what was followed by what is there already was written, too
            if any(later.node == load.node and later in done for later in batch) and load not in done:
                if heads[load.node].commit == done.get(self._latest(batch, load.node)):
                    done[load] = heads[load.node].commit
        self._are_done(done)
        if rest := [load for load in batch if load not in done]:
            stream = self._stream(rest, heads)
            self._are_done(dict(zip(rest, self._repository.fast_import(stream), strict=True)))
            self._untidy += len(rest)
