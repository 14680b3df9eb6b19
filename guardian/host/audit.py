"""Every write that reaches a host, allowed and refused, in its journal: who wrote what, and what stood there before.

What is taken is kept, each write by itself. What is refused can come as fast as a client can send, from one that is
broken or means it badly, and must not fill the disk, neither in the journal nor in the log. So of each client and PV
the first refusal within a second is kept at once, and a few that differ from it; the rest is counted, and becomes one
record with ``count``, ``since`` and the words of the last. Nothing is told late, and the sum of all is exact.

Memory: some kB a client and PV that were refused within the last second, of :data:`MOST` at most. What comes from more
than so many is counted together, under the last of them (``others``: true).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from guardian.core.who import Who
from guardian.host.journal import Journal
from guardian.host.logsink import LogSink

#: Refusals within so long are counted together.
WINDOW_S = 1.0
#: Of a client and PV, within that time, so many are kept that differ in the value or the reason.
DIFFERENT = 5
#: Clients and PVs that are told apart.
MOST = 200

_Key = tuple[str, str, Who] | None  # node, row, client; None: too many to be told apart


@dataclass(slots=True)
class _Window:
    """The refusals of one client and PV: what was kept of them, and those that were counted."""

    until: float
    kept: set[tuple[Any, str]] = field(default_factory=set)
    count: int = 0
    since: float = 0.0
    last: dict[str, Any] = field(default_factory=dict)


class Audit:
    """Keeps the records of :mod:`guardian.core.audit`."""

    def __init__(self, journal: Journal, sink: LogSink) -> None:
        self._journal = journal
        self._sink = sink
        self._windows: dict[_Key, _Window] = {}

    def taken(self, record: dict[str, Any]) -> None:
        """Keep a write that was taken."""
        self._journal.append(record)

    def refused(self, record: dict[str, Any], who: Who) -> bool:
        """Keep a write that was refused, or count it. True if it was kept: then it is worth a line in the log, too."""
        key: _Key = (record["node"], record["row"], who)
        if key not in self._windows and len(self._windows) >= MOST:
            key, record = None, record | {"others": True}
        window = self._windows.setdefault(key, _Window(record["stamp"] + WINDOW_S))
        says = _says(record)
        if key is not None and says not in window.kept and len(window.kept) < DIFFERENT:
            window.kept.add(says)
            self._journal.append(record)
            return True
        window.since = window.since or record["stamp"]
        window.count += 1
        window.last = record
        return False

    def tick(self, now: float) -> None:
        """Once a second: keep what was counted. `now`: epoch seconds, as in the records."""
        for key, window in list(self._windows.items()):
            if window.until - WINDOW_S <= now < window.until:
                continue  # its time is not over, nor has the clock been set back
            del self._windows[key]
            if window.count:
                self._tell(window)
                if key is not None:
                    self._windows[key] = _Window(now + WINDOW_S, {_says(window.last)})  # who goes on is counted on

    def close(self) -> None:
        """Keep what was counted until now."""
        self.tick(float("inf"))

    def _tell(self, window: _Window) -> None:
        last = window.last
        self._journal.append(last | {"count": window.count, "since": window.since})
        of = "of clients too many to be told apart" if last.get("others") else f"of {last['row']}"
        by = f"{last['user']}@{last['host']} ({last['address']})"
        text = f"{window.count} more writes {of} were refused; the last one, by {by}: {last.get('why', '')}"
        self._sink.line(last["node"], text.replace("\n", "\\n"), level="WARNING")


def _says(record: dict[str, Any]) -> tuple[Any, str]:
    return record["new"], record.get("why", "")
