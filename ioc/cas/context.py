"""caproto's asyncio Context, made to behave as a C IOC's server does.

It takes the same database of channels and has the same :meth:`Context.run`; every channel of caproto can be served by
it. What differs stands in the files beside this one, one idea each.

It starts and stops as a whole, with every socket closed at the end.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import caproto as ca
from caproto.asyncio.server import AsyncioAsyncLayer
from caproto.asyncio.server import Context as CaprotoContext

from ioc.cas.audience import Audience, Bell
from ioc.cas.beacons import addresses, send_beacons
from ioc.cas.channel import Channel
from ioc.cas.circuit import Circuit
from ioc.cas.complaints import Complaints
from ioc.cas.connection import SLICE, Connection
from ioc.cas.search import Searches
from ioc.cas.sockets import Bound, bind
from ioc.cas.wire import MAX_PAYLOAD_BYTES

log = logging.getLogger(__name__)

#: Connections that are taken in one turn of the loop.
_WELCOMED = 128


class Context(CaprotoContext):
    """Serves channels by their names.

    Parameters
    ----------
    pvdb : what is served; may change at any time, see :meth:`take_away`.
    interfaces : addresses to serve on; None: EPICS_CAS_INTF_ADDR_LIST.
    bound : sockets that are bound already; None: the usual port, or any if that is taken.
    longest_message : bytes that a client may send in one.

    Raises
    ------
    OSError : no port can be had.
    """

    circuits: set[Connection]

    def __init__(
        self,
        pvdb: Mapping[str, Any],
        interfaces: Sequence[str] | None = None,
        *,
        bound: Bound | None = None,
        longest_message: int = MAX_PAYLOAD_BYTES,
    ) -> None:
        super().__init__(pvdb, None if interfaces is None else list(interfaces))
        self.ignored = frozenset(self.environ["EPICS_CAS_IGNORE_ADDR_LIST"].split())
        self._bound = bind(self.interfaces, None) if bound is None else bound
        self.port = self.ca_server_port = self._bound.port
        self.longest_message = longest_message
        self.complaints = Complaints()
        self.stopping = False  # connections that were accepted become circuits in a later turn: they are closed
        self.turned_away = 0  # clients, for want of descriptors
        self.waiting = 0  # circuits that have more to do than one turn allows
        self._bell = Bell()
        self._audiences: dict[ca.ChannelData, Audience] = {}
        self._servers: list[asyncio.Server] = []
        self._searches: list[Searches] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def connected(self) -> int:
        """How many channels all clients together have."""
        return sum(len(circuit.channels) for circuit in self.circuits if isinstance(circuit, Circuit))

    async def start(self) -> None:
        """Answer from now on."""
        loop = asyncio.get_running_loop()
        for sock in self._bound.tcp:
            self._servers.append(await loop.create_server(lambda: Circuit(self), sock=sock, backlog=_WELCOMED))
        for sock in self._bound.udp:
            self._searches.append(Searches(self, sock))
        to = addresses(self.interfaces, self.environ)
        self.keep(loop.create_task(send_beacons(self.port, to, self.environ["EPICS_CAS_BEACON_PERIOD"])))

    async def stop(self) -> None:
        """Close everything. Clients see their connections close."""
        for server in self._servers:
            server.close()
        for searches in self._searches:
            searches.close()
        self.stopping = True
        for circuit in list(self.circuits):
            circuit.abort()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await asyncio.sleep(0)  # transports close their sockets in the next turn of the loop

    async def run(
        self, *, log_pv_names: bool = False, startup_hook: Callable[[Any], Awaitable[None]] | None = None
    ) -> None:
        """Serve until it is cancelled, with the hooks of the channels at the start and the end."""
        await self.start()
        log.info("serving Channel Access on %s, port %d", ", ".join(self.interfaces), self.port)
        if log_pv_names:
            log.info("PVs available:\n%s", "\n".join(self.pvdb))
        layer = AsyncioAsyncLayer()
        hooks = [*([] if startup_hook is None else [startup_hook]), *self.startup_methods.values()]
        try:
            async with asyncio.TaskGroup() as tasks:
                for hook in hooks:
                    tasks.create_task(hook(layer))
                await asyncio.Event().wait()
        finally:
            ends = await asyncio.gather(
                *(hook(layer) for hook in self.shutdown_methods.values()), return_exceptions=True
            )
            for error in ends:
                if isinstance(error, Exception):
                    log.error("a hook failed at the end", exc_info=error)
            await self.stop()

    def keep(self, task: asyncio.Task[None]) -> None:
        """This task lives until it is done, or the server stops."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def take_away(self, data: Iterable[ca.ChannelData]) -> None:
        """Disconnect all clients from these channels. Call it when their names are no longer served."""
        for channel in self._connected(data):
            channel.circuit.take_away(channel)

    def rights_changed(self, data: Iterable[ca.ChannelData]) -> None:
        """What clients may do with these channels is no longer what it was: they are told, where it differs."""
        rest = self._connected(data)

        def some() -> None:
            slice_, rest[-SLICE:] = rest[-SLICE:], []
            for channel in slice_:
                channel.circuit.judge(channel)
            if rest:
                asyncio.get_running_loop().call_soon(some)

        some()

    def audience(self, data: ca.ChannelData) -> Audience:
        """Who listens to a channel; made when it is first needed."""
        found = self._audiences.get(data)
        if found is None:
            found = self._audiences[data] = Audience(data, self._bell)
        return found

    def left(self, audience: Audience) -> None:
        """A client let go of a channel: forget its audience if it was the last."""
        if audience.empty:
            self._audiences.pop(audience.data, None)

    def _connected(self, data: Iterable[ca.ChannelData]) -> list[Channel]:
        return [channel for one in data if one in self._audiences for channel in self._audiences[one].channels]
