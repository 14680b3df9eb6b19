"""SIGHUP in a host, see :mod:`guardian.cli.terminal` for what it means."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable

from guardian.cli.terminal import SETTLE_S, Terminal


class HangUp:
    """Takes SIGHUP: the end where a terminal is gone, and else, with a site file, a wish to have it read anew.

    Attributes
    ----------
    follow : called for such a wish. Until it is set, wishes are remembered.
    """

    def __init__(self, stop: asyncio.Event, *, is_read_anew: bool) -> None:
        self._stop = stop
        self._terminal = Terminal()
        self._is_read_anew = is_read_anew
        self._follow: Callable[[], None] | None = None
        self._wished = False
        self._looks: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        if is_read_anew or signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            # Not the loop's own: to take that away is to be ended by SIGHUP for a moment, however shortly.
            signal.signal(signal.SIGHUP, self._signalled)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})  # the keeper has left it blocked until now

    @property
    def follow(self) -> Callable[[], None] | None:
        return self._follow

    @follow.setter
    def follow(self, follow: Callable[[], None]) -> None:
        self._follow = follow
        if self._wished:
            follow()

    def close(self) -> None:
        """The host ends. Nothing is looked at any more, and a signal that comes late does not change how it ends."""
        if self._looks is not None:
            self._looks.cancel()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def _signalled(self, *_: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._taken)

    def _taken(self) -> None:
        if not self._is_read_anew:
            self._stop.set()
        elif self._looks is None:
            self._looks = self._loop.call_later(SETTLE_S if self._terminal.kept else 0.0, self._look)

    def _look(self) -> None:
        self._looks = None
        if self._terminal.has_hung_up():
            self._stop.set()
        elif self._follow is not None:
            self._follow()
        else:
            self._wished = True
