"""What is wrong with a host at present: gathered once a second, told once in the log, shown as OK and WHY.

A trouble of the host is no trouble of its nodes: they go on. So somebody must be told, once when it begins and once
when it is over, and whoever looks at WHY meanwhile must read what was found, since when, and what to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from guardian.core.ailments import WANT_S, Ailment
from guardian.core.when import span, utc
from guardian.enums import Severity

#: Gives what is wrong in its realm.
Source = Callable[[], Iterable[Ailment]]


@dataclass(slots=True)
class _Open:
    """One that lasts: as it was told, and since when (monotonic)."""

    told: Ailment
    since: float
    began: float


class Troubles:
    """Those of one host.

    Parameters
    ----------
    tell : takes a sentence and a level for the log.
    """

    def __init__(self, tell: Callable[[str, str], None]) -> None:
        self._tell = tell
        self._sources: list[Source] = []
        self._open: dict[str, _Open] = {}
        self._wanted: tuple[str, float] = ("", float("-inf"))
        self.now: tuple[Ailment, ...] = ()  #: worst first

    def ask(self, source: Source) -> None:
        """From now on ask this one too."""
        self._sources.append(source)

    def wanted(self, what: str) -> None:
        """Something has just failed for want of descriptors: "a client was turned away"."""
        self._wanted = (what, time.monotonic())

    @property
    def want(self) -> str:
        """What has failed lately for want of descriptors; "" if nothing has."""
        what, at = self._wanted
        return what if time.monotonic() - at < WANT_S else ""

    def look(self, now_epoch: float) -> None:
        """Ask all, and tell what is new and what is over."""
        mono = time.monotonic()
        found = {one.what: one for source in self._sources for one in source()}
        for what in [what for what in self._open if what not in found]:
            over = self._open.pop(what)
            self._tell(f"{what}: well again, after {span(mono - over.since)}", "INFO")
        for what, one in found.items():
            known = self._open.get(what)
            if known is None:
                began = now_epoch if one.since is None else one.since
                known = self._open[what] = _Open(one, mono, began)
            elif not _is_news(one, known.told):
                continue
            known.told = one
            self._tell(one.text, "ERROR" if one.severity >= Severity.MAJOR else "WARNING")
        shown = [one if one.dated else _dated(one, self._open[one.what].began) for one in found.values()]
        self.now = tuple(sorted(shown, key=lambda one: -one.severity))


def _is_news(one: Ailment, told: Ailment) -> bool:
    """Worse than it was told, or something else. Numbers in a sentence change, and are no news."""
    return one.severity > told.severity or (one.dated and one.text != told.text) or one.since != told.since


def _dated(one: Ailment, began: float) -> Ailment:
    return replace(one, text=f"{one.text} (since {utc(began)})")
