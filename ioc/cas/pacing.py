"""A producer that outruns the loop is paced: after so many updates it lets the server send them.

In caproto ``await channel.write()`` never gives way, so a coroutine that writes in a loop keeps the server from sending
what it wrote: 93 updates a second arrive at 98 % CPU. A C IOC has threads for that.

Here every :data:`UPDATES`-th write gives the loop a turn. In that turn the lines are flushed and clients are heard, so
a producer writes just as fast as the server can deliver, and no faster.
"""

from __future__ import annotations

import asyncio

UPDATES = 100


class Pace:
    """Counts the writes since the loop had its turn."""

    def __init__(self) -> None:
        self._written = 0

    async def turn(self) -> None:
        """Wait for the loop if it is due. What a client wrote is written in the loop's own turn, and not paced."""
        self._written += 1
        if self._written >= UPDATES and asyncio.current_task() is not None:
            self._written = 0
            await asyncio.sleep(0)


#: Of this process: there is one loop that serves.
PACE = Pace()
