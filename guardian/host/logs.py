"""The reader of one worker's log pipe: all it says, within a budget, whatever it says and however fast.

At most so many reads and bytes in a turn of 50 ms, and so many lines a second with a burst. What is over the budget of
lines is counted by its newlines and thrown away as a whole chunk, which costs next to nothing; what is over the budget
of the turn stays in the pipe, fills it, and is dropped and counted by the worker. Once a second one line tells how many
were dropped. A worker that prints as fast as it can costs its host one to three percent of a core, a quiet one none.

Frames (``guardian.worker.logs``) carry their own time, level and context; everything else is a plain line, stamped on
arrival: it may lack its newline, be of any length, and hold any bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import select
from collections.abc import Callable

from guardian.host.logline import LogLine, lines_of
from guardian.host.logrules import LogBudget
from guardian.host.logsink import LogSink
from guardian.worker.logs import MARK, MAX_CHARS, parse_frame

__all__ = ["LogBudget", "LogLine", "LogReader", "LogSink", "open_pipe"]

_PIPE_BYTES = 256 * 1024
_MAX_LINE = 2 * select.PIPE_BUF  # bytes kept while waiting for a newline; more than any frame


def open_pipe() -> tuple[int, int]:
    """A log pipe as (read end, write end), both close-on-exec, as large as the system lets it be up to 256 KiB."""
    read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
    with contextlib.suppress(OSError):  # over the user's share of pipe memory: the usual 64 KiB do
        fcntl.fcntl(read_fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return read_fd, write_fd


class LogReader:
    """Reads the log pipe of one worker on the running event loop.

    Parameters
    ----------
    fd : read end of the pipe; closed by :meth:`close` or at its end.
    node : the name shown.
    sink : takes the lines.
    budget : what the worker may say.
    lost : returns how many lines the worker itself has dropped so far (the beat page knows).
    partial_after_s : text without a newline is shown after this time.
    on_eof : called when no writer is left and everything was read; not by :meth:`close`.
    """

    def __init__(
        self,
        fd: int,
        node: str,
        sink: LogSink,
        *,
        budget: LogBudget | None = None,
        lost: Callable[[], int] | None = None,
        partial_after_s: float = 1.0,
        on_eof: Callable[[], None] | None = None,
    ) -> None:
        self._fd = fd
        self._node = node
        self._sink = sink
        self._budget = budget or LogBudget()
        self._lost = lost or (lambda: 0)
        self._lost_told = 0
        self._partial_after_s = partial_after_s
        self._on_eof = on_eof
        self._loop = asyncio.get_running_loop()
        self._tail = b""  # the line whose newline has not come yet
        self._skipping = False  # inside a line too long to keep
        self._tokens = self._budget.burst_lines
        self._tokens_at = self._turn_at = self._loop.time()
        self._turn_bytes = self._turn_reads = 0
        self._dropped = 0
        self._last_words = b""  # the end of what was dropped since the last line shown
        self._timers: dict[str, asyncio.TimerHandle] = {}
        os.set_blocking(fd, False)
        self._loop.add_reader(fd, self._readable)

    @property
    def closed(self) -> bool:
        return self._fd < 0

    def close(self) -> None:
        """Take what is in the pipe now (the last words of a worker), then let go of it. May be called twice."""
        if self.closed:
            return
        for _ in range(_PIPE_BYTES // self._budget.turn_bytes + 1):
            if not self._read(self._budget.turn_bytes):
                break
        self._end()

    def _end(self) -> None:
        self._loop.remove_reader(self._fd)
        os.close(self._fd)
        self._fd = -1
        for timer in self._timers.values():
            timer.cancel()
        if self._last_words:  # what a worker said before it died is worth more than the budget
            lines = self._last_words.split(b"\n")
            self._dropped -= len(lines)
            for line in lines:
                self._show(line)
        self._show_tail()
        self._tell()

    def _readable(self) -> None:
        now = self._loop.time()
        if now - self._turn_at >= self._budget.turn_s:
            self._turn_at, self._turn_bytes, self._turn_reads = now, 0, 0
        size = self._read(self._budget.turn_bytes - self._turn_bytes)
        if size is None:
            self._end()
            if self._on_eof is not None:
                self._on_eof()
            return
        self._turn_bytes += size
        self._turn_reads += 1
        if self._turn_bytes >= self._budget.turn_bytes or self._turn_reads >= self._budget.turn_reads:
            self._loop.remove_reader(self._fd)
            self._timers["turn"] = self._loop.call_at(self._turn_at + self._budget.turn_s, self._next_turn)
            self._later("tell", 1.0, self._tell)  # the worker may be dropping lines now

    def _next_turn(self) -> None:
        self._loop.add_reader(self._fd, self._readable)

    def _read(self, most: int) -> int | None:
        """Read once; the number of bytes taken, 0 if there are none now, None at the end of the pipe."""
        try:
            data = os.read(self._fd, most)
        except BlockingIOError:
            return 0
        if not data:
            return None
        self._take(data)
        return len(data)

    def _take(self, data: bytes) -> None:
        if self._skipping:
            data = self._skip(data)
            if not data:
                return
        now = self._loop.time()
        self._tokens = min(self._budget.burst_lines, self._tokens + (now - self._tokens_at) * self._budget.lines_per_s)
        self._tokens_at = now
        whole, newline, self._tail = (self._tail + data).rpartition(b"\n")
        if newline:
            allowed = int(self._tokens)
            lines = whole.split(b"\n", allowed)
            rest = lines.pop() if len(lines) > allowed else None
            self._tokens -= len(lines)
            for line in lines:
                self._show(line)
            if rest is not None:
                self._drop(rest)
        if len(self._tail) > _MAX_LINE:
            self._cut_tail()
        if self._tail:
            self._later("tail", self._partial_after_s, self._tail_waited)

    def _cut_tail(self) -> None:
        """A line that does not end: show its beginning and pass over the rest, but not over a frame behind it."""
        frame = self._tail.find(MARK, max(1, len(self._tail) - select.PIPE_BUF))  # a whole one is not in a tail
        rest = self._tail[frame:] if frame > 0 else b""
        self._tail = self._tail.removesuffix(rest)
        self._show_tail()
        self._tail = rest
        self._skipping = not rest

    def _skip(self, data: bytes) -> bytes:
        """What comes after the present line: after a newline, or from the beginning of a frame on."""
        newline, frame = data.find(b"\n"), data.find(MARK)
        if newline < 0 and frame < 0:
            return b""
        self._skipping = False
        return data[frame:] if frame >= 0 and (newline < 0 or frame < newline) else data[newline + 1 :]

    def _tail_waited(self) -> None:
        del self._timers["tail"]
        before = self._tail
        if self._read(self._budget.turn_bytes) and self._tail is not before:
            return  # the loop was late, and the rest was there
        self._show_tail()

    def _show_tail(self) -> None:
        tail, self._tail = self._tail, b""
        if not tail:
            return
        if self._tokens >= 1:
            self._tokens -= 1
            self._show(tail)
        else:
            self._drop(tail)

    def _show(self, line: bytes) -> None:
        self._last_words = b""
        frame = parse_frame(line)
        if frame is None or frame.at > 0:
            raw = line if frame is None else line[: frame.at]
            text = raw[: 4 * MAX_CHARS].removesuffix(b"\r").decode("utf-8", "backslashreplace")
            self._say(text if len(text) <= MAX_CHARS else f"{text[:MAX_CHARS]} ... [cut]")
        if frame is not None:
            self._sink.line(self._node, frame.text, level=frame.level, context=frame.context, stamp_us=frame.stamp_us)

    def _drop(self, lines: bytes) -> None:
        self._dropped += lines.count(b"\n") + 1
        end = self._last_words + b"\n" + lines[-select.PIPE_BUF :] if self._last_words else lines
        if len(end) > select.PIPE_BUF:
            end = end[-select.PIPE_BUF :].partition(b"\n")[2]  # whole lines only
        self._last_words = end
        self._later("tell", 1.0, self._tell)

    def _tell(self) -> None:
        self._timers.pop("tell", None)
        lost = self._lost()
        count = self._dropped + max(0, lost - self._lost_told)
        self._dropped, self._lost_told = 0, max(lost, self._lost_told)
        if count:
            self._say(f"{count} lines dropped (flood)", level="WARNING")

    def _say(self, text: str, level: str = "INFO") -> None:
        """What has no level of its own is written whatever LOGLEVEL says: it may be the last word of a process."""
        for line in lines_of(self._node, text, level=level):
            self._sink.put(line)

    def _later(self, name: str, delay_s: float, call: Callable[[], None]) -> None:
        if name not in self._timers and not self.closed:
            self._timers[name] = self._loop.call_later(delay_s, call)
