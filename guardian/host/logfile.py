"""The growing log file of one node: appended to whole lines, put aside when it is large. Called by one thread."""

from __future__ import annotations

import errno
import os
import stat
import time
from calendar import timegm
from pathlib import Path

from guardian.host.logfolder import SLACK_S
from guardian.host.rotation import put_aside

_STAMP = len("2016-08-23_08:13:17.670880Z")
_TAIL = 20_000  # bytes: more than a line
_LOOK_S = 1.0


class LogFile:
    """One file, open.

    Parameters
    ----------
    cut : its last line is not complete, and what is written next completes it.

    Raises
    ------
    OSError
    """

    def __init__(self, path: Path, *, cut: bool = False) -> None:
        self.path = path
        # Non-blocking: a fifo of that name must not hold up the others.
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        self._fd = os.open(path, flags, 0o644)
        status = os.fstat(self._fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(self._fd)
            raise OSError(errno.EINVAL, f"{path} is no file", str(path))
        self.size = status.st_size
        self._inode = status.st_ino
        self._looked_at = time.monotonic()
        tail = os.pread(self._fd, _TAIL, max(0, self.size - _TAIL))
        self._newest = _newest(tail)
        self.torn = bool(tail) and not tail.endswith(b"\n")  # a host was killed, or the disk was full
        self._ends_line = self.torn and not cut

    def close(self) -> None:
        os.close(self._fd)

    def stands(self) -> bool:
        """Whether its name still leads to it; looked up once a second."""
        now = time.monotonic()
        if now - self._looked_at < _LOOK_S:
            return True
        self._looked_at = now
        try:
            return os.stat(self.path).st_ino == self._inode
        except FileNotFoundError:
            return False

    def full(self, more: int, most_bytes: int, now: float) -> bool:
        """Whether `more` bytes belong into another file: this one is large, or from before the clock was set back."""
        behind = self._newest > now + SLACK_S
        return self.size > 0 and not self.torn and (behind or self.size + more > most_bytes)

    def put_aside(self, now: float) -> Path:
        """Give its name free, and close it."""
        aside = put_aside(self.path, now)
        self.close()
        return aside

    def append(self, data: bytearray, newest: float) -> None:
        """Write `data`, and take out of it what was written. `newest`: the time of its last line.

        Raises
        ------
        OSError
            What is left in `data` is not written.
        """
        if self._ends_line:
            self.size += os.write(self._fd, b"\n")
            self._ends_line = False
        self._newest = max(self._newest, newest)
        while data:
            count = os.write(self._fd, data)
            self.size += count
            self.torn = data[count - 1] != ord("\n")
            del data[:count]


def _newest(tail: bytes) -> float:
    """The time of the last line, in epoch seconds; 0.0 if there is none."""
    for line in reversed(tail.split(b"\n")):
        try:
            return timegm(time.strptime(line[: _STAMP - 8].decode(), "%Y-%m-%d_%H:%M:%S"))
        except ValueError:
            continue
    return 0.0
