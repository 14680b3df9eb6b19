"""The beat page: what a worker is doing at this moment, in memory that its host can read.

A page of shared memory a worker, made by the host, written by the loop that calls user code, read by the host a few
times a second. It costs no message, goes on telling when the loop is stuck (the call that started and never ended), and
outlives its writer: after a kill -9 it still says in which call the worker died.

How it stays consistent: a record with its number and a CRC is written by one copy, in turn into one of two slots. A
reader copies both and takes the newest that is whole. A writer that is killed, or interrupted by a signal, in the
middle of a copy leaves the other slot intact, so the reader never waits for anybody, and nothing depends on the order
in which a processor makes its stores visible. The count of dropped log lines stands outside the record, in a word of
its own, because threads and forked children of user code add to it as well.

A second page holds the counters of the threads that are watched (`guardian.health`), a word each, moved by the thread
whose it is.

Cost: a write about 1 us, a read about 3 us. Times are CLOCK_MONOTONIC, which all processes of a machine share.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from guardian.core.threads import MOST_THREADS
from guardian.enums import Call

_PAGE = mmap.PAGESIZE
_COUNTERS_AT, _SIZE = _PAGE, _PAGE + 8 * MOST_THREADS
_RECORD = struct.Struct("=QqqqQdd")  # number of the write, cycle, call, entry, method, call start, last duration
_CRC = struct.Struct("=I")
_LENGTH = _RECORD.size + _CRC.size
_SLOTS = (0, 128)
_DROPPED = 256
_CODES = {None: 0, Call.MAIN: 1, Call.RUN: 2}
_METHODS = {code: method for method, code in _CODES.items()}
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """One look at a worker. A page nobody has written yet reads as all zero."""

    cycle: int = 0  #: turns of the worker's loop
    call: int = 0  #: number of the present call of user code, or of the last one
    method: Call | None = None  #: the method being executed; None between calls
    entry: int = 0  #: the state entry that call belongs to
    call_start_s: float = 0.0  #: monotonic time at which it began
    last_duration_s: float = 0.0  #: how long the last finished call took
    dropped: int = 0  #: log lines the worker could not hand over

    def busy_s(self, now: float) -> float:
        """How long the present call has been running at monotonic time `now`; 0.0 between calls."""
        return 0.0 if self.method is None else max(0.0, now - self.call_start_s)


def create_page() -> int:
    """Make an empty page and return its descriptor (close-on-exec). Its size is sealed: nobody can cut it off."""
    fd = os.memfd_create("guardian-beat", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, _SIZE)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return fd


class BeatWriter:
    """The worker's end. Call it from the thread that runs user code; only :meth:`drop` may come from any.

    Parameters
    ----------
    fd : the descriptor of the page; it may be closed afterwards.
    clock : monotonic seconds.
    """

    def __init__(self, fd: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._page = mmap.mmap(fd, _SIZE)
        self._whole = memoryview(self._page)
        self._word = self._whole[_DROPPED : _DROPPED + 8].cast("Q")
        self.counters = self._whole[_COUNTERS_AT:_SIZE].cast("Q")  #: of watched threads, by slot
        self._clock = clock
        self._number = self._cycle = self._call = self._entry = self._method = 0
        self._start = self._duration = 0.0
        self._write()

    def cycle(self) -> None:
        """One more turn of the loop."""
        self._cycle += 1
        self._write()

    def begin(self, method: Call, entry: int) -> int:
        """User code is about to be called; returns the number of this call."""
        self._call += 1
        self._entry = entry
        self._method = _CODES[method]
        self._start = self._clock()
        self._write()
        return self._call

    def end(self) -> float:
        """The call is over; returns its duration in seconds. Without a call in progress the last duration."""
        if self._method:
            self._method = 0
            self._duration = self._clock() - self._start
            self._write()
        return self._duration

    def drop(self, lines: int = 1) -> None:
        """Count log lines that were lost. Two threads at the same instant may count as one."""
        self._word[0] += lines

    def close(self) -> None:
        """Give the memory back."""
        self._word.release()
        self.counters.release()
        self._whole.release()
        self._page.close()

    def _write(self) -> None:
        number = self._number + 1
        record = _RECORD.pack(number, self._cycle, self._call, self._entry, self._method, self._start, self._duration)
        at = _SLOTS[number & 1]
        self._page[at : at + _LENGTH] = record + _CRC.pack(zlib.crc32(record))
        self._number = number  # last: an interrupt before this line makes the next write use the same slot again


class BeatReader:
    """The host's end: :meth:`read` at any moment, whatever the writer does or did not live to do.

    Parameters
    ----------
    fd : the descriptor of the page; it may be closed afterwards.
    """

    def __init__(self, fd: int) -> None:
        self._page = mmap.mmap(fd, _SIZE, prot=mmap.PROT_READ)
        self._whole = memoryview(self._page)
        self._word = self._whole[_DROPPED : _DROPPED + 8].cast("Q")
        self.counters = self._whole[_COUNTERS_AT:_SIZE].cast("Q")  #: of watched threads, by slot
        self._last = Beat()

    def read(self) -> Beat:
        """The newest whole record. Should none be found in a few looks, what was read before."""
        for _ in range(_ATTEMPTS):
            copy = self._page[:_DROPPED]
            records = [record for at in _SLOTS if (record := _intact(copy[at : at + _LENGTH])) is not None]
            if records:
                _, cycle, call, entry, method, start, duration = max(records)
                self._last = Beat(
                    cycle=cycle,
                    call=call,
                    method=_METHODS[method],
                    entry=entry,
                    call_start_s=start,
                    last_duration_s=duration,
                    dropped=self._word[0],
                )
                break
        return self._last

    def close(self) -> None:
        """Give the memory back."""
        self._word.release()
        self.counters.release()
        self._whole.release()
        self._page.close()


def _intact(slot: bytes) -> tuple[int, int, int, int, int, float, float] | None:
    """The record in `slot`, or None if it is torn or was never written."""
    record = slot[: _RECORD.size]
    (crc,) = _CRC.unpack_from(slot, _RECORD.size)
    return _RECORD.unpack(record) if zlib.crc32(record) == crc and any(record) else None
