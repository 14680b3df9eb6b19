"""A client that speaks bare messages, and a server of any channels in a thread with a loop of its own."""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

import caproto as ca

from ioc.cas import wire
from ioc.cas.context import Context
from ioc.cas.sockets import bind
from tests.ioc.loopthread import LoopThread, is_closed
from tests.support import free_port

VALUE, LOG, ALARM, PROPERTY = 1, 2, 4, 8


class Raw:
    """One connection.

    Parameters
    ----------
    port : on loopback. user, host : who it says it is. receive_bytes : size of the kernel's buffer, 0: its own choice.
    """

    def __init__(self, port: int, *, user: str = "anna", host: str = "bench", receive_bytes: int = 0) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(30)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._parser = wire.Parser()
        self._ids = itertools.count(1)
        self._came: list[wire.Message] = []
        self.send(
            wire.message(wire.VERSION, 0, 13),
            wire.message(wire.CLIENT_NAME, payload=user.encode() + b"\0"),
            wire.message(wire.HOST_NAME, payload=host.encode() + b"\0"),
        )

    def send(self, *messages: bytes) -> None:
        """In one packet, if it fits."""
        self.socket.sendall(b"".join(messages))

    def messages(self) -> Iterator[wire.Message]:
        """What comes, for ever; 30 s without anything is an error."""
        while True:
            while self._came:
                yield self._came.pop(0)
            data = self.socket.recv(2**20)
            if not data:
                raise ConnectionError("the server closed")
            self._came.extend(self._parser.feed(data))

    def next(self, *commands: int) -> wire.Message:
        """The next message of one of these kinds; others are dropped."""
        return next(one for one in self.messages() if one.command in commands)

    def channel(self, name: str) -> tuple[int, int, int]:
        """Connect; sid, type and number of elements."""
        cid = next(self._ids)
        self.send(wire.message(wire.CREATE_CHAN, 0, 0, cid, 13, name.encode() + b"\0"))
        found = self.next(wire.CREATE_CHAN, wire.CREATE_CH_FAIL)
        if found.command == wire.CREATE_CH_FAIL:
            raise KeyError(name)
        return found.two, found.data_type, found.elements

    def read(self, sid: int, data_type: int, count: int = 0) -> wire.Message:
        """The answer to a READ_NOTIFY, or the error; the status is in ``one`` of the answer."""
        self.send(wire.message(wire.READ_NOTIFY, data_type, count, sid, next(self._ids)))
        return self.next(wire.READ_NOTIFY, wire.ERROR)

    def put(self, sid: int, data_type: int, payload: bytes, count: int = 1, *, notify: bool = True) -> int:
        """Send a write; its number."""
        ioid = next(self._ids)
        self.send(wire.message(wire.WRITE_NOTIFY if notify else wire.WRITE, data_type, count, sid, ioid, payload))
        return ioid

    def subscribe(self, sid: int, data_type: int, count: int = 0, mask: int = VALUE | ALARM) -> int:
        """Its number."""
        number = next(self._ids)
        self.send(subscription(sid, number, data_type, count, mask))
        return number

    def sync(self) -> list[wire.Message]:
        """Ask for an echo; what came before it."""
        self.send(wire.message(wire.ECHO))
        return list(itertools.takewhile(lambda one: one.command != wire.ECHO, self.messages()))

    def closed(self, timeout_s: float = 30) -> bool:
        """Whether the server has closed; waits for it."""
        self.socket.settimeout(timeout_s)
        return is_closed(self.socket)

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.socket.close()


def subscription(sid: int, number: int, data_type: int, count: int = 0, mask: int = VALUE | ALARM) -> bytes:
    """The message that makes one."""
    return wire.message(wire.EVENT_ADD, data_type, count, sid, number, bytes(12) + mask.to_bytes(2, "big") + bytes(2))


class Serving(LoopThread):
    """Our Context, with any channels."""

    def __init__(self, pvdb: Mapping[str, ca.ChannelData]) -> None:
        super().__init__()
        self.pvdb = dict(pvdb)
        self.port = free_port()

    async def begin(self) -> None:
        self.context = Context(self.pvdb, ["127.0.0.1"], bound=bind(["127.0.0.1"], self.port))
        await self.context.start()

    async def end(self) -> None:
        await self.context.stop()

    def write(self, name: str, value: Any, **how: Any) -> None:
        """Write a channel as its owner does."""
        self.run(self.pvdb[name].write(value, **how))

    @property
    def circuits(self) -> int:
        """How many clients are connected."""
        return self.do(lambda: len(self.context.circuits))

    def wait_circuits(self, count: int, timeout_s: float = 30) -> None:
        """Wait until so many are connected."""
        deadline = time.monotonic() + timeout_s
        while (seen := self.circuits) != count:
            assert time.monotonic() < deadline, f"{seen} circuits, expected {count}"
            time.sleep(0.02)
