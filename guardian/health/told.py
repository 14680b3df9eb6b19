"""Who wants to know what becomes of watched threads: the log, and callbacks of the program.

Both may wait for somebody: a log goes to a pipe that nobody reads, a callback asks a server. So they are told by a
thread of their own, which is there while there is something to tell. Who looks never waits for anybody.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from guardian.core.threads import Watched

#: News that wait to be told; of more the oldest are lost.
MOST_WAITING = 1000
_log = logging.getLogger("guardian.health")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One piece of news.

    Parameters
    ----------
    thread : its ``name``, ``period_s`` and ``recovery``.
    what : "LATE", "ALIVE" (again), "RENEWED" (made anew), "ENDED" or "FAILED" (an exception has ended it).
    sentence : for people.
    """

    thread: Watched
    what: str
    sentence: str


Callback = Callable[[Told], object]
_callbacks: list[Callback] = []


def on_change(callback: Callback) -> Callback:
    """Have `callback` called with a :class:`Told` when a watched thread is late, alive again, made anew, or has ended.

    It is called in a thread of its own, one piece of news after the other. What it raises is logged. In a worker it
    hears of the threads that are made anew first, and of those that have ended; of the others the host tells.
    """
    _callbacks.append(callback)
    return callback


class _Teller:
    """Tells what waits, in order."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[tuple[int, Told]] = deque(maxlen=MOST_WAITING)
        self._tells = False

    def tell(self, news: Told, level: int) -> None:
        with self._lock:
            self._waiting.append((level, news))
            if self._tells:
                return
            self._tells = True
        try:
            threading.Thread(target=self._run, name="guardian-health-news", daemon=True).start()
        except RuntimeError:  # no thread can be made any more: it is told with the next one, if ever
            self._tells = False

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._tells = False
                    return
                level, news = self._waiting.popleft()
            _log.log(level, "%s", news.sentence)
            call_all(news)


_teller = _Teller()


def tell(news: Told, level: int = logging.WARNING) -> None:
    """Into the log, and to all callbacks. Waits for neither."""
    _teller.tell(news, level)


def call_all(news: Told) -> None:
    """To all callbacks, now."""
    for callback in tuple(_callbacks):
        try:
            callback(news)
        except Exception:
            _log.exception("a callback of on_change failed")


def _be_a_child() -> None:
    global _teller
    _teller = _Teller()


os.register_at_fork(after_in_child=_be_a_child)
