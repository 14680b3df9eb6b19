"""Who wants to know what becomes of watched threads: the log, and callbacks of the program."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from guardian.core.threads import Watched

_log = logging.getLogger("guardian.health")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One piece of news.

    Parameters
    ----------
    thread : name, period and policy. what : LATE, ALIVE (again), RENEWED, ENDED or FAILED. sentence : for people.
    """

    thread: Watched
    what: str
    sentence: str


Callback = Callable[[Told], object]
_callbacks: list[Callback] = []


def on_change(callback: Callback) -> Callback:
    """Have `callback` called with a :class:`Told` when a watched thread is late, alive again, made anew, or has ended.

    It is called by the thread that looks: it must not wait for anything. What it raises is logged. Of what its host
    looks after a worker is not told here.
    """
    _callbacks.append(callback)
    return callback


def tell(news: Told, level: int = logging.WARNING) -> None:
    """Into the log, and to all callbacks."""
    _log.log(level, "%s", news.sentence)
    call_all(news)


def call_all(news: Told) -> None:
    """To all callbacks."""
    for callback in tuple(_callbacks):
        try:
            callback(news)
        except Exception:
            _log.exception("a callback of on_change failed")
