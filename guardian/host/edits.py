"""CODE_CHANGED: whether the files that nodes have loaded are still what was loaded. Looked at by a thread.

A file is looked at once a round, however many nodes have loaded it. Only its times, size and number are asked for; what
is in it is read when these have changed. So a file that was only touched, or edited and put back, is as it was. It is
opened for that, because a network file system shows a new time at once only to who opens the file.

A disk that does not answer holds up this thread and nothing else: what was seen last stands.

Cost: 5 us a file and round on a local disk.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Mapping

from guardian.core.ailments import Ailment
from guardian.core.sources import LARGEST_BYTES, blob_id
from guardian.core.threads import Seen
from guardian.enums import Severity
from guardian.host.files import Lane, Trouble

#: Between two looks, in seconds.
ROUND_S = 2.0
#: Times of files are no finer than that, in seconds.
SETTLED_S = 1.0
#: What is read of a file at most: what is longer is no source file, and counts as changed.
_MOST = 16 * LARGEST_BYTES
GONE, UNKNOWN = "", "?"

Look = tuple[int, ...]


class Edits:
    """Looks at the files of all nodes of a host."""

    def __init__(self, *, round_s: float = ROUND_S) -> None:
        self._lock = threading.Lock()
        self._loaded: dict[str, dict[str, str]] = {}  # by node: names of contents by paths
        self._seen: dict[str, tuple[Look, str]] = {}  # by path: how it looked, and the name of its content
        self._changed: frozenset[str] = frozenset()
        trouble = Trouble("files of user code are not looked at", "CODE_CHANGED stands as it was.")
        self._lane = Lane("edits", self._round, trouble=trouble, gap_s=0.1, tick_s=round_s)

    def watch(self, node: str, files: Mapping[str, str]) -> None:
        """A node has loaded these: names of contents by paths. Until the first look they are as they were loaded."""
        with self._lock:
            self._loaded[node] = dict(files)
            self._changed -= {node}
        self._lane.wake()

    def forget(self, node: str) -> None:
        """It has left."""
        with self._lock:
            self._loaded.pop(node, None)
            self._changed -= {node}

    def changed(self, node: str) -> bool:
        """Whether a file that it has loaded was edited, or is gone."""
        return node in self._changed

    def ailment(self) -> Ailment | None:
        """That a disk does not answer."""
        if not self._lane.hangs_s():
            return None
        return Ailment(
            what="files of user code",
            severity=Severity.MINOR,
            text="the files of user code are on a disk that does not answer: CODE_CHANGED stands as it was, and a LOAD "
            "would fail; see to the disk, or to the server that it is on",
        )

    def threads(self) -> tuple[Seen, ...]:
        return (self._lane.seen(),)

    def close(self) -> None:
        """No more looks."""
        with self._lock:
            self._loaded = {}
        self._lane.close(1.0)

    def _round(self) -> None:
        with self._lock:
            loaded = dict(self._loaded)
        now: dict[str, str] = {}
        for path in {path for files in loaded.values() for path in files}:
            now[path] = self._content(path)
        self._seen = {path: seen for path, seen in self._seen.items() if path in now}
        changed = {
            node
            for node, files in loaded.items()
            if any(now[path] not in (blob, UNKNOWN) for path, blob in files.items())
        }
        unsure = {node for node, files in loaded.items() if any(now[path] == UNKNOWN for path in files)}
        with self._lock:
            still = {node for node in loaded if self._loaded.get(node) is loaded[node]}
            # What was loaded meanwhile is looked at in the next round; what cannot be looked at stands as it was.
            self._changed = frozenset((changed & still) | (self._changed & (unsure | (self._loaded.keys() - still))))

    def _content(self, path: str) -> str:
        """The name of what is in a file, :data:`GONE` if there is none, :data:`UNKNOWN` if nobody knows."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except (FileNotFoundError, NotADirectoryError):
            return GONE
        except OSError:
            return UNKNOWN
        try:
            facts = os.fstat(fd)
            look = facts.st_mtime_ns, facts.st_ctime_ns, facts.st_size, facts.st_ino, facts.st_dev, facts.st_mode
            known = self._seen.get(path)
            if known is not None and known[0] == look:
                return known[1]
            if not stat.S_ISREG(facts.st_mode):
                return GONE
            with open(fd, "rb", closefd=False) as file:
                blob = blob_id(file.read(_MOST))
            if abs(time.time() - facts.st_mtime) > SETTLED_S:  # else it may be edited again within a tick of its time
                self._seen[path] = look, blob
            return blob
        except OSError:
            return UNKNOWN
        finally:
            os.close(fd)
