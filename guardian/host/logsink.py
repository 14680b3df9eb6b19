"""Where the log lines of a host go, and why no target can stop the host.

The sink writes from a thread of its own with a bounded queue. A target that is slow, full or closed costs lines, never
the loop's time and never the process: what could not be written waits and is tried again every second (a file is opened
anew), what finds the queue full is dropped and counted, and both are told when the target works again.

A line is ``2016-08-23_08:13:17.670880Z NODE [STATE.method] text``, in UTC; lines of the node itself have no bracket,
and levels other than INFO stand before the text. Control characters are shown, not passed on to the operator's
terminal. Source of the form: the log lines in LHO alog 29238.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from guardian.core.ailments import Ailment
from guardian.enums import Severity

_MOST_CHARS = 8000  # of a line; those of workers are shorter
#: Control characters but the tab, and how they are shown.
_SHOWN = {code: f"\\x{code:02x}" for code in (*range(9), *range(10, 32), *range(127, 160))}


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line of the log."""

    stamp_us: int  #: microseconds since 1970
    node: str
    text: str
    level: str = "INFO"
    context: str = ""  #: "STATE.method", or "" for a line of the node itself

    def __str__(self) -> str:
        seconds, micros = divmod(self.stamp_us, 1_000_000)
        stamp = time.strftime("%Y-%m-%d_%H:%M:%S", time.gmtime(seconds))
        where = f" [{self.context}]" if self.context else ""
        level = "" if self.level == "INFO" else f"{self.level}: "
        return f"{stamp}.{micros:06d}Z {self.node}{where} {level}{self.text}"


def lines_of(
    node: str, text: str, *, level: str = "INFO", context: str = "", stamp_us: int | None = None
) -> Iterator[LogLine]:
    """A line for each line of `text`, stamped now unless `stamp_us` is given."""
    stamp = time.time_ns() // 1000 if stamp_us is None else stamp_us
    for part in text.removesuffix("\n").split("\n"):
        shown = part if len(part) <= _MOST_CHARS else f"{part[:_MOST_CHARS]} ... [cut]"
        shown = shown if shown.isprintable() else shown.translate(_SHOWN)
        yield LogLine(stamp_us=stamp, node=node, text=shown, level=level, context=context)


class LogSink:
    """Where all lines of a host go: a file by its path, or an open descriptor such as 1.

    Parameters
    ----------
    target : a path (appended to; made if missing), or a descriptor (never closed here).
    most_lines : lines that may wait; more are dropped and counted.
    retry_s : after a fault the target is tried again in this time.
    """

    def __init__(self, target: int | str | os.PathLike[str], *, most_lines: int = 10_000, retry_s: float = 1.0) -> None:
        self._path = None if isinstance(target, int) else Path(target)
        self._fd = target if isinstance(target, int) else -1
        self._name = f"descriptor {target}" if self._path is None else str(self._path)
        self._most_lines = most_lines
        self._retry_s = retry_s
        self._queue: deque[LogLine] = deque()  # any thread appends, only ours takes
        self._lock = threading.Lock()  # for _dropped and the length of _queue; never held over I/O
        self._dropped = 0
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
        """Add a line, or one for each line of `text`. Any thread may call this; it returns at once, always."""
        for line in lines_of(node, text, level=level, context=context, stamp_us=stamp_us):
            self.put(line)

    def put(self, line: LogLine) -> None:
        """Add a finished line."""
        with self._lock:
            if len(self._queue) >= self._most_lines or self._closing.is_set():
                self._dropped += 1
                return
            self._queue.append(line)
        self._wake.set()

    def trouble(self) -> str | None:
        """What is wrong with the log at present, in a sentence; None if nothing is."""
        fault, dropped = self._fault, self._dropped
        if not fault and not dropped:
            return None
        return f"log to {self._name}: {fault or 'too slow'}; {len(self._queue)} lines wait, {dropped} dropped"

    def ailment(self) -> Ailment | None:
        """The same for whoever watches the host."""
        text = self.trouble()
        if text is None:
            return None
        advice = "The nodes go on, and the journal has what they do: make room, or see who reads it"
        return Ailment(what="log", severity=Severity.MINOR, text=f"{text}. {advice}")

    def close(self, timeout_s: float = 2.0) -> int:
        """Write what waits, for at most `timeout_s`; returns how many lines were lost in the end (0: none)."""
        self._deadline = time.monotonic() + timeout_s
        self._closing.set()
        self._wake.set()
        self._thread.join(timeout_s + 0.5)
        return len(self._queue) + self._unsent.count(b"\n") + self._dropped

    def _work(self) -> None:
        while not self._expired():
            self._unsent = self._unsent or self._batch()
            if self._unsent:
                self._send()
            elif self._closing.is_set():
                break
            else:
                self._wake.wait(1.0 if self._dropped else None)
                self._wake.clear()
        self._let_go()

    def _batch(self) -> bytes:
        """The next lines, together at most PIPE_BUF bytes unless one line is longer, or nothing.

        Small, because formatting holds the interpreter lock that the loop wants, and because a pipe that is ready
        takes so much without blocking.
        """
        text = self._news()
        while self._queue:
            more = str(self._queue[0]).encode("utf-8", "backslashreplace") + b"\n"
            if text and len(text) + len(more) > select.PIPE_BUF:
                break
            text += more
            self._queue.popleft()
        return text

    def _news(self) -> bytes:
        """What to tell about lines that were dropped, at most once a second."""
        now = time.monotonic()
        if not self._dropped or (now - self._told_at < 1.0 and not self._closing.is_set()):
            return b""
        with self._lock:
            dropped, self._dropped = self._dropped, 0
        self._told_at = now
        return self._own(f"{dropped} lines dropped: the log could not be written as fast as they came")

    def _own(self, text: str) -> bytes:
        return f"{LogLine(stamp_us=time.time_ns() // 1000, node='HOST', text=text, level='WARNING')}\n".encode()

    def _send(self) -> None:
        """Write the lines in hand, or a part of them, or note why not."""
        try:
            if self._fd < 0:
                self._fd = self._open()
            if _ready(self._fd):
                self._unsent = self._unsent[os.write(self._fd, self._unsent[: select.PIPE_BUF]) :]
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
        return os.open(self._path, flags, 0o644)

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
