"""Every write that reaches a host, allowed and refused, in its journal: who wrote what, and what stood there before.

What is taken is kept, each write by itself. What is refused can come as fast as a client can send, from one that is
broken or means it badly, and must not fill the disk, neither in the journal nor in the log. So of each client, person
and PV (all people of a console are one client, which says for whom it writes) the first refusal within a second is kept
at once, and a few that differ from it; the rest is counted, and becomes one record with ``count``, ``since`` and the
words of the last. It is told when nothing has come for a second; of who goes on, after 1, 2, 4 seconds, and then ever
more rarely, up to once in :data:`LONGEST_S`. The sum of all is exact.

Memory: some kB for each of these that was refused within the last second, of :data:`MOST` of an address at most. What
comes from more than so many is counted together, under the last of them (``others``: true).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from guardian.core.who import Who, one_word
from guardian.host.journal import Journal
from guardian.host.logsink import LogSink

#: Refusals within so long are counted together.
WINDOW_S = 1.0
#: Of who goes on and on, within so long.
LONGEST_S = 60.0
#: Of a client, person and PV, within that time, so many are kept that differ in the value or the reason.
DIFFERENT = 5
#: Clients, people and PVs that are told apart, of one address and of all.
MOST = 200
MOST_IN_ALL = 2000

_Key = tuple[str, str, Who, str] | str  # node, row, client, person; or an address, with too many to be told apart


@dataclass(slots=True)
class _Window:
    """The refusals of one client, person and PV: what was kept of them, and those that were counted."""

    length: float
    until: float
    last_at: float
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
        """Keep a write that was taken. Its client is about to be told so."""
        self._journal.append(record, soon=True)

    def refused(self, record: dict[str, Any], who: Who) -> bool:
        """Keep a write that was refused, or count it. True if it was kept: then it is worth a line in the log, too."""
        key: _Key = (record["node"], record["row"], who, record.get("person", ""))
        if key not in self._windows and self._too_many(who.address):
            key, record = who.address, record | {"others": True}
        stamp = record["stamp"]
        window = self._windows.setdefault(key, _Window(WINDOW_S, stamp + WINDOW_S, stamp))
        window.last_at = stamp
        says = _says(record)
        if not isinstance(key, str) and says not in window.kept and len(window.kept) < DIFFERENT:
            window.kept.add(says)
            self._journal.append(record)
            return True
        window.since = window.since or stamp
        window.count += 1
        window.last = record
        return False

    def _too_many(self, address: str) -> bool:
        if address in self._windows or len(self._windows) >= MOST_IN_ALL:
            return True
        return sum(not isinstance(key, str) and key[2].address == address for key in self._windows) >= MOST

    def tick(self, now: float) -> None:
        """Once a second: keep what was counted. `now`: epoch seconds, as in the records."""
        for key, window in list(self._windows.items()):
            goes_on = window.last_at <= now < window.last_at + WINDOW_S  # nor has the clock been set back
            if goes_on and now < window.until:
                continue
            del self._windows[key]
            if window.count:
                self._tell(window)
                if goes_on:
                    length = min(2 * window.length, LONGEST_S)
                    self._windows[key] = _Window(length, now + length, window.last_at, {_says(window.last)})

    def close(self) -> None:
        """Keep what was counted until now."""
        self.tick(float("inf"))

    def _tell(self, window: _Window) -> None:
        last = window.last
        self._journal.append(last | {"count": window.count, "since": window.since})
        of = f"of too many clients and PVs at {last['address']}" if last.get("others") else f"of {last['row']}"
        person = f"{one_word(last['person'])} at " if last.get("person") else ""
        by = f"{person}{last['user']}@{last['host']} ({last['address']})"
        text = f"{window.count} more writes {of} were refused; the last one, by {by}: {last.get('why', '')}"
        self._sink.line(last["node"], text.replace("\n", "\\n"), level="WARNING")


def _says(record: dict[str, Any]) -> tuple[Any, str]:
    return record["new"], record.get("why", "")
