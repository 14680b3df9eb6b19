"""What a host does once a second for each of those it looks after: a fault of ours with one of them harms no other.

Without this an error in the round of one node would end the rounds of all, silently: no heartbeat, no slow call, no
trouble would be told any more.

Nor does any of them wait for the rounds of all: between two of them whoever else wants the loop gets it. But where the
others have much to do they keep it for long each time, and hundreds of such turns would be a round that lasts for half
a minute: a host that is busy would look like one that hangs. So the rounds get a share of the loop, whatever it does.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping

from guardian.core.ailments import Ailment
from guardian.enums import Severity

_log = logging.getLogger(__name__)

#: The loop is lent to rounds for so long at once, in seconds of the processor; that of one node takes a tenth of it.
SLICE_S = 0.001
#: After the others have had it for long, for this part of that time.
SHARE = 1 / 10


class Rounds:
    """Makes them, and remembers which went wrong the last time."""

    def __init__(self) -> None:
        self._faults: dict[str, Ailment] = {}

    async def make(self, rounds: Mapping[str, Callable[[], None]]) -> None:
        """Call each of them, by whose they are. What is not named any more is forgotten."""
        until = time.thread_time() + SLICE_S
        for whose, round_ in rounds.items():
            self._make(whose, round_)
            if (lent_at := time.thread_time()) >= until:
                await asyncio.sleep(0)
                now = time.thread_time()
                until = now + max(SLICE_S, SHARE * (now - lent_at))
        self._faults = {whose: fault for whose, fault in self._faults.items() if whose in rounds}

    def _make(self, whose: str, round_: Callable[[], None]) -> None:
        """What it raises is in the log with its traceback once, until it goes well again."""
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

    def ailments(self) -> Iterable[Ailment]:
        """What went wrong."""
        return self._faults.values()
