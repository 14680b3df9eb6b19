"""What waits to be sent to one client: one queue, in the order in which things happened.

caproto has two ways to a client, updates through two queues and answers directly, so the answer to a put overtakes the
updates that the put caused. Here both stand in one line: when a put with callback completes, everything it changed has
been sent before.

Putting never waits, so nobody waits for a client that has stopped reading; caproto's loop does, and with it all other
clients. A line that gets too long (in items, or in bytes) means that this client will not catch up: it is disconnected,
and finds the present values when it comes back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

MAX_ITEMS = 20_000
MAX_BYTES = 64 * 2**20


class Outbox:
    """The line of one circuit.

    Parameters
    ----------
    overflow : called once, when the line has become too long; what comes then is dropped.
    """

    def __init__(self, overflow: Callable[[str], None]) -> None:
        self._overflow = overflow
        self._items: list[bytes] = []
        self._bytes = 0
        self._closed = False
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._emptied.set()

    def put(self, buffers: Iterable[Any]) -> None:
        """Add one message, as the buffers that caproto makes of it."""
        if self._closed:
            return
        item = b"".join(buffers)
        self._items.append(item)
        self._bytes += len(item)
        self._filled.set()
        if self._bytes > MAX_BYTES or len(self._items) > MAX_ITEMS:
            waiting = f"{len(self._items)} messages of {self._bytes} bytes wait"
            self.close()
            self._overflow(waiting)
        elif self._half_full():
            self._emptied.clear()

    async def take(self) -> bytes:
        """All that waits, once there is something."""
        await self._filled.wait()
        taken = b"".join(self._items)
        self._clear()
        return taken

    async def room(self) -> None:
        """Wait until the line is short. Whoever asks for more than it reads is not answered before that."""
        await self._emptied.wait()

    def close(self) -> None:
        """Drop what waits and what comes."""
        self._closed = True
        self._clear()

    def _half_full(self) -> bool:
        return self._bytes > MAX_BYTES / 2 or len(self._items) > MAX_ITEMS / 2

    def _clear(self) -> None:
        self._items.clear()
        self._bytes = 0
        self._filled.clear()
        self._emptied.set()
