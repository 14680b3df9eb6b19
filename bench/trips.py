"""Round trips of one client in this process: from a put on one channel until the monitor of one has the value."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping

#: Seconds between two trips: none, and as events come in real life.
BACK_TO_BACK, PACED = (0.0, 0.0), (0.020, 0.060)
TURN = 50


class Trip:
    """Puts on one PV, and waits for the value on the monitor of another, or of the same.

    Parameters
    ----------
    put, seen : their names. The environment says whom libca asks.
    values : what is put, one after the other; each must differ from the one before.
    pause_s : before each trip, at random between these two.
    """

    def __init__(self, put: str, seen: str, values: Iterator[object], pause_s: tuple[float, float] = PACED) -> None:
        from epics import PV

        self._arrived = threading.Event()
        self._wanted: object = None
        self._values, self._pause_s = values, pause_s
        self._put, self._seen = PV(put), PV(seen, auto_monitor=True, callback=self._event)
        if not (self._put.wait_for_connection(20) and self._seen.wait_for_connection(20)):
            raise SystemExit(f"{put}, {seen}: not connected within 20 s")

    def _event(self, value: object = None, **_: object) -> None:
        if value == self._wanted:
            self._arrived.set()

    def __call__(self) -> float:
        """Rest, and go once; milliseconds."""
        if self._pause_s[1]:
            time.sleep(random.uniform(*self._pause_s))
        return self.once(next(self._values))

    def once(self, value: object) -> float:
        """Milliseconds."""
        self._wanted = value
        self._arrived.clear()
        began = time.perf_counter()
        self._put.put(value)
        if not self._arrived.wait(20):
            raise SystemExit(f"{self._put.pvname} = {value}: {self._seen.pvname} has not followed within 20 s")
        return (time.perf_counter() - began) * 1e3


def in_turns(count: int, trips: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """So many samples of each, a turn of some at a time, so that all meet the same machine."""
    took: dict[str, list[float]] = {name: [] for name in trips}
    for turn in range(0, count, TURN):
        for name, trip in trips.items():
            for number in range(min(TURN, count - turn) + 2):
                sample = trip()
                if number > 1:  # the first ones of a turn meet cold caches
                    took[name].append(sample)
    return took
