"""A cable between a server and those who search for it, on which some datagrams get lost, either way.

This kernel may have no netem, and needs none here: who searches sends to the port of the wire. What goes through
circuits (TCP) is not lost by such a cable, only late; so they go past it.
"""

from __future__ import annotations

import contextlib
import random
import selectors
import socket
import threading
from types import TracebackType

Address = tuple[str, int]


class LossyWire:
    """Context manager: the wire to the server at `port`, which loses this part of the datagrams."""

    def __init__(self, port: int, lost: float, *, seed: int = 0) -> None:
        self._server = ("127.0.0.1", port)
        self._lost = lost
        self._chance = random.Random(seed)
        self._selector = selectors.DefaultSelector()
        self._clients: dict[Address, socket.socket] = {}
        self._front = self._open(None)
        self.port: int = self._front.getsockname()[1]
        self.dropped = self.carried = 0
        self._over = False
        self._thread = threading.Thread(target=self._run, name=f"wire to {port}")

    def _open(self, client: Address | None) -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind(("127.0.0.1", 0))
        made.setblocking(False)
        self._selector.register(made, selectors.EVENT_READ, client)
        return made

    def _run(self) -> None:
        while not self._over:
            for key, _ in self._selector.select(0.1):
                with contextlib.suppress(OSError):
                    self._carry(key.fileobj, key.data)  # type: ignore[arg-type]

    def _carry(self, came_at: socket.socket, client: Address | None) -> None:
        data, sender = came_at.recvfrom(65536)
        if self._chance.random() < self._lost:
            self.dropped += 1
            return
        self.carried += 1
        if client is not None:  # an answer
            self._front.sendto(data, client)
            return
        if sender not in self._clients:
            self._clients[sender] = self._open(sender)
        self._clients[sender].sendto(data, self._server)

    def __enter__(self) -> LossyWire:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._over = True
        self._thread.join(30)
        for one in (self._front, *self._clients.values()):
            one.close()
        self._selector.close()
