"""Where files are read for pages: journals, logs, the archive of code.

Invariants
----------
* Nothing is read in the loop, and no more than :data:`READERS` read at the same time; the others wait for their turn.
* What is read for a page that has gone is given up at its next block. A disk that hangs keeps a reader, and neither the
  loop nor the end of the console.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from starlette.requests import Request

from guardian.client.records.within import Bound
from guardian.console.problem import ProblemError
from guardian.errors import ExpectedError
from guardian.host.reader import Reader

T = TypeVar("T")
READERS = 2
#: For one answer: so long, and so many bytes.
SECONDS, MOST_BYTES = 5.0, 512_000_000
#: Whoever waits for a turn waits so long; a reader that takes longer than this hangs; seconds.
TURN_S, HANGS_S = 20.0, 20.0
#: Between two looks whether the page is still there.
_LOOK_S = 0.2


class Desk:
    """Reads for one page after the other."""

    def __init__(self, readers: int = READERS) -> None:
        self._free: asyncio.Queue[Reader] = asyncio.Queue()
        for _ in range(readers):
            self._free.put_nowait(Reader("what hosts have recorded"))

    async def read(self, request: Request, make: Callable[[Bound], T]) -> T:
        """What `make` returns, called in a thread.

        Raises
        ------
        ProblemError
            It is busy, or a disk hangs.
        """
        try:
            async with asyncio.timeout(TURN_S):
                reader = await self._free.get()
        except TimeoutError:
            raise ProblemError(503, "others are looking through records at the moment; try again in a while") from None
        bound = Bound(SECONDS, MOST_BYTES)
        reading = asyncio.ensure_future(reader.read(partial(make, bound), HANGS_S))
        try:
            while not (await asyncio.wait({reading}, timeout=_LOOK_S))[0]:
                if await request.is_disconnected():
                    bound.stopped.set()
            return reading.result()
        except ExpectedError as error:
            raise ProblemError(503, str(error)) from None
        finally:
            bound.stopped.set()
            reading.cancel()
            self._free.put_nowait(reader)
