"""Where the log lines of a host go, and why no target can stop the host.

The sink writes one stream of all lines from a thread of its own with a bounded queue, and hands each line to the files
of the nodes, which have theirs (:mod:`guardian.host.logfiles`). A target that is slow, full or closed costs lines,
never the loop's time, never the process, and never the lines of the other target: what could not be written waits and
is tried again every second (a file is opened anew), what finds the queue full is dropped and counted by node, and both
are told when the target works again.

A file that was moved away or removed is made anew within a second, so any tool may rotate it. One that cannot be put
aside (in ``/var/log`` it may be written, and not be renamed) grows on, and that is told: lines are worth more than a
bound.

Where the stream goes to the journal of systemd, each line begins with its priority, as sd-daemon(3) says: ``<4>`` is a
warning.
"""

from __future__ import annotations

import os
import select
import stat
import threading
import time
from pathlib import Path

from guardian.core.ailments import Ailment
from guardian.enums import LogLevel, Severity
from guardian.host.files import GATHER_S
from guardian.host.linequeue import LineQueue
from guardian.host.logfiles import LogFiles
from guardian.host.logline import LogLine, lines_of
from guardian.host.rotation import Bounds, make_room, put_aside

_PRIORITIES = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}
_LOOK_S, _AGAIN_S = 1.0, 60.0  # between looks at the name of the file, and between attempts to put it aside
_NAMED = 3  # nodes that are named where lines are missing


class LogSink:
    """Where all lines of a host go: a file by its path, or an open descriptor such as 1.

    Parameters
    ----------
    target : a path (appended to; made if missing), or a descriptor (never closed here).
    most_lines : lines that may wait; more are dropped and counted.
    retry_s : after a fault the target is tried again in this time.
    files : take all lines too. level : the least that is written, of nodes for which no other is set.
    bounds : of a target that is a file by its path; None: it grows for ever.
    """

    def __init__(
        self,
        target: int | str | os.PathLike[str],
        *,
        most_lines: int = 10_000,
        retry_s: float = 1.0,
        files: LogFiles | None = None,
        level: LogLevel = LogLevel.INFO,
        bounds: Bounds | None = None,
    ) -> None:
        self._path = None if isinstance(target, int) else Path(target)
        self._fd = target if isinstance(target, int) else -1
        self._name = f"descriptor {target}" if self._path is None else str(self._path)
        self._retry_s = retry_s
        self._files = files
        self._level = level
        self._levels: dict[str, LogLevel] = {}
        self._bounds = bounds
        self._size = 0  # of a regular file
        self._inode = 0  # of a regular file; 0: it is none
        self._looked_at = 0.0
        self._unbounded = ""  # why it cannot be put aside
        self._next_try = 0.0
        self._whole = True  # the target ends with a whole line
        self._priorities = self._path is None and _is_journald(self._fd)
        self._queue = LineQueue(most_lines)
        self._told_at = -1.0  # monotonic, as all times here
        self._unsent = b""  # lines taken from the queue, less what the target has accepted of them
        self._fault = ""  # why the target does not work now
        self._fault_at = 0.0
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._deadline = float("inf")
        self._thread = threading.Thread(target=self._work, name="log sink", daemon=True)
        self._thread.start()

    def line(
        self, node: str, text: str, *, level: str = "INFO", context: str = "", stamp_us: int | None = None
    ) -> None:
        """Add a line, or one for each line of `text`, unless it is below the level of the node.

        Any thread may call this; it returns at once, always.
        """
        if LogLevel[level] < self._levels.get(node, self._level):
            return
        for line in lines_of(node, text, level=level, context=context, stamp_us=stamp_us):
            self.put(line)

    def put(self, line: LogLine) -> None:
        """Add a finished line, whatever its level."""
        if self._files is not None:
            self._files.put(line)
        if self._queue.put(line):
            self._wake.set()

    def set_level(self, node: str, level: LogLevel) -> None:
        """The least that is written of a node from now on."""
        self._levels[node] = level

    def trouble(self) -> str | None:
        """What is wrong with the log at present, in a sentence; None if nothing is."""
        fault, dropped = self._fault, self._queue.dropped
        if not fault and not dropped:
            return None
        return f"log to {self._name}: {fault or 'too slow'}; {len(self._queue)} lines wait, {dropped} dropped"

    def ailment(self) -> Ailment | None:
        """The same for whoever watches the host, or what is wrong with the files."""
        text = self.trouble()
        if text is None and self._unbounded:
            text = f"log {self._name} cannot be put aside ({self._unbounded}), and grows beyond its bound"
            advice = "Let its folder be written, or have logrotate move it away"
            return Ailment(what="log", severity=Severity.MINOR, text=f"{text}. {advice}")
        if text is None:
            return None if self._files is None else self._files.ailment()
        advice = "The nodes go on, and the journal has what they do: make room, or see who reads it"
        return Ailment(what="log", severity=Severity.MINOR, text=f"{text}. {advice}")

    def close(self, timeout_s: float = 2.0) -> int:
        """Write what waits, for at most `timeout_s`; returns how many lines were lost in the end (0: none)."""
        self._deadline = time.monotonic() + timeout_s
        self._queue.closed = True
        self._closing.set()
        self._wake.set()
        self._thread.join(timeout_s + 0.5)
        lost = len(self._queue) + self._unsent.count(b"\n") + self._queue.dropped
        return lost if self._files is None else max(lost, self._files.close(timeout_s))

    def _work(self) -> None:
        while not self._expired():
            self._unsent = self._unsent or self._batch()
            if self._unsent:
                self._send()
            elif self._closing.is_set():
                break
            elif not self._closing.wait(GATHER_S) and not len(self._queue):
                self._wake.wait(1.0 if self._queue.dropped else None)
                self._wake.clear()
        self._let_go()

    def _batch(self) -> bytes:
        """The next lines, together at most PIPE_BUF bytes unless one line is longer, or nothing.

        Small, because formatting holds the interpreter lock that the loop wants, and because a pipe that is ready
        takes so much without blocking.
        """
        text = self._news()
        while (line := self._queue.first()) is not None:
            more = self._bytes(line)
            if text and len(text) + len(more) > select.PIPE_BUF:
                break
            text += more
            self._queue.take()
        return text

    def _bytes(self, line: LogLine) -> bytes:
        priority = f"<{_PRIORITIES.get(line.level, 6)}>" if self._priorities else ""
        return f"{priority}{line}\n".encode("utf-8", "backslashreplace")

    def _news(self) -> bytes:
        """What to tell about lines that were dropped, at most once a second."""
        now = time.monotonic()
        if not self._queue.dropped or (now - self._told_at < 1.0 and not self._closing.is_set()):
            return b""
        dropped = self._queue.take_dropped()
        self._told_at = now
        most = [f"{node} {count}" for node, count in dropped.most_common(_NAMED)]
        whose = ", ".join(most) + (" and others" if len(dropped) > _NAMED else "")
        text = f"{dropped.total()} lines dropped ({whose}): the log could not be written as fast as they came"
        return self._own(text)

    def _own(self, text: str) -> bytes:
        return self._bytes(LogLine(stamp_us=time.time_ns() // 1000, node="HOST", text=text, level="WARNING"))

    def _send(self) -> None:
        """Write the lines in hand, or a part of them, or note why not."""
        try:
            if self._was_moved():
                self._let_go()
            if self._fd < 0:
                self._fd = self._open()
            if _ready(self._fd):
                self._rotate()
                count = os.write(self._fd, self._unsent[: select.PIPE_BUF])
                self._size += count
                self._whole = self._unsent[:count].endswith(b"\n")
                self._unsent = self._unsent[count:]
        except BlockingIOError:  # made non-blocking by somebody who shares it, and full
            time.sleep(0.05)
        except OSError as error:
            if not self._fault:
                self._fault_at = time.monotonic()
            self._fault = error.strerror or str(error)
            self._let_go()
            self._closing.wait(self._retry_s)
            if self._closing.is_set():
                time.sleep(0.05)
        else:
            if self._fault and not self._unsent:
                after_s = time.monotonic() - self._fault_at
                self._unsent = self._own(f"the log can be written again, after {after_s:.0f} s: {self._fault}")
                self._fault = ""

    def _open(self) -> int:
        assert self._path is not None
        self._path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK  # the last for a fifo
        fd = os.open(self._path, flags, 0o644)
        status = os.fstat(fd)
        is_file = stat.S_ISREG(status.st_mode)
        self._size, self._inode = (status.st_size, status.st_ino) if is_file else (0, 0)
        self._looked_at = time.monotonic()
        return fd

    def _was_moved(self) -> bool:
        """Whether the name of the file leads elsewhere, or nowhere; looked up once a second."""
        now = time.monotonic()
        if self._path is None or self._fd < 0 or not self._inode or not self._whole or now < self._looked_at + _LOOK_S:
            return False
        self._looked_at = now
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            return True
        self._size = status.st_size  # it may have been emptied
        return status.st_ino != self._inode

    def _rotate(self) -> None:
        """Put a file aside that is large, and open it anew."""
        if self._path is None or self._bounds is None or not self._inode or not self._whole:
            return
        if self._size < self._bounds.file_bytes or time.monotonic() < self._next_try:
            return
        try:
            put_aside(self._path, time.time())
        except FileNotFoundError:
            pass  # somebody else has
        except OSError as error:
            self._unbounded, self._next_try = error.strerror or str(error), time.monotonic() + _AGAIN_S
            return
        self._unbounded = ""
        make_room(self._path, self._bounds.total_bytes - self._bounds.file_bytes)
        self._let_go()
        self._fd = self._open()

    def _let_go(self) -> None:
        if self._path is not None and self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _expired(self) -> bool:
        return time.monotonic() > self._deadline


def _ready(fd: int) -> bool:
    """Whether `fd` takes PIPE_BUF bytes now, waiting a little; true for one at fault, whose write will say so."""
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return bool(poll.poll(100))


def _is_journald(fd: int) -> bool:
    """Whether `fd` leads to the journal of systemd."""
    said = os.environ.get("JOURNAL_STREAM", "")
    try:
        status = os.fstat(fd)
    except OSError:
        return False
    return said == f"{status.st_dev}:{status.st_ino}"
