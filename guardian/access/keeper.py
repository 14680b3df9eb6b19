"""The thread that looks after the channels of user code which are not there.

It has them searched for, faster than libca does by itself, and tells which of those that the present code needs are
lost. User code cannot do that: it may use a channel once a minute, or hang. While all channels are there it sleeps.

A channel that was there will be there again, and is worth a search of its own. One that never was there may never be:
libca searches for it ever more rarely, and all of these together, in few packets, are searched for anew once a minute.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from guardian.access.bells import Bell
from guardian.access.used import UsedChannel

#: The channels of an IOC are lost one after the other, and told together.
GATHER_S = 0.02
#: How often it looks whether a lost channel is to be searched for.
TICK_S = 0.5
#: How often those that never were there are searched for as if they were new.
STRANGERS_S = 60.0


class Keeper:
    """Looks after `channels`.

    Parameters
    ----------
    channels : gives those there are now.
    tell : called with the full names of those that are needed and lost, each time they are others; in this thread.
    """

    def __init__(self, channels: Callable[[], Iterable[UsedChannel]], tell: Callable[[tuple[str, ...]], None]) -> None:
        self._channels = channels
        self._tell = tell
        self._awake = Bell()
        self._ended = False
        self._strangers_at = time.monotonic() + STRANGERS_S
        self._at_work = threading.Lock()

    def ring(self) -> None:
        """A channel has come, or gone, or is missed. From any thread."""
        self._awake.ring()

    def end(self) -> None:
        """There is nothing more to look after."""
        self._ended = True
        self._awake.ring()

    def work(self) -> None:
        """Until :meth:`end`; at once if another thread is at it."""
        if not self._at_work.acquire(blocking=False):
            return
        told: tuple[str, ...] = ()
        wait_s: float | None = None
        while not self._ended:
            self._awake.wait(wait_s)
            time.sleep(GATHER_S)
            away = [one for one in self._channels() if one.waited and not one.connected]
            lost = tuple(dict.fromkeys(channel.name for channel in away if channel.needed))
            if lost != told:
                told = lost
                self._tell(lost)
            wait_s = self._search(away)

    def _search(self, away: list[UsedChannel]) -> float | None:
        """Have these searched for; seconds until that is worth a look again."""
        now = time.monotonic()
        known, strangers = [one for one in away if one.circuit], [one for one in away if not one.circuit]
        for channel in known:
            channel.search_again()
        if not strangers:
            self._strangers_at = now + STRANGERS_S
        elif now >= self._strangers_at:
            self._strangers_at = now + STRANGERS_S
            for channel in strangers:
                channel.search_now()
        return TICK_S if known else self._strangers_at - now if strangers else None
