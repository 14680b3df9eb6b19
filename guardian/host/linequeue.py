"""The lines that wait to be written: few enough, and none of a quiet node lost to a loud one.

Once half of the room is taken, a node may add only up to its share of the other half. So whoever floods fills one half
at most, and loses his own lines from then on. What is refused is counted by node.
"""

from __future__ import annotations

import threading
from collections import Counter, deque

from guardian.host.logline import LogLine


class LineQueue:
    """Any thread adds, one takes. The lock is never held over I/O."""

    def __init__(self, most_lines: int) -> None:
        self._most = most_lines
        self._lines: deque[LogLine] = deque()
        self._waiting: Counter[str] = Counter()  # lines by node; nodes that have none stay in it, so it is who speaks
        self._dropped: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.closed = False  #: nothing more is taken

    def __len__(self) -> int:
        return len(self._lines)

    @property
    def dropped(self) -> int:
        """Lines that were refused and have not been told yet."""
        return self._dropped.total()

    def put(self, line: LogLine) -> int:
        """Add a line; how many wait then. 0: it is dropped."""
        with self._lock:
            waiting, mine = len(self._lines), self._waiting[line.node]
            others = len(self._waiting) - 1
            half = self._most // 2
            loud = others and waiting >= half and mine >= half // (others + 1)
            if loud or waiting >= self._most or self.closed:
                self._dropped[line.node] += 1
                return 0
            self._lines.append(line)
            self._waiting[line.node] += 1
            return waiting + 1

    def first(self) -> LogLine | None:
        """The oldest; it stays."""
        return self._lines[0] if self._lines else None

    def take(self) -> LogLine:
        """The oldest, taken out.

        Raises
        ------
        IndexError
            There is none.
        """
        with self._lock:
            line = self._lines.popleft()
            self._waiting[line.node] -= 1
            return line

    def take_dropped(self) -> Counter[str]:
        """How many were refused since the last call, by node."""
        with self._lock:
            dropped, self._dropped = self._dropped, Counter()
            return dropped
