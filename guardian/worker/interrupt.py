"""Interrupting user code: a signal raises :class:`Interrupted` in the main thread, and nowhere but in user code.

The thread that reads commands calls :meth:`Interrupter.shoot`; the signal wakes sleeps and waits, and the handler
raises only if the call that was aimed at is still the one in progress and no shielded piece of ours is at work. A
method that swallows the exception (a bare ``except:`` in a loop) is shot at again until its call is over. Code stuck in
C never sees the signal; the host kills it.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from guardian.errors import Interrupted

#: User code may use the plain signals; a real-time one is free.
SIGNAL = signal.SIGRTMIN + 3
#: Seconds between two shots at a method that goes on.
AGAIN_S = 0.25


class Interrupter:
    """Runs calls that can be interrupted. Made in the main thread, which is the one that is interrupted."""

    def __init__(self) -> None:
        self._main = threading.main_thread().ident
        self._call = 0
        self._running = 0
        self._aimed = 0
        self._shields = 0
        signal.signal(SIGNAL, self._handle)

    def call(self, method: Callable[[], Any]) -> Any:
        """What `method` returns.

        Raises
        ------
        Interrupted
            The call was shot at. Whatever else `method` raises goes through.
        """
        try:
            return self._armed(method)
        finally:
            self._running = 0  # again: the shot may have hit the first of the two

    def _armed(self, method: Callable[[], Any]) -> Any:
        self._call += 1
        try:
            self._running = self._call
            return method()
        finally:
            self._running = 0

    def shoot(self) -> None:
        """From another thread: interrupt the call in progress, again and again until it is over."""
        call = self._running
        if call:
            self._fire(call)

    def _fire(self, call: int) -> None:
        if self._running != call or self._main is None:
            return
        self._aimed = call
        signal.pthread_kill(self._main, SIGNAL)
        again = threading.Timer(AGAIN_S, self._fire, (call,))
        again.daemon = True
        again.start()

    @contextmanager
    def shield(self) -> Iterator[None]:
        """A piece of ours inside user code that must not be cut in two (a line on the link)."""
        self._shields += 1
        try:
            yield
        finally:
            self._shields -= 1
            if not self._shields and self._aimed and self._aimed == self._running:
                self._aimed = 0
                raise Interrupted

    def _handle(self, _signal: int, _frame: FrameType | None) -> None:
        if self._aimed and self._aimed == self._running and not self._shields:
            self._aimed = 0
            raise Interrupted
