"""Reading what people write, a site file or who may write, so that no file and no disk can hold up a host.

A file may be a pipe to which nobody writes, a device without end, or on a disk that hangs. The first two are refused.
For the third there is a thread that nobody waits for, neither the loop of the host nor its end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from guardian.errors import ExpectedError

T = TypeVar("T")

MOST_BYTES = 16_000_000
#: Seconds that a reading may take. Names of hosts are looked up in it, too.
READ_S = 10.0


def read_bytes(path: Path) -> bytes:
    """The content of a file.

    Raises
    ------
    OSError
        It cannot be read, or is a pipe, or has more than :data:`MOST_BYTES` bytes.
    """
    with open(path, "rb", opener=_at_once) as file:
        if stat.S_ISFIFO(os.fstat(file.fileno()).st_mode):
            raise OSError(0, "it is a pipe, and no file")
        data = file.read(MOST_BYTES + 1) or b""
    if len(data) > MOST_BYTES:
        raise OSError(0, f"it has more than {MOST_BYTES} bytes")
    return data


def _at_once(path: str, flags: int) -> int:
    """Open a pipe without waiting for its writer."""
    return os.open(path, flags | os.O_NONBLOCK)


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
