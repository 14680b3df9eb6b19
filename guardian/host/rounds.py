"""What a host does once a second for each of those it looks after: a fault of ours with one of them harms no other.

Without this an error in the round of one node would end the rounds of all, silently: no heartbeat, no slow call, no
trouble would be told any more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from guardian.core.ailments import Ailment
from guardian.enums import Severity

_log = logging.getLogger(__name__)


class Rounds:
    """Makes them, and remembers which went wrong the last time."""

    def __init__(self) -> None:
        self._faults: dict[str, Ailment] = {}

    def make(self, whose: str, round_: Callable[[], None]) -> None:
        """Call it. What it raises is in the log with its traceback once, until it goes well again."""
        try:
            round_()
        except Exception as error:
            if whose not in self._faults:
                _log.exception("the round of %s went wrong", whose)
            self._faults[whose] = Ailment(
                what=f"round of {whose}",
                severity=Severity.MAJOR,
                text=f"what this host does for {whose} once a second went wrong ({type(error).__name__}: {error}); all "
                "else goes on. Please report it, with the traceback that is in the log",
            )
        else:
            self._faults.pop(whose, None)

    def keep(self, names: Iterable[str]) -> None:
        """Only these are looked after from now on."""
        self._faults = {name: self._faults[name] for name in names if name in self._faults}

    def ailments(self) -> Iterable[Ailment]:
        """What went wrong."""
        return self._faults.values()
