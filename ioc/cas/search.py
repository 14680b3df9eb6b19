"""Searches, answered where they come in.

caproto hands a datagram through two queues and as many tasks, behind whatever the circuits do, and answers after that;
libca sends the next names when it has the answers to the last, so 4,000 names take 2.6 s. Here the answer leaves in the
call that receives the datagram. It carries the sequence number of the request back, as rsrv does: libca takes the time
of a round trip from it, and sends faster.

A name that is not here costs a microsecond: its bytes are taken out and looked up in a dictionary. Only one whose
record is here (``NAME.FIELD``, ``NAME{...}``) goes through caproto's parser.

The same search over TCP is how clients with ``EPICS_CA_NAME_SERVERS`` ask.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ioc.cas import wire

if TYPE_CHECKING:
    from ioc.cas.context import Context

log = logging.getLogger(__name__)

#: Bytes of a name, with the filter behind it.
MAX_NAME = 500
#: Time that a turn of the loop has for searches; what waits behind has the next one.
TURN_S = 0.002
#: Searches that are taken in one turn of the loop, and what the kernel keeps of them meanwhile: 50 clients may ask for
#: 1,000 names each in the same moment.
DATAGRAMS = 100
KERNEL_BYTES = 2**21
#: Datagrams of answers stay below what Ethernet carries.
_DATAGRAM_BYTES = 1400
#: Clients send no longer ones; the rest of one that is longer is not looked at.
_RECEIVED_BYTES = 2**11
_SEQUENCE_IS_VALID = 1
_FROM_SENDER = 0xFFFFFFFF  # instead of an address: that which the answer came from
_VERSION_PAYLOAD = wire.MINOR_VERSION.to_bytes(2, "big")


def find(context: Any, name: str) -> Any:
    """The channel of this name, None if it is not here."""
    pvdb = context.pvdb
    if name in pvdb:
        return pvdb[name]
    if "." not in name or len(name) > MAX_NAME:
        return None
    with contextlib.suppress(KeyError):  # a database may make channels when they are asked for
        return pvdb[name]
    record, _, field = name.partition(".")
    if record not in pvdb:
        return None
    if field == "VAL" or field.startswith(("VAL$", "VAL{", "VAL[")):
        name = f"{record}.{field[3:]}"  # the value of a channel is the channel
    try:
        return context[name]
    except Exception as error:  # what a filter has in it is anybody's guess
        log.debug("%.100r is none of our names: %r", name, error)
        return None


def found(port: int, cid: int) -> bytes:
    """The answer to a search."""
    return wire.message(wire.SEARCH, port, 0, _FROM_SENDER, cid, _VERSION_PAYLOAD)


def not_found(message: wire.Message) -> bytes:
    """The answer to a search that wants one in any case."""
    return wire.message(wire.NOT_FOUND, wire.DO_REPLY, wire.MINOR_VERSION, message.one, message.one)


class Searches:
    """The search socket of one interface, read in the loop's thread until :meth:`close`.

    A turn of the loop takes up to :data:`DATAGRAMS` of them (asyncio's own transport takes one), so that a burst of
    searches is not lost where turns are long.
    """

    def __init__(self, context: Context, sock: socket.socket) -> None:
        self._context = context
        self._socket = sock
        self._loop = asyncio.get_running_loop()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BYTES)
        self._loop.add_reader(sock, self._ready)

    def close(self) -> None:
        """Answer no longer."""
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _ready(self) -> None:
        until = time.monotonic() + TURN_S
        for _ in range(DATAGRAMS):
            if time.monotonic() > until:
                return
            try:
                data, address = self._socket.recvfrom(_RECEIVED_BYTES)
            except BlockingIOError:
                return
            except OSError as error:  # an earlier answer found nobody
                log.debug("an error on a search socket was passed over: %s", error)
                continue
            if address[0] not in self._context.ignored:
                for answer in self.answers(data, address):
                    with contextlib.suppress(OSError):  # the client asks again
                        self._socket.sendto(answer, address)

    def answers(self, data: bytes, address: tuple[str, int]) -> Iterator[bytes]:
        """The datagrams that answer one. Written out flat: most names that are asked for are somebody else's."""
        context, pvdb = self._context, self._context.pvdb
        sequence, found_here, size = b"", [], 0
        at, end = 0, len(data)
        while at + wire.HEAD.size <= end:
            command, length, data_type, _, one, _ = wire.HEAD.unpack_from(data, at)
            at += wire.HEAD.size
            if command == wire.SEARCH:
                name = data[at : at + length].partition(b"\0")[0].decode("latin-1")
                if name in pvdb or ("." in name and find(context, _unfiltered(name)) is not None):
                    found_here.append(answer := found(context.port, one))
                    size += len(answer)
                    if size > _DATAGRAM_BYTES:
                        yield sequence + b"".join(found_here)
                        found_here, size = [], 0
            elif command == wire.VERSION:
                sequence = _version(one if data_type & _SEQUENCE_IS_VALID else None)
            at += length
        if at != end:
            log.debug("a datagram of %s:%d is not Channel Access", *address)
        if found_here:
            yield sequence + b"".join(found_here)


def _unfiltered(name: str) -> str:
    """Without its filter, which is looked at when the channel is made, as rsrv does: it costs much to take apart."""
    for mark in "{[":
        name = name.partition(mark)[0]
    return name.removesuffix(".")


def _version(sequence: int | None) -> bytes:
    if sequence is None:
        return wire.message(wire.VERSION, 0, wire.MINOR_VERSION)
    return wire.message(wire.VERSION, _SEQUENCE_IS_VALID, wire.MINOR_VERSION, sequence)
