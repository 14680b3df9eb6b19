"""The network side of the server: caproto's Context, with these differences.

* An update goes to the circuits in the call that posts it. caproto has a queue and a loop in between, and that loop
  waits for the slowest client.
* It starts and stops as a whole, with sockets it is given (``sockets.py``) and every one of them closed at the end.
* Beacons go out unconnected, so that a machine without a repeater does not fill the log with refusals; and they carry
  no address, so that clients take the one they came from.
* Whoever breaks the protocol costs one line in the log, not a traceback.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import logging
import socket
from collections.abc import Sequence
from typing import Any

import caproto as ca
import numpy as np
from caproto.asyncio.server import Context as CaprotoContext
from caproto.asyncio.utils import _DatagramProtocol, _TransportWrapper, _UdpTransportWrapper
from caproto.server.common import DisconnectedCircuit

from ioc.circuit import Circuit
from ioc.node import Names, run_now
from ioc.sockets import Bound

log = logging.getLogger(__name__)


class _Dispatch:
    """Where channels put their updates, in caproto a queue."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def put_nowait(self, update: Any) -> None:
        run_now(self._context._subscription_queue_iteration(*update))

    async def put(self, update: Any) -> None:
        self.put_nowait(update)


class _Beacon:
    """Sends beacons to one address."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        self._socket.setblocking(False)

    async def send(self, data: bytes) -> None:
        try:
            self._socket.sendto(data, self._address)
        except OSError as error:  # a network that is down; the next beacon may get through
            log.debug("no beacon to %s:%d: %s", *self._address, error)

    def close(self) -> None:
        self._socket.close()


def _filled_up(values: Any, count: int) -> Any:
    """Zeros or empty strings at the end, as a C IOC sends to a client that asked for so many; caproto sends too few."""
    missing = count - len(values)
    if isinstance(values, np.ndarray):
        return np.concatenate((values, np.zeros(missing, values.dtype)))
    return type(values)([*values, *[b""] * missing])


class Context(CaprotoContext):
    """Serves `names` on sockets that are bound already.

    Parameters
    ----------
    names : what is served; may change at any time. interfaces : addresses of the sockets. bound : the sockets.
    """

    CircuitClass = Circuit

    def __init__(self, names: Names, interfaces: Sequence[str], bound: Bound) -> None:
        super().__init__(names, list(interfaces))
        self.subscription_queue = _Dispatch(self)
        self.port = self.ca_server_port = bound.port
        self._bound = bound
        self._servers: list[asyncio.Server] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._clients: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Answer from now on."""
        loop = asyncio.get_running_loop()
        for sock in self._bound.tcp:
            self._servers.append(await asyncio.start_server(self._welcome, sock=sock))
        for interface, sock in zip(self.interfaces, self._bound.udp, strict=True):
            self.broadcaster.server_addresses.append((interface, self.port))
            protocol = functools.partial(
                _DatagramProtocol, parent=self, identifier=interface, queue=self.broadcaster_datagram_queue
            )
            transport, _ = await loop.create_datagram_endpoint(protocol, sock=sock)
            self.udp_socks[interface] = _UdpTransportWrapper(transport)
        for address in self._beacon_addresses():
            self.beacon_socks[address] = ("0.0.0.0", _Beacon(address))
        self._tasks = [
            asyncio.create_task(coroutine)
            for coroutine in (
                self.broadcaster_receive_loop(),
                self.broadcaster_queue_loop(),
                self.broadcast_beacon_loop(),
            )
        ]

    async def stop(self) -> None:
        """Close everything. Clients see their connections close."""
        for server in self._servers:
            server.close()
        for circuit in list(self.circuits):
            circuit.abort()
        for task in self._tasks:
            task.cancel()
        if waited_for := [*self._tasks, *self._clients]:
            await asyncio.wait(waited_for)
        for sock in self.udp_socks.values():
            sock.close()
        for _, sock in self.beacon_socks.values():
            sock.close()
        await asyncio.sleep(0)  # transports close their sockets in the next turn of the loop

    def take_away(self, channels: set[Any]) -> None:
        """Disconnect all clients from these channels. Call it before their names are forgotten."""
        for circuit in list(self.circuits):
            circuit.take_away(channels)

    def _welcome(self, reader: Any, writer: Any) -> None:
        transport = _TransportWrapper(reader, writer)
        task = asyncio.create_task(self.tcp_handler(transport, transport.getpeername()))
        self._clients.add(task)
        task.add_done_callback(self._clients.discard)

    async def tcp_handler(self, client: Any, addr: Any) -> None:
        """The life of one connection."""
        if addr is None:  # it was gone before we came to it
            client.writer.transport.abort()
            return
        circuit = Circuit(ca.VirtualCircuit(ca.SERVER, addr, None), client, self)
        self.circuits.add(circuit)
        try:
            await circuit.run()
            while True:
                await circuit.recv()
        except DisconnectedCircuit:
            pass
        except Exception as error:
            log.warning("%s sent what is not Channel Access; disconnected: %s", circuit.who, str(error).split("\n")[0])
            log.debug("what was wrong with it:", exc_info=True)
        finally:
            self.circuits.discard(circuit)
            await circuit.end()

    async def _subscription_queue_send(self, sub_spec: Any, sub: Any, metadata: Any, values: Any, flags: int) -> None:
        try:
            if sub.data_count > len(values):
                values = _filled_up(values, sub.data_count)
            await super()._subscription_queue_send(sub_spec, sub, metadata, values, flags)
        except Exception as error:  # a filter that does not fit the value; it is this client's alone
            log.debug("%s cannot have %s as it asked: %r", sub.circuit.who, sub.channel.name, error)

    async def _create_broadcaster_transport(self, interface: str) -> None:
        # caproto calls this after an error, since on Windows the socket is dead then. On Linux it is not.
        log.debug("an error on the search socket of %s was passed over", interface)

    def _beacon_addresses(self) -> list[tuple[str, int]]:
        """As the environment says; but without a word of it, a server on loopback does not shout outside."""
        alone = all(ipaddress.ip_address(interface).is_loopback for interface in self.interfaces)
        if alone and not self.environ["EPICS_CAS_BEACON_ADDR_LIST"].strip():
            return [("127.0.0.1", self.environ["EPICS_CAS_BEACON_PORT"])]
        addresses: list[tuple[str, int]] = ca.get_beacon_address_list()
        return addresses
