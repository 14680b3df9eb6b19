"""Whatever a client writes to any PV, the value is taken whole or refused, and the node goes on.

Over the real wire, at a server with a real node behind it (its worker is a fake), and with every write in the journal.
``WRITES`` makes it longer.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from guardian.core import commands
from guardian.core.events import Requested
from guardian.core.graph import Graph
from guardian.core.interface import BY_NAME, Kind
from guardian.core.names import STRING_BYTES, pv_name
from guardian.core.request_cmd import read_command
from guardian.core.view import View
from guardian.errors import RefusedError
from guardian.host import history
from guardian.host.host import Host
from guardian.host.logsink import LogSink
from guardian.host.site import Site
from ioc.cas import wire
from ioc.cas.packing import LAST_TYPE
from ioc.decode import decode
from ioc.server import Server
from tests.host.fake_worker import FACTS, FakeSpawner
from tests.host.house import LIMITS
from tests.ioc.cas.raw import Raw
from tests.ioc.loopthread import LoopThread
from tests.ioc.writes import CHAR, DOUBLE, ENUM, LONG, STRING, WRITABLE, Write, writes
from tests.support import eventually, free_port

EXAMPLES = int(os.environ.get("WRITES", "400"))
#: What a write may change besides its own row, while no worker is asked.
COMMANDS = ("REQUEST_CMD", "WRITE_CMD")
REQUESTS = frozenset({"REQUEST", "REQUEST_N", "REQUEST_CMD"})
TOGETHER = {**{row: REQUESTS for row in REQUESTS}, "MODE": frozenset({"MODE", "MANAGER"})}
VIEW = View(graph=Graph.build(FACTS.states, FACTS.edges))


class Served(LoopThread):
    """A host with one node, SUS, on Channel Access."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.port = free_port()
        self.sent = 0  #: writes that reached the host
        self.told: list[str] = []  #: what the logging of the server says, and what went wrong in the loop

    async def begin(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: self.told.append(f"please report: {context}"))
        self.handler = logging.Handler()
        self.handler.emit = lambda record: self.told.append(self.handler.format(record))  # type: ignore[method-assign]
        logging.getLogger().addHandler(self.handler)
        site = Site(ifo="T2", state_dir=self.folder, limits=LIMITS)
        self.sink = LogSink(self.folder / "log")
        self.server = Server(ifo="T2", interfaces=["127.0.0.1"])
        await self.server.start(self.port)
        self.host = Host(site, self.server, self.sink, make_spawner=FakeSpawner)  # type: ignore[arg-type]
        await self.host.start()
        self.node = await self.host.add("SUS")

    async def end(self) -> None:
        assert await self.host.stop() == ()
        await self.server.stop()
        assert self.sink.close() == 0
        logging.getLogger().removeHandler(self.handler)

    def rows(self) -> dict[str, Any]:
        """What can be written, as the node has it."""
        return self.do(lambda: {name: BY_NAME[name].value(self.node.view) for name in WRITABLE})


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("any-write")
    made = Served(folder)
    with made:
        yield made
    said = (folder / "log").read_text() + "\n".join(made.told)
    assert "please report" not in said and "Traceback" not in said, said[-5000:]
    records = [record for record in history.read(folder / "journal.jsonl") if record["kind"] == "write"]
    assert sum(record.get("count", 1) for record in records) == made.sent  # not one is missing, nor there twice


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[Client]:
    with Client(served) as one:
        yield one


class Client:
    """One connection, which goes on through all that it writes."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.raw = Raw(served.port, user="eve", host="office")
        names = {row: pv_name("{ifo}:GRD-{node}_{name}", ifo="T2", node="SUS", name=row) for row in BY_NAME}
        self.channels = {row: self.raw.channel(name) for row, name in names.items()}

    def write(self, write: Write) -> bool:
        """Whether it was taken; an echo has come back behind the answer."""
        sid, _, _ = self.channels[write.row]
        number = self.raw.put(sid, write.data_type, write.payload, write.count, notify=write.notify)
        self.served.sent += write.data_type <= LAST_TYPE  # what is no type at all is no write
        said = [one for one in self.raw.sync() if one.command in (wire.ERROR, wire.WRITE_NOTIFY)]
        errors = [one for one in said if one.command == wire.ERROR]
        if write.notify and not errors and not said:  # a setting is confirmed when it is safe, after the echo perhaps
            said = [self.raw.next(wire.WRITE_NOTIFY)]
        assert len(said) == (1 if write.notify or errors else 0), said
        if write.notify and not errors:
            assert (said[0].two, said[0].one) == (number, 1)
        if errors:
            text = errors[0].payload[16:] if errors[0].payload[2:4] != b"\xff\xff" else errors[0].payload[24:]
            assert text.strip(b"\0").decode(), "a refusal says why"
        return not errors

    def read(self, row: str) -> Any:
        """As a client sees it, in the channel's own type."""
        sid, data_type, _ = self.channels[row]
        payload = self.raw.read(sid, data_type).payload
        if data_type in (STRING, CHAR):
            return payload.split(b"\0", 1)[0].decode()
        return struct.unpack_from({ENUM: ">H", LONG: ">i", DOUBLE: ">d"}[data_type], payload)[0]

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.raw.socket.close()


def meant(write: Write) -> Any:
    """What the row is to show, if the write is taken; raises RefusedError if its bytes are no value of the row."""
    message = wire.Message(wire.WRITE_NOTIFY, write.data_type, write.count, 1, 1, write.payload)
    value = decode(BY_NAME[write.row], message)
    row = BY_NAME[write.row]
    if row.name in ("LOAD", "REENTER"):
        return 0
    if row.name == "WRITE_CMD":
        return "{}"
    if row.name == "REQUEST_CMD":
        command = read_command(value)
        return json.dumps({"state": command.state.strip(), "id": command.id}) if command.id else "{}"
    if row.kind is Kind.ENUM:
        text = str(value).strip()
        return row.labels.index(text) if text in row.labels else int(text)
    return str(value).strip() if row.name == "REQUEST" else value


def aimed_at(write: Write) -> str:
    """The row that it means to change."""
    if write.row != "WRITE_CMD":
        return write.row
    message = wire.Message(wire.WRITE_NOTIFY, write.data_type, write.count, 1, 1, padded(write).payload)
    return commands.unwrap(decode(BY_NAME[write.row], message)).row


def same(row: str, *values: Any) -> bool:
    """Whether all say the same; of JSON, whatever its spelling."""
    first, *others = [json.loads(value) for value in values] if row in COMMANDS else values
    return all(other == first for other in others)


def padded(write: Write) -> Write:
    """As it comes out of a message, whose payload is a multiple of eight bytes."""
    return Write(write.row, write.data_type, write.count, write.payload + bytes(-len(write.payload) % 8), write.notify)


@pytest.mark.ca
@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(writes())
@example(Write("REQUEST_N", DOUBLE, 1, struct.pack(">d", float("nan"))))
@example(Write("REQUEST_N", DOUBLE, 0, b""))
@example(Write("OP", ENUM, 1, struct.pack(">H", 7)))
@example(Write("MODE", STRING, 1, b"\xff\xfe\0"))
@example(Write("MANAGER", CHAR, 20_000, b"A" * 20_000))
@example(Write("MANAGER", STRING, 1, b"S" * 40))
@example(Write("REQUEST", LONG, 2**31, struct.pack(">i", 1)))
@example(Write("REQUEST_CMD", CHAR, 900, b"[" * 900))
@example(Write("REQUEST_CMD", CHAR, 18, b'{"state": "SAFE"}\0', notify=False))
@example(Write("WRITE_CMD", CHAR, 32, b'{"row": "OP", "value": "PAUSE"}\0'))
@example(Write("WRITE_CMD", CHAR, 39, b'{"row": "MANAGER", "value": "\\ud800"}\0'))
@example(Write("GRAPH", CHAR, 2, b"[]"))
@example(Write("REQUEST_CMD", CHAR, 19, b'{"state": "\\ud800"}'))
@example(Write("MANAGER", 28 + DOUBLE, 1, bytes(80)))
@example(Write("HOST", CHAR, 2, b"{}"))
@example(Write("STATES", LONG, 1, struct.pack(">i", 1)))
@example(Write("HEARTBEAT", DOUBLE, 1, struct.pack(">d", float("inf"))))
def test_whatever_is_written_is_taken_whole_or_refused_and_the_node_goes_on(
    served: Served, client: Client, write: Write
) -> None:
    before = served.rows()
    taken = client.write(write)
    after, shown = served.rows(), client.read(write.row)
    changed = {row for row in after if after[row] != before[row]}
    if taken:
        assert write.row in WRITABLE
        assert changed <= TOGETHER.get(aimed_at(write), {aimed_at(write)})
        assert same(write.row, shown, after[write.row], meant(padded(write)))
    else:
        assert not changed
        if write.row in WRITABLE:
            assert same(write.row, shown, before[write.row])
    assert client.read("HEARTBEAT") >= 0


@pytest.mark.ca
def test_after_all_that_the_node_does_what_it_is_asked(served: Served, client: Client) -> None:
    for row, text in (("MODE", "AUTO"), ("OP", "EXEC"), ("REQUEST", "SAFE")):
        assert client.write(Write(row, STRING, 1, text.encode()))
    eventually(lambda: client.read("HEARTBEAT") > time.time() - 5, 20, "the heart to beat")
    eventually(lambda: client.read("STATE") == "SAFE", 20, "the node to be in SAFE")
    eventually(lambda: client.read("STATUS") == BY_NAME["STATUS"].labels.index("DONE"), 20, "it to be complete")


@pytest.mark.ca
def test_an_array_of_a_megabyte_is_refused_and_a_larger_one_ends_that_client_alone(
    served: Served, client: Client
) -> None:
    size = 2**20 - 64
    assert not client.write(Write("MANAGER", CHAR, size, b"A" * size))
    with Client(served) as other:
        sid, _, _ = other.channels["MANAGER"]
        other.raw.put(sid, CHAR, b"A" * 2**21, 2**21)
        assert other.raw.closed()
    assert client.read("HEARTBEAT") >= 0


@settings(max_examples=10 * EXAMPLES)
@given(writes(), st.sampled_from([VIEW, View()]))
def test_any_bytes_are_an_order_to_the_automaton_or_a_refusal_that_says_why(write: Write, view: View) -> None:
    row, message = BY_NAME[write.row], wire.Message(wire.WRITE, write.data_type, write.count, 1, 1, write.payload)
    try:
        value = decode(row, message)
        if write.row not in WRITABLE:
            return
        row_name = write.row
        if row_name == "WRITE_CMD":
            inner = commands.unwrap(value)
            row_name, value = inner.row, inner.value
        event = commands.parse(row_name, value, "eve@office (10.0.0.9)", view)
    except RefusedError as error:
        assert str(error)
        str(error).encode()  # it can be sent
        return
    if isinstance(event, Requested):
        assert event.state == "NONE" or (view.graph is not None and event.state in view.graph)
        assert event.by.endswith("eve@office (10.0.0.9)") and event.by.isprintable()
    if row_name == "MANAGER":
        assert len(event.manager.encode()) <= STRING_BYTES  # type: ignore[union-attr]
