"""Who serves a name: real servers of three kinds answer, bad ones do not keep us, and nobody is an answer too."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import caproto as ca
import pytest

from ioc.cas import ask, wire
from ioc.cas.ask import Address, Answers, search
from tests.ioc.cas.raw import Serving
from tests.support import Child, SoftIoc, ca_env, eventually, eventually_async, free_port

pytestmark = pytest.mark.ca

HERE = "127.0.0.1"
VARIABLES = ("ADDR_LIST", "AUTO_ADDR_LIST", "SERVER_PORT", "NAME_SERVERS")


async def read(server: Address, names: list[str]) -> dict[str, str | None]:
    values: dict[str, str | None] = {}
    await ask.read(server, names, values)
    return values


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is asked unless a test says so."""
    for name in VARIABLES:
        monkeypatch.delenv(f"EPICS_CA_{name}", raising=False)
    monkeypatch.setenv("EPICS_CA_AUTO_ADDR_LIST", "NO")


@pytest.fixture
async def resolver() -> AsyncIterator[None]:
    """For tests with names of hosts: they are looked up in a thread of the loop's, which ends with the test."""
    yield
    await asyncio.get_running_loop().shutdown_default_executor()


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets a variable to addresses; a number is a port here."""

    def to(*addresses: str | int, variable: str = "ADDR_LIST") -> None:
        text = " ".join(one if isinstance(one, str) else f"{HERE}:{one}" for one in addresses)
        monkeypatch.setenv(f"EPICS_CA_{variable}", text)

    return to


def text(value: str) -> ca.ChannelChar:
    return ca.ChannelChar(value=value, max_length=2000, string_encoding="utf-8")


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Serving, Serving]]:
    with (
        Serving({"A": text("of one"), "BOTH": text("of one"), "N": ca.ChannelDouble(value=3.0)}) as one,
        Serving({"BOTH": text("of two, \N{SNOWMAN}" * 50), "S": ca.ChannelString(value="short")}) as two,
    ):
        yield one, two


async def test_all_servers_that_have_a_name_are_found(
    servers: tuple[Serving, Serving], listed: Callable[..., None]
) -> None:
    one, two = ((HERE, server.port) for server in servers)
    listed(one[1], two[1], free_port())
    found = await search(["A", "BOTH", "S", "NOBODYS"])
    assert found == Answers({one: {"A", "BOTH"}, two: {"BOTH", "S"}}, [])


@pytest.mark.usefixtures("resolver")
async def test_the_usual_port_is_for_addresses_without_one(
    servers: tuple[Serving, Serving], listed: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EPICS_CA_SERVER_PORT", str(servers[0].port))
    listed(HERE)
    assert (await search(["A"])).servers == {(HERE, servers[0].port): {"A"}}
    monkeypatch.setenv("EPICS_CA_ADDR_LIST", "localhost")
    assert (await search(["A"])).servers == {(HERE, servers[0].port): {"A"}}


async def test_by_broadcast_and_where_there_is_none_on_loopback(
    servers: tuple[Serving, Serving], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EPICS_CA_SERVER_PORT", str(servers[0].port))
    monkeypatch.setattr(ask, "_broadcast_addresses", lambda: [])
    for auto in ("", "YES", "no?"):
        monkeypatch.setenv("EPICS_CA_AUTO_ADDR_LIST", auto)
        assert (await search(["A"])).servers == {(HERE, servers[0].port): {"A"}}
    monkeypatch.undo()
    for address in ask._broadcast_addresses():
        assert socket.inet_aton(address) != bytes(4)


@pytest.mark.usefixtures("resolver")
async def test_a_name_server_is_asked_over_tcp(servers: tuple[Serving, Serving], listed: Callable[..., None]) -> None:
    listed(servers[0].port, f"nobody.invalid:{free_port()}", free_port(), variable="NAME_SERVERS")
    found = await search(["A", "S"])
    assert found.servers == {(HERE, servers[0].port): {"A"}}
    assert len(found.troubles) == 2 and all(trouble.startswith("the name server ") for trouble in found.troubles)


async def test_many_names_go_out_in_datagrams_that_every_network_carries(listed: Callable[..., None]) -> None:
    came: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((HERE, 0))
        sock.setblocking(False)
        listed(sock.getsockname()[1])
        names = [f"X1:GRD-A_LONG_NAME_OF_A_NODE_{i}_HOST" for i in range(600)]
        began = time.monotonic()
        assert await search(names) == Answers()
        assert time.monotonic() - began >= ask.SEARCH_S
        with contextlib.suppress(BlockingIOError):
            while True:
                came.append(sock.recv(65536))
    assert max(map(len, came)) <= 1400
    asked = [m.text for data in came for m in wire.Parser().feed(data) if m.command == wire.SEARCH]
    assert sorted(asked) == sorted(names * ask.ROUNDS)
    assert all(data[:2] == wire.VERSION.to_bytes(2, "big") for data in came)


@pytest.mark.usefixtures("resolver")
@pytest.mark.parametrize(
    "addresses",
    [[], ["127.0.0.1:1"], ["240.0.0.1:5064", "0.0.0.0:1"], ["x:y:z", "1.2.3.4:99999", ":5", "no-such-host.invalid"]],
    ids=["nobody", "refused", "no way there", "no addresses"],
)
async def test_nobody_is_an_answer_and_takes_its_time_and_no_more(
    addresses: list[str], listed: Callable[..., None]
) -> None:
    listed(*addresses)
    took = []
    for _ in range(3):
        began = time.monotonic()
        found = await search(["A"])
        took.append(time.monotonic() - began)
        assert found.servers == {}
    assert min(took) < ask.SEARCH_S + 0.2  # the machine may be busy, but not each time
    if len(addresses) == 4:
        assert len(found.troubles) == 4


class Bad(asyncio.DatagramProtocol):
    """Answers each datagram with others."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = answers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        for answer in self.answers:
            self.transport.sendto(answer, addr)  # type: ignore[attr-defined]


async def test_garbage_is_no_answer(servers: tuple[Serving, Serving], listed: Callable[..., None]) -> None:
    answers = [
        b"\0",
        b"\xff" * 1000,
        bytes(range(256)) * 5,
        wire.message(wire.SEARCH, 5064, 0, 0xFFFFFFFF, 4711),  # a number that was not asked
        wire.message(wire.SEARCH, 0, 0, 0xFFFFFFFF, 0),  # no port
        wire.message(wire.NOT_FOUND, 10, 13, 0, 0),
        wire.head(wire.SEARCH, 2**30, 1, 2**30, 0, 0),  # a longer one than there can be
        *[wire.message(wire.SEARCH, port, 0, 0x7F000001, 1) for port in range(1, 2 * ask.MOST_SERVERS)],
    ]
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: Bad(*answers), local_addr=(HERE, 0))
    try:
        listed(transport.get_extra_info("sockname")[1], servers[0].port)
        found = await search(["A", "B"])
    finally:
        transport.close()
    assert {name for names in found.servers.values() for name in names} <= {"A", "B"}
    assert len(found.servers) <= ask.MOST_SERVERS
    made_up = {(HERE, port) for port in range(1, 2 * ask.MOST_SERVERS)}
    assert set(found.servers) <= made_up | {(HERE, servers[0].port)}


# --- reading


async def test_texts_are_read_and_other_things_are_there(servers: tuple[Serving, Serving]) -> None:
    one, two = servers
    assert await read((HERE, one.port), ["A", "BOTH", "N", "NOBODYS"]) == {"A": "of one", "BOTH": "of one", "N": None}
    assert await read((HERE, two.port), ["A", "BOTH", "S"]) == {"BOTH": "of two, \N{SNOWMAN}" * 50, "S": None}
    assert await read((HERE, two.port), ["NOBODYS"]) == {}
    for server in servers:
        await eventually_async(lambda server=server: server.circuits == 0, 30, "the end of all circuits")


@pytest.mark.proc
def test_a_real_ioc_is_found_and_read(listed: Callable[..., None]) -> None:
    database = 'record(stringin, "T:STATE") { field(VAL, "UP") field(PINI, "YES") }\n'
    database += 'record(waveform, "T:HOST") { field(FTVL, "CHAR") field(NELM, "100") }\n'
    with SoftIoc(database, free_port()) as running:
        listed(running.port)

        async def ask_it() -> tuple[Answers, dict[str, str | None]]:
            return await search(["T:STATE", "T:NO"]), await read((HERE, running.port), ["T:STATE", "T:HOST", "T:NO"])

        found, values = asyncio.run(ask_it())
    assert found.servers == {(HERE, running.port): {"T:STATE"}}
    assert values == {"T:STATE": None, "T:HOST": ""}


@pytest.mark.proc
def test_a_server_of_caproto_is_found_and_read(child: Callable[..., Child], listed: Callable[..., None]) -> None:
    port = free_port()
    server = Path(__file__).parents[2] / "support" / "ca_server.py"
    child([sys.executable, server, "T:"], env=ca_env(port))
    listed(port)

    async def ask_it() -> tuple[Answers, dict[str, str | None]]:
        found = await search(["T:TXT", "T:REQ"])
        return found, await read((HERE, port), ["T:TXT", "T:REQ", "T:NO"]) if found.servers else {}

    found, values = eventually(lambda: (got := asyncio.run(ask_it()))[1] and got, 60, "an answer")
    assert found.servers == {(HERE, port): {"T:TXT", "T:REQ"}}
    assert values == {"T:TXT": "hallo \u00b5", "T:REQ": None}


@asynccontextmanager
async def served(*words: bytes, close: bool) -> AsyncIterator[int]:
    """The port of a server that says this to everybody, whatever they say."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            for word in words:
                writer.write(word)
            if not close:
                await reader.read(-1)
        writer.close()

    server = await asyncio.start_server(serve, HERE, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("words", [(), (wire.message(wire.VERSION, 0, 13),), (b"\0" * 7,)])
async def test_who_does_not_answer_is_not_waited_for_long(words: tuple[bytes, ...], monkeypatch) -> None:
    monkeypatch.setattr(ask, "READ_S", 0.3)
    async with served(*words, close=False) as port:
        with pytest.raises(TimeoutError):
            await read((HERE, port), ["A"])


async def test_what_was_said_before_somebody_went_silent_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "READ_S", 0.3)
    words = [wire.message(wire.CREATE_CHAN, 4, 10, cid, 100 + cid) for cid in range(2)]
    words.append(wire.message(wire.READ_NOTIFY, 4, 3, 1, 0, b"yes"))
    async with served(*words, close=False) as port:
        values: dict[str, str | None] = {}
        with pytest.raises(TimeoutError):
            await ask.read((HERE, port), ["A", "B", "C"], values)
    assert values == {"A": "yes", "B": None}


async def test_who_says_a_little_for_ever_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "MOST_READ_S", 0.5)

    ended = asyncio.Event()

    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(wire.message(wire.ECHO))
                await writer.drain()
                await asyncio.sleep(0.01)
        ended.set()

    async with await asyncio.start_server(drip, HERE, 0) as server:
        with pytest.raises(TimeoutError):
            await read((HERE, server.sockets[0].getsockname()[1]), ["A"])
        await asyncio.wait_for(ended.wait(), 30)


async def test_who_closes_or_speaks_something_else_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(close=True) as port:
        with pytest.raises(ConnectionError):
            await read((HERE, port), ["A"])
    with pytest.raises(ConnectionError):
        await read((HERE, port), ["A"])  # nobody there any more
    async with served(b"SSH-2.0-OpenSSH_9.6\r\n" + b"\xff" * 100, close=False) as port:
        monkeypatch.setattr(ask, "READ_S", 0.3)
        with pytest.raises((wire.ProtocolError, TimeoutError)):
            await read((HERE, port), ["A"])


async def test_who_refuses_to_read_or_takes_a_channel_away_has_answered() -> None:
    created = [wire.message(wire.CREATE_CHAN, 4, 10, cid, 100 + cid) for cid in range(3)]
    after = [
        wire.message(wire.ERROR, 0, 0, 0, 152, b"no"),
        wire.message(wire.SERVER_DISCONN, 0, 0, 1),
        wire.message(wire.READ_NOTIFY, 4, 3, 1, 2, b"yes"),
    ]
    async with served(*created, *after, close=False) as port:
        assert await read((HERE, port), ["A", "B", "C"]) == {"A": None, "C": "yes"}
