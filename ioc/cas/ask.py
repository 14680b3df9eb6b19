"""Who serves these names? The smallest client there can be: it searches once, and reads texts once.

It looks where every client would, by the same environment (EPICS_CA_ADDR_LIST, EPICS_CA_AUTO_ADDR_LIST,
EPICS_CA_SERVER_PORT, EPICS_CA_NAME_SERVERS) and by libca's rule: unless EPICS_CA_AUTO_ADDR_LIST is ``NO``, by broadcast
on each interface that has a broadcast address too, or on loopback if none has.

Why not libca, or caproto's client: they search for ever, with threads, caches and circuits that stay. What is asked
here is the opposite, "is nobody there?", and the answer to that is silence. So everything has an end: :func:`search`
after :data:`SEARCH_S`, or as the caller says, in which it asks :data:`ROUNDS` times, as datagrams get lost;
:func:`read` with a server that says nothing for :data:`READ_S`, or has not said all after :data:`MOST_READ_S`. Nothing
that the network does is an error of a search: who answers garbage has not answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pwd
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ioc.cas import wire
from ioc.cas.sockets import CA_PORT

Address = tuple[str, int]

ROUNDS = 3
SEARCH_S = 0.3
READ_S, MOST_READ_S = 2.0, 8.0
#: Servers that are taken notice of. Nobody has so many; who makes them up shall not keep us busy.
MOST_SERVERS = 100
_DATAGRAMS, _DATAGRAM_BYTES = 500, 1400
_LONGEST_ANSWER = 2**16
_DONT_REPLY = 5
_FROM_SENDER = 0xFFFFFFFF
_CHAR = 4
_SIOCGIFBRDADDR = 0x8919
_HELLO = wire.message(wire.VERSION, 0, wire.MINOR_VERSION)


@dataclass(slots=True)
class Answers:
    """Servers with the names they say they have; and a sentence for each way in which nobody could be asked.

    asked : where datagrams were sent.
    """

    servers: dict[Address, set[str]] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)
    asked: list[Address] = field(default_factory=list, compare=False)


async def search(names: Sequence[str], for_s: float = SEARCH_S) -> Answers:
    """Who has these names?"""
    search = _Search(names, for_s)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(search.by_datagram())
        for server in search.listed("EPICS_CA_NAME_SERVERS"):
            tasks.create_task(search.by_name_server(server))
    return search.answers


class _Search:
    def __init__(self, names: Sequence[str], for_s: float) -> None:
        self._names = names
        self._requests = [
            wire.message(wire.SEARCH, _DONT_REPLY, wire.MINOR_VERSION, cid, cid, name.encode() + b"\0")
            for cid, name in enumerate(names)
        ]
        self._loop = asyncio.get_running_loop()
        self._until = self._loop.time() + for_s
        self.answers = Answers()

    # -- asking --------------------------------------------------------------------------------------------------------

    async def by_datagram(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            sock.bind(("", 0))
            self._loop.add_reader(sock, self._listen, sock)
            try:
                async with asyncio.TaskGroup() as tasks:
                    self.answers.asked = self._addresses()
                    for address in self.answers.asked:
                        tasks.create_task(self._rounds(sock, address))
            finally:
                self._loop.remove_reader(sock)
            self._listen(sock)  # what has come while this process had no turn

    async def _rounds(self, sock: socket.socket, address: Address) -> None:
        """Ask there, evenly until the time is over."""
        to = await self._with_number(address)
        if to is None:
            return
        for left in range(ROUNDS, 0, -1):
            try:
                for datagram in self._datagrams():
                    sock.sendto(datagram, to)
            except OSError as error:
                self._trouble(f"a datagram to {to[0]}:{to[1]} could not be sent: {error.strerror}")
            await asyncio.sleep(max(0.0, self._until - self._loop.time()) / left)

    def _datagrams(self) -> Iterator[bytes]:
        datagram = _HELLO
        for request in self._requests:
            if len(datagram) + len(request) > _DATAGRAM_BYTES:
                yield datagram
                datagram = _HELLO
            datagram += request
        yield datagram

    async def by_name_server(self, server: Address) -> None:
        """The same question over TCP."""
        writer = None
        try:
            async with asyncio.timeout_at(self._until):
                reader, writer = await asyncio.open_connection(*server)
                writer.write(_HELLO + b"".join(self._requests))
                parser = wire.Parser(_LONGEST_ANSWER)
                while data := await reader.read(2**16):
                    for message in parser.feed(data):
                        self._hear(message, writer.get_extra_info("peername")[0])
        except TimeoutError:
            pass  # it has had its time
        except (OSError, wire.ProtocolError) as error:
            self._trouble(f"the name server {server[0]}:{server[1]}: {error}")
        finally:
            if writer is not None:
                writer.transport.abort()

    # -- hearing -------------------------------------------------------------------------------------------------------

    def _listen(self, sock: socket.socket) -> None:
        for _ in range(_DATAGRAMS):  # who sends for ever does not keep us
            try:
                data, sender = sock.recvfrom(_LONGEST_ANSWER)
            except OSError:  # no more, or an earlier question found nobody
                return
            with contextlib.suppress(wire.ProtocolError):
                for message in wire.Parser(_LONGEST_ANSWER).feed(data):
                    self._hear(message, sender[0])

    def _hear(self, message: wire.Message, sender: str) -> None:
        """In an answer the port stands in the place of the type."""
        port, servers = message.data_type, self.answers.servers
        if message.command != wire.SEARCH or message.two >= len(self._names) or not port:
            return
        ip = sender if message.one in (_FROM_SENDER, 0) else socket.inet_ntoa(message.one.to_bytes(4, "big"))
        if (ip, port) in servers or len(servers) < MOST_SERVERS:
            servers.setdefault((ip, port), set()).add(self._names[message.two])

    def _trouble(self, sentence: str) -> None:
        if sentence not in self.answers.troubles:
            self.answers.troubles.append(sentence)

    # -- where ---------------------------------------------------------------------------------------------------------

    def _addresses(self) -> list[Address]:
        found = self.listed("EPICS_CA_ADDR_LIST")
        if os.environ.get("EPICS_CA_AUTO_ADDR_LIST", "").strip().upper() != "NO":
            found += [(ip, _usual_port()) for ip in _broadcast_addresses() or ["127.0.0.1"]]
        return list(dict.fromkeys(found))

    def listed(self, variable: str) -> list[Address]:
        """The addresses in a variable of the environment."""
        found = []
        for text in os.environ.get(variable, "").split():
            host, _, port = text.partition(":")
            if host and (number := _number(port) if port else _usual_port()):
                found.append((host, number))
            else:
                self._trouble(f"{variable}: {text} is no address")
        return found

    async def _with_number(self, address: Address) -> Address | None:
        """With the host's number for its name. The resolver may take minutes: it is not waited for that long."""
        host, port = address
        with contextlib.suppress(OSError):
            return socket.inet_ntoa(socket.inet_aton(host)), port
        try:
            async with asyncio.timeout_at(self._until):
                found = await self._loop.getaddrinfo(host, port, family=socket.AF_INET, type=socket.SOCK_DGRAM)
                return str(found[0][4][0]), port
        except (OSError, TimeoutError, UnicodeError):
            self._trouble(f"{host} is not known here")
            return None


async def read(server: Address, names: Sequence[str], values: dict[str, str | None]) -> None:
    """Ask a server which of these names it really has.

    Parameters
    ----------
    values : takes what it answers: a text (a CHAR array) with its value, anything else with None. Names that are not in
        it in the end are not there. After an error it has what was answered before; None may be a text to come.

    Raises
    ------
    OSError
        It is gone, cannot be reached, or (TimeoutError) does not answer.
    ProtocolError
        It does not speak Channel Access.
    """
    async with asyncio.timeout(MOST_READ_S):
        async with asyncio.timeout(READ_S):
            reader, writer = await asyncio.open_connection(*server)
        try:
            writer.write(_HELLO + _who_we_are())
            for cid, name in enumerate(names):
                writer.write(wire.message(wire.CREATE_CHAN, 0, 0, cid, wire.MINOR_VERSION, name.encode() + b"\0"))
            parser, waiting = wire.Parser(_LONGEST_ANSWER), dict(enumerate(names))
            while waiting:
                async with asyncio.timeout(READ_S):
                    data = await reader.read(2**16)
                if not data:
                    raise ConnectionResetError("it closed the connection")
                for message in parser.feed(data):
                    if request := _heard(message, waiting, values):
                        writer.write(request)
        finally:
            writer.transport.abort()


def _heard(message: wire.Message, waiting: dict[int, str], values: dict[str, str | None]) -> bytes:
    """Take an answer; returns what is to be asked next."""
    number = message.two if message.command == wire.READ_NOTIFY else message.one
    name = waiting.get(number)
    if name is None:
        return b""
    match message.command:
        case wire.CREATE_CHAN:
            values[name] = None
            if message.data_type == _CHAR:
                return wire.message(wire.READ_NOTIFY, _CHAR, 0, message.two, number)
        case wire.READ_NOTIFY:
            values[name] = message.payload.partition(b"\0")[0].decode(errors="replace")
        case wire.SERVER_DISCONN:
            values.pop(name, None)
        case wire.CREATE_CH_FAIL | wire.ERROR:
            pass
        case _:
            return b""
    del waiting[number]
    return b""


def _who_we_are() -> bytes:
    try:
        user = pwd.getpwuid(os.getuid()).pw_name  # as libca does
    except KeyError:
        user = f"uid {os.getuid()}"
    return wire.message(wire.CLIENT_NAME, payload=user.encode() + b"\0") + wire.message(
        wire.HOST_NAME, payload=socket.gethostname().encode() + b"\0"
    )


def _usual_port() -> int:
    return _number(os.environ.get("EPICS_CA_SERVER_PORT", "").strip()) or CA_PORT


def _number(port: str) -> int:
    """Of a port; 0 if it is none."""
    return int(port) if port.isdecimal() and int(port) < 2**16 else 0


def _broadcast_addresses() -> list[str]:
    """That of each interface that has one."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _, name in socket.if_nameindex():
            with contextlib.suppress(OSError):  # it has no address
                answer = fcntl.ioctl(sock, _SIOCGIFBRDADDR, struct.pack("256s", name.encode()))
                found.append(socket.inet_ntoa(answer[20:24]))
    return [ip for ip in found if ip != "0.0.0.0"]
