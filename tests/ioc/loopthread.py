"""A server under test in a thread with a loop of its own, and the other end of a connection that the server closes."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """Context manager; all that lives in the loop is touched only by :meth:`do` and :meth:`run`.

    A subclass says in coroutines what to do at the start and at the end. A task that is left at the end is an error.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="the server's loop")

    async def begin(self) -> None:
        """In the loop, first."""
        raise NotImplementedError

    async def end(self) -> None:
        """In the loop, last."""
        raise NotImplementedError

    def __enter__(self) -> Any:
        self._thread.start()
        self.run(self.begin())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.run(self.end())
        left = self.do(lambda: [task for task in asyncio.all_tasks(self._loop) if task is not asyncio.current_task()])
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()
        assert not left, left

    def run(self, coroutine: Any) -> Any:
        """In the loop; its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def do(self, what: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Call it in the loop, with nothing in between."""

        async def call() -> T:
            return what(*args, **kwargs)

        result: T = self.run(call())
        return result


def is_closed(sock: socket.socket) -> bool:
    """Whether the other side has closed; waits for it, as long as the socket's timeout allows."""
    try:
        while sock.recv(65536):
            pass
    except ConnectionError:
        pass
    return True
