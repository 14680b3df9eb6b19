"""Reading in a thread that nobody waits for, neither the loop of a host nor its end: a disk may hang.

What is read is what people write: a site file, or who may write (`guardian.host.reading`).
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from guardian.errors import ExpectedError

T = TypeVar("T")

#: Seconds that a reading may take. Names of hosts are looked up in it, too.
READ_S = 10.0


class Reader:
    """Reads in a thread, one at a time: while one of them hangs there is no other.

    Parameters
    ----------
    what : is read, for messages.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._thread: threading.Thread | None = None
        self._one_at_a_time = asyncio.Lock()

    async def read(self, make: Callable[[], T], within_s: float = READ_S) -> T:
        """What `make` returns.

        Raises
        ------
        ExpectedError
            It takes too long. And what `make` raises.
        """
        async with self._one_at_a_time:
            if self._thread is not None and self._thread.is_alive():
                raise ExpectedError(f"{self._what} is still being read, since some time: its disk hangs")
            loop = asyncio.get_running_loop()
            answer: asyncio.Future[T] = loop.create_future()

            def tell(done: Callable[[Any], None], outcome: Any) -> None:
                if not answer.done():
                    done(outcome)

            def work() -> None:
                done: Callable[[Any], None] = answer.set_result
                outcome: Any
                try:
                    outcome = make()
                except Exception as error:
                    done, outcome = answer.set_exception, error
                with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                    loop.call_soon_threadsafe(tell, done, outcome)

            self._thread = threading.Thread(target=work, name="reader", daemon=True)
            self._thread.start()
            if not (await asyncio.wait([answer], timeout=within_s))[0]:
                raise ExpectedError(f"{self._what} could not be read in {within_s:g} s: its disk hangs, or is slow")
            self._thread = None
            return answer.result()
