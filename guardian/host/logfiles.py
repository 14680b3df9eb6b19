"""The log files of the nodes of a host: one a node, written by one thread, bounded each and together.

The loop of the host adds a line to a queue, and that is all it costs; a :class:`~guardian.host.files.Lane` writes. A
disk that is slow, full, read-only or gone costs lines, which are counted, and told in the file where they are missing.
It costs neither the nodes nor what the host writes elsewhere (:mod:`guardian.host.logsink`) anything.

At most so many files are open at a time, whatever the number of nodes. A file that another program has moved away or
removed is made anew. Nothing is synced: after a power cut the last seconds may be missing; after a kill they are not.
Two hosts never write in one folder, a lock in it sees to that.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from guardian.core.ailments import Ailment
from guardian.core.threads import Seen
from guardian.enums import Severity
from guardian.host.files import GATHER_S, Lane, Trouble
from guardian.host.linequeue import LineQueue
from guardian.host.logfile import LogFile
from guardian.host.logfolder import log_path, make_room, most_bytes, node_files
from guardian.host.logline import LogLine
from guardian.host.logrules import BOUNDS
from guardian.host.rotation import Bounds

_ADVICE = "The nodes go on, and the journal has what they do: make room, or see to the disk"
#: Lines taken from the queue in one go: formatting them holds the interpreter lock that the loop wants.
_BATCH = 256
#: So often, and then it is over and begun anew: only a disk may make it last.
_TURNS = 20
_RETRY_S = (0.2, 1.0)


@dataclass(slots=True)
class _Waiting:
    """What is to be written to one file."""

    data: bytearray = field(default_factory=bytearray)
    newest: float = 0.0  #: epoch seconds of its last line
    lost: int = 0  #: lines that did not fit


class LogFiles:
    """Where the lines of each node are kept.

    Parameters
    ----------
    folder : made if missing. bounds : of each file, and of all together.
    link : where else people look for it; a link is made there.
    most_lines : that may wait for the disk, of all nodes. most_bytes : that may wait for one file.
    most_open : files open at a time.
    """

    def __init__(
        self,
        folder: Path,
        bounds: Bounds = BOUNDS,
        *,
        link: Path | None = None,
        most_lines: int = 20_000,
        most_bytes: int = 64 * 1024,
        most_open: int = 32,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.folder = folder
        self._bounds = bounds
        self._link = link
        self._most_bytes = most_bytes
        self._most_open = most_open
        self._clock = clock
        self._queue = LineQueue(most_lines)
        self._waiting: dict[str, _Waiting] = {}
        self._open: OrderedDict[str, LogFile] = OrderedDict()  # the one used last at the end
        self._cut: set[str] = set()  # nodes the last line of whose file is not complete: what waits completes it
        self._nodes: set[str] = set()  # that have a file
        self._lock_fd = -1
        self._fault: OSError | None = None
        self._lane = Lane(
            "log files", self._write, trouble=Trouble(f"log files in {folder} are not written", _ADVICE),
            gap_s=GATHER_S, retry_s=_RETRY_S,
        )  # fmt: skip

    def put(self, line: LogLine) -> None:
        """Have a line written. Any thread may call this; it returns at once, always."""
        if self._queue.put(line) == 1:
            self._lane.wake()

    def ailment(self) -> Ailment | None:
        """What is wrong at present."""
        if text := self._lane.trouble.text():
            return Ailment(what="log files", severity=Severity.MINOR, text=text, dated=True)
        if self._lane.hangs_s():
            text = f"log files in {self.folder} wait for a disk that does not answer. {_ADVICE}"
            return Ailment(what="log files", severity=Severity.MINOR, text=text)
        return None

    def seen(self) -> Seen:
        """Its thread, as one that is watched."""
        return self._lane.seen()

    def close(self, timeout_s: float = 2.0) -> int:
        """Write what waits, for at most `timeout_s`; returns how many lines were lost in the end (0: none)."""
        self._queue.closed = True
        if not self._lane.close(timeout_s):
            waiting = sum(one.lost + one.data.count(b"\n") for one in list(self._waiting.values()))
            return len(self._queue) + self._queue.dropped + waiting
        for file in self._open.values():
            file.close()
        self._open.clear()
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1
        return 0

    # --- what the thread does ---

    def _write(self) -> None:
        """Write all that waits.

        Raises
        ------
        OSError
            Something is left, or lost.
        """
        if not self._waiting and not len(self._queue) and not self._queue.dropped:
            return  # a host that ends before it has anything to say leaves no folder behind
        fault = self._not_ready()
        failed = set(self._waiting) if fault else self._write_each(set(self._waiting))
        turns = 0
        while (turns < _TURNS or self._queue.closed) and (nodes := self._take()):
            failed |= set() if fault else self._write_each(nodes - failed)
            turns += 1
        if len(self._queue):
            self._lane.wake()
        self._fault = fault or (self._fault if failed else None)
        if self._fault is not None:
            raise self._fault

    def _not_ready(self) -> OSError | None:
        """Make the folder, and take it; why that cannot be."""
        if self._lock_fd >= 0 and self.folder.is_dir():
            return None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if self._lock_fd >= 0:
                os.close(self._lock_fd)
            self._lock_fd = _take_lock(self.folder / ".lock")
            self._point()
            self._nodes |= set(node_files(self.folder))
            self._make_room()
        except OSError as error:
            return error
        return None

    def _point(self) -> None:
        """Have the link lead here, unless something else is there."""
        link = self._link
        if link is None or (link.is_symlink() and link.resolve() == self.folder.resolve()):
            return
        if link.is_symlink():
            link.unlink()
        elif link.exists():
            return  # the files from before they were kept elsewhere
        link.symlink_to(self.folder)

    def _take(self) -> set[str]:
        """Take some lines from the queue; whose they are."""
        nodes = set()
        for _ in range(min(_BATCH, len(self._queue))):
            line = self._queue.take()
            self._add(line)
            nodes.add(line.node)
        for node, count in self._queue.take_dropped().items():
            self._of(node).lost += count
            nodes.add(node)
        return nodes

    def _of(self, node: str) -> _Waiting:
        return self._waiting.setdefault(node, _Waiting())

    def _add(self, line: LogLine) -> None:
        one = self._of(line.node)
        if len(one.data) >= self._most_bytes:
            one.lost += 1
            return
        if one.lost and not one.data:
            one.data += self._note(line.node, one)
        one.data += str(line).encode("utf-8", "backslashreplace") + b"\n"
        one.newest = max(one.newest, min(line.stamp_us / 1e6, self._clock()))

    def _note(self, node: str, one: _Waiting) -> bytes:
        """The line that tells what is missing here."""
        count, one.lost = one.lost, 0
        text = f"{count} lines dropped: this file could not be written as fast as they came"
        return f"{LogLine(stamp_us=int(self._clock() * 1e6), node=node, text=text, level='WARNING')}\n".encode()

    def _write_each(self, nodes: set[str]) -> set[str]:
        """Write what waits of these nodes; of which it could not be written."""
        failed = set()
        for node in nodes:
            one = self._waiting[node]
            try:
                self._write_to(node, one)
                if one.lost:
                    one.data += self._note(node, one)
                    self._write_to(node, one)
                del self._waiting[node]
            except OSError as error:
                self._fault = error
                failed.add(node)
                self._forget(node)
        return failed

    def _write_to(self, node: str, one: _Waiting) -> None:
        while one.data:
            file = self._file(node)
            limit = most_bytes(self._bounds.file_bytes, self._bounds.total_bytes, len(self._nodes))
            # Whole lines that fit into one file; at least one.
            piece = len(one.data) if len(one.data) <= limit else one.data.rfind(b"\n", 0, limit) + 1
            piece = piece or one.data.find(b"\n") + 1
            now = self._clock()
            if file.full(piece, limit, now):
                file.put_aside(now)
                del self._open[node]
                self._make_room()
                file = self._file(node)
            file.append(one.data, piece, one.newest)

    def _file(self, node: str) -> LogFile:
        file = self._open.get(node)
        if file is not None and not file.stands():
            self._forget(node)
            file = None
        if file is None:
            while len(self._open) >= self._most_open:
                self._forget(next(iter(self._open)))
            file = self._open[node] = LogFile(log_path(self.folder, node), cut=node in self._cut)
            self._cut.discard(node)
            self._nodes.add(node)
        self._open.move_to_end(node)
        return file

    def _forget(self, node: str) -> None:
        file = self._open.pop(node, None)
        if file is not None:
            if file.torn:
                self._cut.add(node)
            file.close()

    def _make_room(self) -> None:
        make_room(self.folder, self._bounds.file_bytes, self._bounds.total_bytes)


def _take_lock(path: Path) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise OSError(errno.EBUSY, f"another host writes its log in {path.parent}; give one of them another") from None
    except OSError:
        os.close(fd)
        raise
    return fd
