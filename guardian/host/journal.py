"""The journal of a host: every request with who, every transition with its cause, every error, one JSON object a line.

A record has at least ``id`` (the event id, the same as in SUMMARY and EVENT, R23), ``node``, ``stamp`` (epoch seconds)
and ``kind``. The file is only ever appended to, so whatever is in it can be read by any tool, also while it grows.

Written by two lanes (:mod:`guardian.host.files`): one hands records to the kernel, a write of a client at once, the
rest within 20 ms, which is what kill -9 costs; the other fsyncs at most once a second, so a power cut costs a second.
If records come faster than they can be written, or the disk is full, they wait in memory up to a limit; past it new
ones are counted, not kept (the beginning of an incident tells most), and the count stands in the journal at that very
place, as a record of the kind ``dropped``.

Lines stay whole: after a short write (full disk) the rest of the line is written first when there is room again. What
a kill or a power cut tears is the last line, and it is put aside when the file is next opened.

A file that is large enough is put aside behind a whole line, and the oldest are removed *before* that, so that a disk
never holds more than the bounds say (:mod:`guardian.host.rotation`). If a disk allows neither, that is told, and the
file grows on: a record is worth more than a bound. It is put aside, too, when the clock was set back by more than
:data:`~guardian.host.history.SET_BACK_S`: times in a file do not fall by more, so readers find one by halving.

One process writes a file, and holds a lock on it. A file that was moved away or removed (by a person, or by logrotate)
is begun anew with the next record. Journals are read by :mod:`guardian.host.history`.
"""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import stat
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from guardian.core.ailments import Ailment
from guardian.core.threads import Seen
from guardian.enums import Severity
from guardian.errors import ExpectedError
from guardian.host.files import GATHER_S, RETRY_S, Clock, Lane, Trouble, ailment, aside_name, sync_dir, write_all
from guardian.host.history import LINE_MAX, SET_BACK_S, has_time, record_of
from guardian.host.rotation import Bounds, aside, make_room, next_name, taken

_BLOCK = 65536
BOUNDS = Bounds()
#: A file that could not be put aside is tried again after so long.
_AGAIN_S = 60.0


class Journal:
    """Appends records to the file `path`.

    `append` returns at once, and no state of the disk raises an error. The directory is made when needed.

    Parameters
    ----------
    bounds : how large the file grows before it is put aside, and how much is kept in all.
    limit_bytes : how much may wait in memory.
    sync_gap_s : how much a power cut may cost.

    Attributes
    ----------
    warnings : what was wrong with the file when it was opened, one sentence each.

    Raises
    ------
    ExpectedError
        Another process writes this file.
    """

    def __init__(
        self,
        path: Path,
        *,
        bounds: Bounds = BOUNDS,
        clock: Clock = time.time,
        limit_bytes: int = 16_000_000,
        sync_gap_s: float = 1.0,
        retry_s: tuple[float, float] = RETRY_S,
    ) -> None:
        self.path = Path(path)
        self.warnings: list[str] = []
        self._bounds = bounds
        self._block = min(_BLOCK, bounds.file_bytes // 8)  # is written at once, so a file grows by it beyond its bound
        self._clock = clock
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._waiting: deque[bytes] = deque()  # whole lines; of the first one, `_begun` bytes are written
        self._waiting_bytes = 0
        self._begun = 0
        self._dropped = 0
        self._dropped_since = 0.0
        self._fd: int | None = None
        self._newest = 0.0  # epoch seconds of the newest record in the file
        self._retired: list[int] = []  # descriptors of files that were moved away, to be synced and closed
        advice = "New records are kept in memory while there is place, then counted: make room or repair the directory."
        self._troubles = (
            Trouble(f"journal {path} is not written", advice, clock),
            Trouble(f"journal {path} is not safe from a power cut", advice, clock),
        )
        self._unbounded = Trouble(
            f"journal {path} is not kept within its bounds",
            "It grows on: let its directory be written, or move the oldest files away.",
            clock,
        )
        self._next_try = 0.0  # monotonic: when a file is put aside again, after that has failed
        self._tidy = False
        try:
            self._open()
            self._look_at_its_size()
        except BlockingIOError:
            raise ExpectedError(
                f"journal {path} is being written by another process. Stop that host, or give this one its own journal."
            ) from None
        except OSError as error:  # the node starts all the same, and the lane goes on trying
            self._troubles[0].tell(error)
        writing, syncing = self._troubles
        self._writer = Lane("journal", self._write, trouble=writing, gap_s=GATHER_S, retry_s=retry_s)
        self._syncer = Lane("journal-sync", self._sync, trouble=syncing, gap_s=sync_gap_s, retry_s=retry_s)
        self._writer.wake()  # to look at what is there; and to open it, if it could not be opened

    def append(self, record: Mapping[str, Any], *, soon: bool = False) -> None:
        """Write `record` as it is now; returns at once. What JSON cannot say is written as its repr.

        Parameters
        ----------
        soon : it, and what waits, does not gather for :data:`guardian.host.files.GATHER_S`.
        """
        line = _line(record)
        with self._lock:
            # Once records are dropped they all are until the queue is empty, so that the gap is in one place.
            if self._dropped or self._waiting_bytes + len(line) > self._limit_bytes:
                self._dropped_since = self._dropped_since or self._clock()
                self._dropped += 1
            else:
                self._waiting.append(line)
                self._waiting_bytes += len(line)
        self._writer.wake(soon=soon)

    def trouble(self) -> str | None:
        """What is wrong with the file and since when; None while all is well."""
        return next((text for trouble in (*self._troubles, self._unbounded) if (text := trouble.text())), None)

    def ailment(self) -> Ailment | None:
        """The same for whoever watches the host; and a disk that hangs."""
        found = ailment("journal", self._writer, self._syncer)
        if found is None and (text := self._unbounded.text()):
            found = Ailment(what="journal", severity=Severity.MINOR, text=text, dated=True)
        return found

    def threads(self) -> tuple[Seen, ...]:
        """The threads that write, and whether they hang."""
        return self._writer.seen(), self._syncer.seen()

    def flush(self, timeout_s: float, *, durable: bool = True) -> bool:
        """Wait until every record so far is safe from kill -9 and, with `durable`, from a power cut."""
        due = time.monotonic() + timeout_s
        return self._writer.wait_done(timeout_s) and (
            not durable or self._syncer.wait_done(max(0.0, due - time.monotonic()))
        )

    def close(self, timeout_s: float = 5.0) -> bool:
        """Write what is left and end the threads. False if something could not be written in time."""
        due = time.monotonic() + timeout_s
        written = self._writer.close(timeout_s)
        synced = self._syncer.close(max(0.1, due - time.monotonic()))
        in_use = self._writer.running() or self._syncer.running()  # a thread that hangs keeps the descriptor
        if self._fd is not None and not in_use:
            os.close(self._fd)
            self._fd = None
        return written and synced

    # ---- the lane that writes: it alone opens, and it alone appends

    def _write(self) -> None:
        if self._fd is None or self._was_moved():
            self._open()
        assert self._fd is not None
        try:
            self._turn_over()
            while data := self._next_bytes():
                self._written(os.write(self._fd, data))
                self._newest = max(self._newest, self._clock())
                self._turn_over()
        finally:
            self._syncer.wake()  # also after a fault: lines before it were written

    def _turn_over(self) -> None:
        """Put the file aside if it is large enough, or of another time, and make room for the next one.

        What cannot be is told.
        """
        assert self._fd is not None
        info, now = os.fstat(self._fd), time.monotonic()
        set_back = info.st_size > 0 and self._newest > self._clock() + SET_BACK_S
        full = stat.S_ISREG(info.st_mode) and not self._begun and (info.st_size >= self._bounds.file_bytes or set_back)
        if (self._tidy and not full) or now < self._next_try:
            return
        try:
            if full:
                name = next_name(self.path, self._clock())  # before the newest of the others may be removed
                self._make_room(self._bounds.total_bytes - self._bounds.file_bytes - self._block)
                self.path.rename(name)
            else:
                self._make_room(self._bounds.total_bytes)  # what was kept may be more than is now allowed
        except OSError as error:
            self._unbounded.tell(error)
            self._next_try = now + _AGAIN_S
            return
        self._tidy = True
        self._unbounded.over()
        if full:
            self._open()

    def _make_room(self, total_bytes: int) -> None:
        make_room(self.path, total_bytes)
        if (left := aside(self.path)) and taken(self.path) > total_bytes:
            left[0].unlink()  # says why it could not be removed

    def _next_bytes(self) -> bytes:
        with self._lock:
            if not self._waiting and self._dropped:
                now = self._clock()
                record = {"id": 0, "node": "", "stamp": now, "kind": "dropped", "count": self._dropped}
                self._waiting.append(_line(record | {"since": self._dropped_since, "until": now}))
                self._waiting_bytes += len(self._waiting[-1])
                self._dropped, self._dropped_since = 0, 0.0
            lines: list[bytes] = []
            size = 0
            for line in self._waiting:
                lines.append(line)
                size += len(line)
                if size >= self._block:
                    break
            return b"".join(lines)[self._begun :]

    def _written(self, count: int) -> None:
        with self._lock:
            count += self._begun
            while self._waiting and count >= len(self._waiting[0]):
                size = len(self._waiting.popleft())
                count -= size
                self._waiting_bytes -= size
            self._begun = count

    def _was_moved(self) -> bool:
        assert self._fd is not None
        here = os.fstat(self._fd)
        try:
            there = os.stat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:  # it cannot be told, and what is open can perhaps be written
            return False
        return (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino)

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            _lock_file(fd)
            whole = self._mend(fd)
            newest = _last_stamp(fd)
        except BaseException:
            os.close(fd)
            raise
        with self._lock:
            if self._fd is not None:
                self._retired.append(self._fd)
            self._fd, self._newest = fd, newest
            self._begun = 0  # the rest of a line of another file is no line
            if not whole:
                self._waiting.appendleft(b"\n")
                self._waiting_bytes += 1

    def _look_at_its_size(self) -> None:
        """Of a version that did not put files aside there may be more than is kept now. It is not lost at once."""
        assert self._fd is not None
        size, kept = os.fstat(self._fd).st_size, self._bounds
        if size > kept.total_bytes:
            self.warnings.append(
                f"{self.path} has {size / 1e6:.0f} MB, and {kept.total_bytes / 1e6:g} MB are kept ([journal] "
                f"total_mb): it is put aside whole, and removed when the next {kept.file_bytes / 1e6:g} MB are full. "
                "Copy it, if it is to be kept"
            )

    def _mend(self, fd: int) -> bool:
        """Put a torn last line aside. False if the last line still wants its newline."""
        info = os.fstat(fd)
        size = info.st_size
        if not stat.S_ISREG(info.st_mode) or size == 0 or os.pread(fd, 1, size - 1) == b"\n":
            return True
        start = _start_of_last_line(fd, size)
        if size - start < LINE_MAX and record_of(os.pread(fd, size - start, start)) is not None:
            return False  # a whole record, only its newline is missing
        aside = aside_name(self.path, self._clock())
        found = f"{self.path} ended in {size - start} bytes that are no record"
        try:
            _copy(fd, start, size, aside)
            os.ftruncate(fd, start)
        except OSError as error:
            self.warnings.append(f"{found}; they could not be moved aside ({error.strerror}) and stay there")
            return False
        self.warnings.append(f"{found} (a crash or power cut); they were moved to {aside.name}")
        return True

    # ---- the lane that syncs

    def _sync(self) -> None:
        with self._lock:
            retired, self._retired = self._retired, []
            here = None if self._fd is None else os.dup(self._fd)  # the other lane may close its own meanwhile
        fault: OSError | None = None
        for fd in (*retired, *(() if here is None else (here,))):
            try:
                os.fsync(fd)
            except OSError as error:
                if error.errno != errno.EINVAL:  # a pipe or a device has nothing to sync
                    fault = fault or error
            finally:
                os.close(fd)
        if fault is not None:
            raise fault
        if retired:
            sync_dir(self.path.parent)


def _line(record: Mapping[str, Any]) -> bytes:
    try:
        text = json.dumps(dict(record), default=repr, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError):  # keys that are no strings, NaN, a circle
        known = {name: record.get(name) for name in ("id", "node", "stamp", "kind")}
        text = json.dumps(
            {name: value if _plain(value) else repr(value) for name, value in known.items()} | {"text": repr(record)}
        )
    return text.encode() + b"\n"


def _plain(value: Any) -> bool:
    return isinstance(value, (str, int)) or (isinstance(value, float) and math.isfinite(value))


def _lock_file(fd: int) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BlockingIOError(errno.EBUSY, "another process writes it, stop that one") from None
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL):  # some file systems have no locks
            raise


def _last_stamp(fd: int) -> float:
    """The time of the last record; 0.0 if there is none."""
    info = os.fstat(fd)
    if not stat.S_ISREG(info.st_mode):
        return 0.0
    start = _start_of_last_line(fd, max(0, info.st_size - 1))
    last = record_of(os.pread(fd, LINE_MAX, start)) or {}
    return float(last["stamp"]) if has_time(last) else 0.0


def _start_of_last_line(fd: int, size: int) -> int:
    end = size
    while end > 0:
        begin = max(0, end - _BLOCK)
        found = os.pread(fd, end - begin, begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    return 0


def _copy(fd: int, start: int, end: int, target: Path) -> None:
    out = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        while start < end and (block := os.pread(fd, min(_BLOCK, end - start), start)):
            write_all(out, block)
            start += len(block)
        os.fsync(out)
    except OSError:
        target.unlink()
        raise
    finally:
        os.close(out)
