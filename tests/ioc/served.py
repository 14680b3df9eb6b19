"""A real server in a thread with a loop of its own, a host made of views, and a client that speaks raw messages."""

from __future__ import annotations

import contextlib
import itertools
import socket
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, TypeVar

import caproto as ca
from msgspec.structs import replace

from guardian.core import commands
from guardian.core.events import Reenter, Requested, SetManager, SetMode, SetOp
from guardian.core.graph import Graph, StateInfo
from guardian.core.interface import BY_NAME, ROWS, Source, Vitals
from guardian.core.view import View
from guardian.core.who import Who
from guardian.enums import LoadStatus, Severity, Status, Worker
from guardian.errors import RefusedError
from guardian.host.face import Unreadable, Update
from ioc.server import Server
from tests.ioc.loopthread import LoopThread, is_closed

T = TypeVar("T")
IFO = "T1"


def graph(states: int = 3) -> Graph:
    """States S0, S1, ... beside INIT."""
    named = [StateInfo(name="INIT", index=0), *(StateInfo(name=f"S{n}", index=n + 1) for n in range(states))]
    return Graph.build(named, [])


def running(states: int = 3) -> View:
    """A node that rests in S0, as it was asked to."""
    return View(
        graph=graph(states),
        request="S0",
        state="S0",
        target="S0",
        nominal="S0",
        status=Status.DONE,
        worker=Worker.RUN,
        load_status=LoadStatus.DONE,
    )


def updates(view: View, vitals: Vitals | None = None) -> list[Update]:
    """All rows of the table, in its order."""
    values = {Source.VIEW: view, Source.GRAPH: view.graph, Source.VITALS: vitals or Vitals()}
    return [
        Update(row, row.value(values[row.source]), row.alarm(view) if row.alarm else Severity.NO_ALARM) for row in ROWS
    ]


class FakeNode:
    """A node that does at once what it is asked to: one view, and all rows that a new view changes are published."""

    def __init__(self, server: Server, name: str, view: View) -> None:
        self.server, self.name, self.view = server, name, view
        self.writes: list[tuple[str, Any, str]] = []
        self.refused: list[str] = []
        self.broken = False
        server.open(name, updates(view), time.time(), self.put)

    def put(self, name: str, value: Any, who: Who) -> None:
        by = str(who)
        if self.broken:
            raise ZeroDivisionError("a fault of the host")
        if isinstance(value, Unreadable):
            self.refused.append(value.reason)
            raise RefusedError(value.reason)
        if not BY_NAME[name].writable:
            raise RefusedError("it is read only")
        self.writes.append((name, value, by))
        try:
            wanted = commands.parse(name, value, by, self.view)
        except RefusedError as error:
            self.refused.append(str(error))
            raise
        match wanted:
            case SetOp(op=op):
                self.become(op=op)
            case SetMode(mode=mode):
                self.become(mode=mode)
            case SetManager(manager=manager):
                self.become(manager=manager)
            case Requested(state=state):
                self.become(
                    request=state,
                    state=state,
                    target=state,
                    request_by=by,
                    request_id=self.view.request_id + 1,
                    status=Status.RUN if self.view.status is Status.DONE else Status.DONE,
                )
            case Reenter() | None:
                pass

    def become(self, stamp: float | None = None, **changes: Any) -> None:
        """Go on to another view."""
        before = {update.row.name: update for update in updates(self.view)}
        stamp = stamp or time.time()
        self.view = replace(self.view, event_id=self.view.event_id + 1, stamp=stamp, **changes)
        self.server.post(self.name, [one for one in updates(self.view) if one != before[one.row.name]], stamp)


class Served(LoopThread):
    """The server of a host."""

    def __init__(self) -> None:
        super().__init__()
        self.server = Server(ifo=IFO, interfaces=["127.0.0.1"])
        self._numbers = itertools.count(1)

    async def begin(self) -> None:
        # Not the usual port: several test runs would ask each other's clients.
        from tests.support import free_port

        self.port = await self.server.start(free_port())

    async def end(self) -> None:
        await self.server.stop()

    def node(self, view: View | None = None) -> FakeNode:
        """A new node of a name of its own."""
        return self.do(FakeNode, self.server, f"N{next(self._numbers)}", view or running())

    @property
    def circuits(self) -> int:
        """How many clients are connected."""
        return self.do(lambda: len(self.server._context.circuits))  # type: ignore[union-attr]


def pv(node: FakeNode, name: str) -> str:
    """The full name of a row's PV."""
    return f"{IFO}:GRD-{node.name}_{name}"


class RawClient:
    """Speaks Channel Access message by message, so that a test decides what is sent, and what in one packet."""

    def __init__(self, port: int, *, receive_bytes: int = 0) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(30)
        self.socket.connect(("127.0.0.1", port))
        self.circuit = ca.VirtualCircuit(ca.CLIENT, ("127.0.0.1", port), 0)
        self.send(ca.VersionRequest(0, 13), ca.HostNameRequest("bench"), ca.ClientNameRequest("anna"))

    def send(self, *messages: Any) -> None:
        """In one packet, if it fits."""
        self.socket.sendall(b"".join(b"".join(self.circuit.send(message)) for message in messages))

    def send_bytes(self, data: bytes) -> None:
        self.socket.sendall(data)

    def until(self, kind: type[Any], count: int = 1) -> Sequence[Any]:
        """All messages up to and with the `count`-th of a kind."""
        seen: list[Any] = []
        while sum(isinstance(one, kind) for one in seen) < count:
            seen += self._some()
        return seen

    def channel(self, name: str) -> Any:
        """Connect a channel."""
        channel = ca.ClientChannel(name, self.circuit)
        self.send(channel.create())
        self.until(ca.CreateChanResponse)
        return channel

    def closed(self) -> bool:
        """Whether the server has closed; waits for it."""
        return is_closed(self.socket)

    def _some(self) -> Sequence[Any]:
        data = self.socket.recv(65536)
        assert data, "the server closed"
        messages = list(self.circuit.recv(data)[0])
        for message in messages:
            with contextlib.suppress(KeyError, ca.ProtocolError):  # answers to what it never asked, as far as it knows
                self.circuit.process_command(message)
        return messages

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.socket.close()
