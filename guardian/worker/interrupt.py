"""Interrupting user code: a signal raises :class:`Interrupted` in the main thread, and nowhere but in user code.

The thread that reads commands calls :meth:`Interrupter.shoot`; the signal wakes sleeps and waits, and the handler
raises only if

* the call that was aimed at is still the one in progress (a late signal is spent on nothing),
* user code is being executed, not the entrance or the exit of :meth:`Interrupter.call`, nor a shielded piece of ours,
* user code is not cleaning up after an earlier shot: ``except`` and ``finally`` blocks get the time that is left.

A method that swallows the exception (a bare ``except:`` in a loop) is shot at again until its call is over. Code stuck
in C never sees the signal, and cleaning up that does not end is not disturbed; the host kills both.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from guardian.errors import Interrupted

#: User code may use the plain signals; a real-time one is free.
SIGNAL = signal.SIGRTMIN + 3
#: Makes a worker write where it stands to its log, also while C code holds the interpreter; sent before a kill.
DUMP_SIGNAL = signal.SIGRTMIN + 4

T = TypeVar("T")


class Interrupter:
    """Runs calls that can be interrupted. Made in the main thread, which is the one that is interrupted."""

    def __init__(self) -> None:
        self._main = threading.get_ident()
        self._call = 0
        self._running = 0
        self._entry = 0
        self._aimed = 0
        self._shields = 0
        signal.signal(SIGNAL, self._handle)

    def call(self, method: Callable[[], T], entry: int = 0) -> T:
        """What `method` returns.

        Parameters
        ----------
        entry : the state entry that the call belongs to, 0 for none.

        Raises
        ------
        Interrupted
            The call was shot at. Whatever else `method` raises goes through.
        """
        self._call += 1
        self._entry = entry
        self._running = self._call
        try:
            return method()
        finally:
            self._running = 0  # the handler raises nothing in this frame

    def shoot(self, entry: int | None = None) -> int:
        """From another thread: interrupt the call in progress, if it belongs to `entry` (None: whatever it is).

        Returns
        -------
        int
            The number of the call, for :meth:`shoot_again`; 0 if there was nothing to interrupt.
        """
        call = self._running
        return call if call and entry in (None, self._entry) and self.shoot_again(call) else 0

    def shoot_again(self, call: int) -> bool:
        """Interrupt that call once more; False if it is over."""
        if self._running != call:
            return False
        self._aimed = call
        signal.pthread_kill(self._main, SIGNAL)
        return True

    @contextmanager
    def shield(self) -> Iterator[None]:
        """A piece of ours inside user code that must not be cut in two (a line on the link)."""
        if threading.get_ident() != self._main:
            yield
            return
        self._shields += 1
        try:
            yield
        finally:
            self._shields -= 1
            if not self._shields and self._aimed and self._aimed == self._running:
                self._aimed = 0
                raise Interrupted

    def _handle(self, _signal: int, frame: FrameType | None) -> None:
        in_user_code = self._running and not self._shields and (frame is None or frame.f_code is not _CALL)
        if in_user_code and self._aimed == self._running and not _cleaning_up():
            self._aimed = 0
            raise Interrupted


_CALL = Interrupter.call.__code__


def _cleaning_up() -> bool:
    """Whether an ``except`` or ``finally`` block that an Interrupted led into is being executed."""
    handled = sys.exception()
    seen = 0
    while handled is not None and seen < 100:  # user code can tie such a chain into a ring
        if isinstance(handled, Interrupted):
            return True
        handled = handled.__context__
        seen += 1
    return False
