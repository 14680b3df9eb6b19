"""Waiting for what another thread does, so that a signal handler can end the wait.

User code is interrupted by an exception that a signal handler raises in the main thread (R8, R10), at any bytecode.
``threading.Event`` and ``Condition`` are Python code with a lock inside: hit between two of its lines they answer with
``RuntimeError: release unlocked lock`` instead of the interrupt. A bare lock has no inside. So whoever waits hangs up a
bell, a lock that is taken; whoever has news opens all bells; the waiter looks whether the news is what it waits for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from guardian.access.callbacks import refuse_to_wait

#: Longest uninterrupted wait: a signal that the kernel gave to another thread is seen after this time.
_SLICE_S = 0.1


class Bell:
    """One thread waits, any number ring. Ringing never blocks, and a ring while nobody waits is kept."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def ring(self) -> None:
        with suppress(RuntimeError):  # rung already
            self._lock.release()

    def wait(self, timeout_s: float | None) -> None:
        """Until it rings, at most `timeout_s` seconds."""
        self._lock.acquire(timeout=-1 if timeout_s is None else timeout_s)


class Bells:
    """Any number of threads wait, any number ring. Ringing never blocks.

    Parameters
    ----------
    what : libca brings: the name of a channel, for the sentence that says why that cannot be waited for. "": it is
        something else that is waited for.
    """

    __slots__ = ("_hung", "_what")

    def __init__(self, what: str = "") -> None:
        self._hung: list[Any] = []
        self._what = what

    def ring(self) -> None:
        """Wake all who wait. Call it after the change that they wait for."""
        for bell in tuple(self._hung):
            with suppress(RuntimeError):  # rung already
                bell.release()

    def wait(self, ready: Callable[[], bool], deadline: float) -> bool:
        """True as soon as ``ready()`` is, asked after each ring; False once the monotonic clock passes `deadline`.

        Raises
        ------
        DeadlockDetectedError
            This is a callback of libca: what is waited for would come after its end.
        """
        if ready():
            return True
        if self._what:
            refuse_to_wait(self._what)
        while not ready():
            bell = threading.Lock()
            bell.acquire()
            self._hung.append(bell)
            try:
                if ready():
                    break
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    return False
                bell.acquire(timeout=min(left_s, _SLICE_S))
            finally:
                self._hung.remove(bell)
        return True
