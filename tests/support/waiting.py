"""Waiting for something to become true, never for time to pass.

Both functions poll quickly, have a deadline that is generous next to a loaded machine, and on the deadline say what
they waited for and what they saw last.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


class _Seen:
    """The last look at a predicate: its value, or the exception it raised."""

    value: object = "never called"

    def __str__(self) -> str:
        if isinstance(self.value, Exception):
            return f"it raised {type(self.value).__name__}: {self.value}"
        return f"it was {self.value!r}"


def eventually(predicate: Callable[[], T], timeout_s: float = 30, what: str = "", period_s: float = 0.01) -> T:
    """Poll until ``predicate()`` is true and return its value; an exception counts as "not yet"."""
    seen = _Seen()
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            value = predicate()
        except Exception as error:
            seen.value = error
        else:
            if value:
                return value
            seen.value = value
        if time.monotonic() > deadline:
            raise AssertionError(_text(what, predicate, timeout_s, seen))
        time.sleep(period_s)


async def eventually_async(
    predicate: Callable[[], T | Awaitable[T]], timeout_s: float = 30, what: str = "", period_s: float = 0.01
) -> T:
    """:func:`eventually` for a running event loop; the predicate may be a coroutine function."""
    seen = _Seen()
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            value = predicate()
            if inspect.isawaitable(value):
                left = max(0.0, deadline - time.monotonic())
                value = await asyncio.wait_for(value, left + period_s)
        except Exception as error:
            seen.value = error
        else:
            if value:
                return value  # type: ignore[return-value]
            seen.value = value
        if time.monotonic() > deadline:
            raise AssertionError(_text(what, predicate, timeout_s, seen))
        await asyncio.sleep(period_s)


def _text(what: str, predicate: Callable[[], object], timeout_s: float, seen: _Seen) -> str:
    return f"waited {timeout_s:g} s for {what or getattr(predicate, '__name__', 'a predicate')}, but {seen}"
