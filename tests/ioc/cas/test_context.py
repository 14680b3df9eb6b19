"""Any channels of caproto on our Context, with real clients and with bare messages: what a C IOC would do."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import caproto as ca
import numpy as np
import pytest
from caproto.server import PVGroup, pvproperty
from caproto.server.records import AiFields

from ioc.cas import cheap, circuit, connection, line, pacing, search, wire
from ioc.cas.context import Context
from ioc.cas.sockets import bind
from tests.ioc.cas.raw import ALARM, PROPERTY, VALUE, Raw, Serving, subscription
from tests.support import CaClient, Child, PutRefusedError, ca_env, eventually, eventually_async, free_port

pytestmark = pytest.mark.ca

STRING, INT, FLOAT, ENUM, CHAR, LONG, DOUBLE = range(7)
TIME = 14


class Slow(PVGroup):
    """What real IOCs have: putters that think, that refuse, that cannot end; a getter."""

    slow = pvproperty(value=0.0)
    picky = pvproperty(value="A", dtype=ca.ChannelType.STRING)
    never = pvproperty(value=0)
    got = pvproperty(value=0)
    plain = pvproperty(value=1.5, precision=2, units="mm")
    raw = pvproperty(value=b"abc", dtype=bytes, max_length=10)
    analog = pvproperty(value=1.0, record=AiFields)
    seen: list[float]

    @slow.putter
    async def slow(self, _instance: Any, value: float) -> None:
        self.seen.append(value)
        await asyncio.sleep(0.2)
        self.seen.append(-value)

    @picky.putter
    async def picky(self, _instance: Any, value: str) -> None:
        if value not in ("A", "B"):
            raise ValueError(f"no state {value}")

    @never.putter
    async def never(self, _instance: Any, _value: int) -> None:
        await asyncio.sleep(3600)

    @got.getter
    async def got(self, instance: Any) -> int:
        await asyncio.sleep(0)
        return int(instance.value) + 1


class Guarded(cheap.ChannelDouble):
    """Who may do what is decided while it runs."""

    readers = writers = frozenset({"anna"})

    def check_access(self, _hostname: str, username: str) -> ca.AccessRights:
        rights = ca.AccessRights.NO_ACCESS
        if username in self.readers:
            rights |= ca.AccessRights.READ
        return rights | ca.AccessRights.WRITE if username in self.writers else rights


@pytest.fixture(scope="module")
def group() -> Slow:
    made = Slow(prefix="G:")
    made.seen = []
    return made


@pytest.fixture(scope="module")
def serving(group: Slow) -> Iterator[Serving]:
    pvdb: dict[str, Any] = {
        "X": cheap.ChannelDouble(value=0.0, precision=3, units="V"),
        "OLD": ca.ChannelDouble(value=0.0),
        "LIMITED": cheap.ChannelDouble(value=0.0, lower_ctrl_limit=-1.0, upper_ctrl_limit=1.0),
        "TEXT": cheap.ChannelString(value="hello", max_length=1),
        "MODE": cheap.ChannelEnum(value="OFF", enum_strings=["OFF", "ON", "TRIPPED"]),
        "WORDS": ca.ChannelString(value=["a", "b", "c"], max_length=10),
        "IMAGE": ca.ChannelInteger(value=np.arange(500_000, dtype=np.int32), max_length=500_000),
        "GUARDED": Guarded(value=1.0),
    }
    with Serving(pvdb | dict(group.pvdb)) as one:
        yield one


@pytest.fixture(params=["pyepics", "caproto"])
def client(request: pytest.FixtureRequest, serving: Serving) -> Iterator[CaClient]:
    with CaClient(ca_env(serving.port), request.param) as one:
        yield one


def double(message: wire.Message) -> float:
    """The value of a DOUBLE message."""
    return float(struct.unpack_from(">d", message.payload)[0])


# -- channels of all kinds ---------------------------------------------------------------------------------------------


def test_a_pvgroup_is_served_with_its_putters_and_getters(group: Slow, client: CaClient) -> None:
    assert client.info("G:plain").units == "mm"
    client.put("G:plain", 2.5)
    assert client.get("G:plain").value == 2.5
    first = client.get("G:got").value
    assert client.get("G:got").value == first + 1
    client.put("G:picky", "B")
    with pytest.raises(PutRefusedError):
        client.put("G:picky", "Z")
    assert client.get("G:picky").value == "B"


def test_a_put_with_callback_is_answered_when_the_putter_is_done(group: Slow, client: CaClient) -> None:
    group.seen.clear()
    client.put("G:slow", 7.0)
    assert group.seen == [7.0, -7.0]


def test_a_putter_that_never_ends_holds_nobody_up(serving: Serving, group: Slow) -> None:
    with Raw(serving.port) as raw, Raw(serving.port) as other:
        never, x = raw.channel("G:never")[0], raw.channel("X")[0]
        raw.put(never, LONG, struct.pack(">i", 1))
        assert raw.read(x, DOUBLE).one == 1
        assert other.read(other.channel("G:never")[0], LONG).one == 1
    eventually(lambda: serving.circuits == 0, what="the circuits to be gone")


def test_writes_on_one_channel_are_done_one_after_the_other(serving: Serving, group: Slow) -> None:
    group.seen.clear()
    with Raw(serving.port) as raw:
        slow = raw.channel("G:slow")[0]
        for value in (1.0, 2.0, 3.0):
            raw.put(slow, DOUBLE, struct.pack(">d", value))
        for _ in range(3):
            assert raw.next(wire.WRITE_NOTIFY).one == 1
    assert group.seen == [1.0, -1.0, 2.0, -2.0, 3.0, -3.0]


def test_who_waits_long_for_a_turn_gets_its_part_of_that_time(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where turns of the loop are long, a client with much to write is not heard for one write in each."""
    monkeypatch.setattr(connection, "SHARE_S", 0.0)
    monkeypatch.setattr(connection, "SMALLEST_SHARE_S", 0.0)
    count, turns, over = 500, 0, False

    async def busy() -> None:
        nonlocal turns
        while not over:
            turns += 1
            until = time.monotonic() + 0.1
            while time.monotonic() < until:
                pass
            await asyncio.sleep(0)

    with Raw(serving.port) as raw:
        sid, _, _ = raw.channel("X")
        other = asyncio.run_coroutine_threadsafe(busy(), serving._loop)
        try:
            raw.send(*(wire.message(wire.WRITE, DOUBLE, 1, sid, n, struct.pack(">d", n)) for n in range(count)))
            raw.sync()
        finally:
            over = True
        other.result(30)
    assert serving.pvdb["X"].value == count - 1
    assert turns < count / 2, f"{turns} turns for {count} writes"


def test_a_read_behind_a_write_sees_what_it_wrote(serving: Serving) -> None:
    with Raw(serving.port) as raw:
        for name in ("X", "OLD"):
            sid = raw.channel(name)[0]
            for number in range(300):  # more than after which a producer is paced
                raw.put(sid, DOUBLE, struct.pack(">d", number), notify=number % 2 == 0)
                assert double(raw.read(sid, DOUBLE)) == number
            errors = [one for one in raw.sync() if one.command == wire.ERROR]
            assert not errors


@pytest.mark.parametrize("name", ["LIMITED", "G:picky"])
def test_refusals_are_those_of_a_c_ioc(serving: Serving, client: CaClient, name: str) -> None:
    bad, good = (5.0, 0.5) if name == "LIMITED" else ("Z", "A")
    client.put(name, good)
    watched = client.monitor(name)
    before = len(watched.events)
    with pytest.raises(PutRefusedError):
        client.put(name, bad)
    assert watched.wait_for(lambda event: True, start=before).value == good
    before = len(watched.events)
    client.put(name, bad, wait=False)
    assert client.objection(name, timeout_s=20)
    assert watched.wait_for(lambda event: True, start=before).value == good
    assert client.get(name).value == good


def test_string_arrays_and_large_arrays_go_both_ways(serving: Serving, client: CaClient) -> None:
    assert client.get("WORDS").value == ["a", "b", "c"]
    client.put("WORDS", ["x", "y"])
    assert client.get("WORDS").value == ["x", "y"]
    assert client.get("IMAGE").value == list(range(500_000))
    client.put("IMAGE", list(range(500_000, 0, -1)))
    assert serving.do(lambda: list(serving.pvdb["IMAGE"].value[:3])) == [500_000, 499_999, 499_998]
    serving.write("WORDS", ["a", "b", "c"])
    serving.write("IMAGE", np.arange(500_000, dtype=np.int32))


def test_writes_of_every_type_are_converted(serving: Serving) -> None:
    with Raw(serving.port) as raw:
        x, mode, text = (raw.channel(name)[0] for name in ("X", "MODE", "TEXT"))
        for sid, name, data_type, payload, value in (
            (x, "X", STRING, b"1.25", 1.25),
            (x, "X", INT, struct.pack(">h", -3), -3),
            (x, "X", FLOAT, struct.pack(">f", 0.5), 0.5),
            (x, "X", ENUM, struct.pack(">H", 2), 2),
            (x, "X", CHAR, b"\x07", 7),
            (x, "X", LONG, struct.pack(">i", 70_000), 70_000),
            (x, "X", DOUBLE, struct.pack(">d", 1e300), 1e300),
            (mode, "MODE", STRING, b"ON", "ON"),
            (mode, "MODE", ENUM, struct.pack(">H", 2), "TRIPPED"),
            (mode, "MODE", LONG, struct.pack(">i", 0), "OFF"),
            (mode, "MODE", DOUBLE, struct.pack(">d", 1.0), "ON"),
            (text, "TEXT", STRING, b"bye\0", "bye"),
            (text, "TEXT", DOUBLE, struct.pack(">d", 4.5), "4.5"),
        ):
            raw.put(sid, data_type, payload)
            assert raw.next(wire.WRITE_NOTIFY, wire.ERROR).command == wire.WRITE_NOTIFY, (name, data_type)
            assert serving.do(lambda one=name: serving.pvdb[one].value) == value, (name, data_type)
        for sid, data_type, payload in ((x, STRING, b"abc"), (mode, STRING, b"GO"), (mode, ENUM, struct.pack(">H", 9))):
            raw.put(sid, data_type, payload)
            assert raw.next(wire.WRITE_NOTIFY, wire.ERROR).command == wire.ERROR, payload


@pytest.mark.parametrize(("name", "value"), [("G:raw", b"xyz"), ("G:analog", 2.0)])
def test_channels_that_cannot_be_had_as_every_type_can_be_watched_and_written(
    serving: Serving, name: str, value: Any
) -> None:
    with Raw(serving.port) as raw:
        sid, data_type, _ = raw.channel(name)
        raw.subscribe(sid, data_type)
        raw.next(wire.EVENT_ADD)
        serving.write(name, value)
        expected = value if isinstance(value, bytes) else struct.pack(">d", value)
        assert raw.next(wire.EVENT_ADD).payload.rstrip(b"\0") == expected.rstrip(b"\0")
        assert raw.read(sid, data_type).one == 1
        assert raw.read(sid, 38).payload.split(b"\0")[0] == (b"caproto" if name == "G:raw" else b"ai")


# -- flow control ------------------------------------------------------------------------------------------------------


def test_events_off_keeps_the_last_value_of_each_in_the_order_of_change(serving: Serving) -> None:
    with Raw(serving.port) as raw:
        serving.write("MODE", "OFF")
        names = ["X", "TEXT", "MODE", "OLD"]
        sids = {name: raw.channel(name)[0] for name in names}
        numbers = {raw.subscribe(sids[name], STRING): name for name in names}
        raw.sync()
        raw.send(wire.message(wire.EVENTS_OFF))
        raw.sync()
        for number in range(50):
            serving.write("MODE", ["ON", "OFF"][number % 2])
            serving.write("X", float(number))
        serving.write("OLD", 3.0)
        assert raw.sync() == []
        raw.send(wire.message(wire.EVENTS_ON))
        told = [(numbers[one.two], one.payload.split(b"\0")[0]) for one in raw.sync()]
        assert told == [("MODE", b"OFF"), ("X", b"49.000"), ("OLD", b"3")]


def test_a_subscription_that_is_cancelled_while_events_are_off_stays_silent(serving: Serving) -> None:
    with Raw(serving.port) as raw:
        sid = raw.channel("X")[0]
        number = raw.subscribe(sid, DOUBLE)
        raw.sync()
        raw.send(wire.message(wire.EVENTS_OFF))
        raw.sync()
        serving.write("X", 1234.0)
        raw.send(wire.message(wire.EVENT_CANCEL, DOUBLE, 0, sid, number), wire.message(wire.EVENTS_ON))
        (confirmed,) = raw.sync()
        assert (confirmed.command, confirmed.payload, confirmed.two) == (wire.EVENT_ADD, b"", number)


def test_the_same_number_may_be_used_again_for_another_subscription(serving: Serving) -> None:
    with Raw(serving.port) as raw:
        sid = raw.channel("X")[0]
        for _ in range(3):
            raw.send(subscription(sid, 77, DOUBLE))
            raw.next(wire.EVENT_ADD)
            raw.send(wire.message(wire.EVENT_CANCEL, DOUBLE, 0, sid, 77))
            assert raw.next(wire.EVENT_ADD).payload == b""


# -- access rights -----------------------------------------------------------------------------------------------------


def test_rights_that_change_are_told_and_so_is_the_value(serving: Serving) -> None:
    guarded: Any = serving.pvdb["GUARDED"]

    def now(readers: set[str], writers: set[str]) -> None:
        guarded.readers, guarded.writers = frozenset(readers), frozenset(writers)
        serving.context.rights_changed([guarded])

    with Raw(serving.port) as raw:
        sid = raw.channel("GUARDED")[0]
        number = raw.subscribe(sid, DOUBLE)
        assert double(raw.next(wire.EVENT_ADD)) == 1.0
        serving.do(now, {"anna"}, set())
        assert raw.next(wire.ACCESS_RIGHTS).two == 1
        raw.put(sid, DOUBLE, struct.pack(">d", 2.0))
        assert raw.next(wire.ERROR).payload.startswith(struct.pack(">HH", wire.WRITE_NOTIFY, 8))
        serving.do(now, set(), set())
        rights, event = (raw.next(wire.ACCESS_RIGHTS, wire.EVENT_ADD) for _ in range(2))
        assert (rights.command, rights.two) == (wire.ACCESS_RIGHTS, 0)
        assert (event.two, event.one) == (number, wire.code(ca.CAStatus.ECA_NORDACCESS))
        assert raw.read(sid, DOUBLE).one == wire.code(ca.CAStatus.ECA_NORDACCESS)
        serving.write("GUARDED", 3.0)
        assert raw.sync() == []  # what may not be read is not told
        serving.do(now, {"anna"}, {"anna"})
        rights, event = (raw.next(wire.ACCESS_RIGHTS, wire.EVENT_ADD) for _ in range(2))
        assert rights.two == 3 and double(event) == 3.0
        serving.do(serving.context.rights_changed, [guarded])
        assert raw.sync() == []  # nothing has changed


def test_a_client_that_says_later_who_it_is_gets_its_rights(serving: Serving) -> None:
    with Raw(serving.port, user="bob") as raw:
        sid = raw.channel("GUARDED")[0]
        assert raw.read(sid, DOUBLE).one == wire.code(ca.CAStatus.ECA_NORDACCESS)
        raw.send(wire.message(wire.CLIENT_NAME, payload=b"anna\0"))
        assert raw.next(wire.ACCESS_RIGHTS).two == 3
        assert raw.read(sid, DOUBLE).one == 1


def test_libca_hears_of_changed_rights(serving: Serving) -> None:
    guarded: Any = serving.pvdb["GUARDED"]
    with CaClient(ca_env(serving.port)) as client:
        me = eventually(lambda: _user(serving, client, "GUARDED"), what="the client's name")

        def now(readers: set[str], writers: set[str]) -> None:
            guarded.readers, guarded.writers = frozenset(readers), frozenset(writers)
            serving.context.rights_changed([guarded])

        for writers in ({me}, set(), {me}):
            serving.do(now, {me}, writers)
            eventually(lambda want=bool(writers): client.info("GUARDED").writable is want, what=f"{writers} to write")
        serving.do(now, {"anna"}, {"anna"})


def _user(serving: Serving, client: CaClient, name: str) -> str:
    with contextlib.suppress(PutRefusedError):  # it may not read; it is connected
        client.info(name, timeout_s=2)
    return serving.do(lambda: next(iter(serving.context.circuits)).client_username)


# -- finding the server ------------------------------------------------------------------------------------------------


def test_clients_connect_by_name_servers(serving: Serving) -> None:
    env = ca_env(
        free_port(),
        EPICS_CA_ADDR_LIST="",
        EPICS_CA_NAME_SERVERS=f"127.0.0.1:{serving.port}",
        EPICS_CA_AUTO_ADDR_LIST="NO",
    )
    import epicscorelibs.path

    for library in ({}, {"PYEPICS_LIBCA": f"{epicscorelibs.path.lib_path}/libca.so"}):
        with CaClient(env | library) as client:
            assert client.get("MODE", as_string=True, timeout_s=30).value is not None
            watched = client.monitor("X")
            serving.write("X", 17.5)
            watched.wait_value(17.5)
            serving.write("X", 0.0)


def test_a_search_over_tcp_says_no_only_to_who_wants_it(serving: Serving) -> None:
    with Raw(serving.port) as raw:
        for name, reply in ((b"X", 5), (b"NOPE", 5), (b"NOPE", wire.DO_REPLY)):
            raw.send(wire.message(wire.SEARCH, reply, 13, 4711, 4711, name + b"\0"))
        found, missing = raw.sync()[-2:]
        assert (found.command, found.data_type, found.two) == (wire.SEARCH, serving.port, 4711)
        assert (missing.command, missing.two) == (wire.NOT_FOUND, 4711)


def test_another_priority_on_a_circuit_is_taken(serving: Serving) -> None:
    with Raw(serving.port) as raw:
        raw.send(wire.message(wire.VERSION, 7, 13), wire.message(wire.VERSION, 1, 13))
        assert raw.channel("X")


def test_a_datagram_is_answered_in_one_with_its_sequence_number(serving: Serving) -> None:
    names = [b"X", b"NOPE", b"TEXT.VAL", b"X.", b'IMAGE.{"arr":{"s":1}}', b"X.{oops", b"MODE"]
    request = wire.message(wire.VERSION, 1, 13, 99)
    request += b"".join(wire.message(wire.SEARCH, 5, 13, n, n, name + b"\0") for n, name in enumerate(names))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(30)
        sock.sendto(request, ("127.0.0.1", serving.port))
        version, *found = wire.Parser().feed(sock.recv(2000))
    assert (version.command, version.data_type, version.one) == (wire.VERSION, 1, 99)
    assert [one.two for one in found] == [0, 2, 3, 4, 5, 6]  # a filter is looked at when the channel is made


def test_unknown_names_do_not_reach_the_parser_of_names(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(name: str) -> Any:
        raise AssertionError(name)

    monkeypatch.setattr(ca, "parse_record_field", asked)
    for name in ("NOPE", "NOPE.VAL", 'NOPE.{"arr":{}}', ""):
        assert search.find(serving.context, name) is None


def test_a_client_that_waits_finds_the_server_soon_after_its_start(tmp_path: Any) -> None:
    """It has searched in vain for so long that it asks seldom; the first beacons make it ask again."""
    port, repeater = free_port(), free_port()
    env = ca_env(port, EPICS_CA_REPEATER_PORT=str(repeater), EPICS_CAS_BEACON_PORT=str(repeater))
    argv = [f"{sys.prefix}/bin/caproto-repeater"]
    server = [sys.executable, "-m", "tests.support.load_server", "cheap", "W:", "1"]
    with ExitStack() as stack:
        repeating = stack.enter_context(Child(argv, env=env))
        eventually(lambda: _taken(repeater), what="the repeater")
        client = stack.enter_context(CaClient(env))
        with pytest.raises(Exception, match="not connected"):
            client.get("W:BEAT", timeout_s=12)  # by now it asks every 8 s and more
        with Child(server, env=env, stdin=True) as serving:
            serving.wait_for("READY", 60)
            began = time.monotonic()
            client.get("W:BEAT", timeout_s=60)
            print(f"found after {time.monotonic() - began:.1f} s")
        assert repeating.returncode is None, repeating.report()


def _taken(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind(("", port))
        except OSError:
            return True
    return False


# -- producers and clients that do not keep up -------------------------------------------------------------------------


def test_a_producer_that_never_waits_lets_the_server_answer(serving: Serving) -> None:
    stop = asyncio.Event()

    async def produce() -> None:
        for number in itertools.count():
            await serving.pvdb["X"].write(float(number))
            if stop.is_set():
                return

    with Raw(serving.port) as raw:
        sid = raw.channel("X")[0]
        raw.subscribe(sid, DOUBLE)
        task = asyncio.run_coroutine_threadsafe(produce(), serving._loop)
        for _ in range(20):
            assert raw.read(sid, DOUBLE).one == 1
        serving.do(stop.set)
        task.result(30)
        last = [double(one) for one in raw.sync() if one.command == wire.EVENT_ADD]
        assert last[-1] == serving.do(lambda: serving.pvdb["X"].value)
    assert pacing.UPDATES < 1000
    serving.write("X", 0.0)


def test_a_client_that_asks_without_reading_is_not_read_from(serving: Serving) -> None:
    """It asks for 400 images of 2 MB; what the server holds for it stays small, and others are answered."""
    import psutil

    before = psutil.Process().memory_info().rss
    with Raw(serving.port, receive_bytes=4096) as greedy, Raw(serving.port) as other:
        sid = greedy.channel("IMAGE")[0]
        x = other.channel("X")[0]
        greedy.send(*(wire.message(wire.READ_NOTIFY, LONG, 0, sid, n) for n in range(400)))
        for _ in range(50):
            assert other.read(x, DOUBLE).one == 1
        assert psutil.Process().memory_info().rss - before < 100e6
        for _ in range(400):  # and all of it arrives once it reads
            assert len(greedy.next(wire.READ_NOTIFY).payload) == 2_000_000


def test_a_frozen_client_is_closed_and_says_so(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(line, "FULL_S", 0.5)
    with Raw(serving.port, user="sleepy", receive_bytes=4096) as frozen:
        sid = frozen.channel("IMAGE")[0]
        frozen.send(*(wire.message(wire.READ_NOTIFY, LONG, 0, sid, n) for n in range(20)))
        serving.wait_circuits(0)
    assert "sleepy@bench (127.0.0.1) does not read what it asked for" in caplog.text


def test_closing_many_monitors_is_fair(serving: Serving) -> None:
    """4,000 monitors, cancelled and cleared in one packet, while another client's requests are answered in between."""
    with Raw(serving.port) as many, Raw(serving.port) as other:
        sids = []
        for number in range(4000):
            name = [b"X\0", b"OLD\0", b"TEXT\0", b"MODE\0"][number % 4]
            many.send(wire.message(wire.CREATE_CHAN, 0, 0, 1, 13, name))
        for _ in range(4000):
            sids.append(many.next(wire.CREATE_CHAN).two)
        many.send(*(subscription(sid, 1, TIME + STRING) for sid in sids))
        many.sync()
        x = other.channel("X")[0]
        goodbye = [
            wire.message(wire.EVENT_CANCEL, TIME + STRING, 0, sid, 1) + wire.message(wire.CLEAR_CHANNEL, 0, 0, sid, 1)
            for sid in sids
        ]
        many.send(*goodbye, wire.message(wire.ECHO))
        answered = 0
        while not serving.do(lambda: _idle(serving)):
            assert other.read(x, DOUBLE).one == 1
            answered += 1
        many.next(wire.ECHO)
        print(f"{answered} reads of another client meanwhile")
    serving.wait_circuits(0)
    assert serving.do(lambda: serving.context._audiences) == {}


def _idle(serving: Serving) -> bool:
    return all(len(one.channels) < 10 for one in serving.context.circuits)


def test_a_circuit_that_ends_leaves_nothing(serving: Serving) -> None:
    with Raw(serving.port) as raw:
        for name in ("X", "OLD", "G:plain", "IMAGE"):
            raw.subscribe(raw.channel(name)[0], DOUBLE, mask=VALUE | ALARM | PROPERTY)
        raw.sync()
    serving.wait_circuits(0)
    assert serving.do(lambda: serving.context._audiences) == {}
    for name in ("X", "OLD", "G:plain", "IMAGE"):
        assert not serving.pvdb[name]._queues and not getattr(serving.pvdb[name], "audiences", ())


def test_an_error_of_ours_ends_one_circuit_and_is_logged(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setitem(circuit.Circuit._handlers, wire.READ_SYNC, broken)
    with Raw(serving.port) as raw, Raw(serving.port) as other:
        raw.send(wire.message(wire.READ_SYNC))
        assert raw.closed()
        assert other.channel("X")
    assert "Please report this" in caplog.text


async def test_hooks_run_and_a_cancelled_server_closes_everything() -> None:
    said = []

    class Hooked(PVGroup):
        one = pvproperty(value=0)

        @one.startup
        async def one(self, _instance: Any, _layer: Any) -> None:
            said.append("up")

        @one.shutdown
        async def one(self, _instance: Any, _layer: Any) -> None:
            said.append("down")

    port = free_port()
    context = Context(Hooked(prefix="H:").pvdb, ["127.0.0.1"], bound=bind(["127.0.0.1"], port))

    async def started(_layer: Any) -> None:
        said.append("started")

    server = asyncio.ensure_future(context.run(startup_hook=started))
    await eventually_async(lambda: len(said) == 2)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    server.cancel()
    await asyncio.wait([server])
    assert said == ["started", "up", "down"] and server.cancelled()
    await asyncio.wait_for(reader.read(), 30)
    writer.close()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", port))


def test_a_stopped_process_that_goes_on_gets_the_present_value(serving: Serving) -> None:
    with CaClient(ca_env(serving.port)) as client:
        watched = client.monitor("X")
        os.kill(client.child.pid, signal.SIGSTOP)
        for number in range(2000):
            serving.write("X", float(number))
        os.kill(client.child.pid, signal.SIGCONT)
        watched.wait_value(1999.0)
        assert False not in watched.connections
    serving.write("X", 0.0)


def test_a_channel_may_be_taken_away_while_its_client_leaves(serving: Serving) -> None:
    """Leaving is spread over turns of the loop; what is taken away in between is not taken twice."""
    with Raw(serving.port) as raw:
        for number in range(2500):
            raw.send(wire.message(wire.CREATE_CHAN, 0, 0, number, 13, [b"X\0", b"OLD\0"][number % 2]))
        raw.sync()

    async def leave_and_take() -> None:
        await eventually_async(lambda: not serving.context.circuits, period_s=0)
        serving.context.take_away([serving.pvdb["X"], serving.pvdb["OLD"]])

    serving.run(leave_and_take())
    eventually(lambda: serving.do(lambda: not serving.context._audiences), what="no audience")


def test_a_name_of_any_length_is_answered(serving: Serving) -> None:
    with Raw(serving.port) as raw:
        raw.send(wire.message(wire.CREATE_CHAN, 0, 0, 1, 13, b'X.{"ts":{}' + b" " * 900_000 + b"}\0"))
        assert raw.next(wire.CREATE_CHAN, wire.CREATE_CH_FAIL).command == wire.CREATE_CH_FAIL


def test_one_client_watches_a_limited_number_of_bytes(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circuit, "MAX_WATCHED_BYTES", 5_000_000)
    with Raw(serving.port) as raw:
        sid = raw.channel("IMAGE")[0]
        numbers = [raw.subscribe(sid, LONG) for _ in range(3)]
        answers = [raw.next(wire.EVENT_ADD, wire.ERROR) for _ in range(3)]
        assert [one.command for one in answers] == [wire.EVENT_ADD, wire.EVENT_ADD, wire.ERROR]
        raw.send(wire.message(wire.EVENT_CANCEL, LONG, 0, sid, numbers[0]))
        raw.subscribe(sid, LONG)
        assert len(raw.sync()) == 2


def test_many_strings_are_taken_apart_at_once(serving: Serving) -> None:
    with Raw(serving.port) as raw:
        sid = raw.channel("IMAGE")[0]
        raw.put(sid, STRING, b"7".ljust(40, b"\0") * 100_000, 100_000)
        assert raw.next(wire.WRITE_NOTIFY, wire.ERROR).command == wire.WRITE_NOTIFY
    serving.write("IMAGE", np.arange(500_000, dtype=np.int32))


def test_writes_that_hang_do_not_keep_a_client_that_left(serving: Serving, group: Slow) -> None:
    with Raw(serving.port) as raw:
        sid = raw.channel("G:never")[0]
        for _ in range(150):
            raw.put(sid, LONG, struct.pack(">i", 1))
        refused = [one for one in raw.sync() if one.command == wire.ERROR]
        assert len(refused) == 50
    serving.wait_circuits(0)


def test_a_client_that_is_refused_often_floods_only_itself(serving: Serving) -> None:
    with Raw(serving.port) as bad, Raw(serving.port) as other:
        watched = other.channel("LIMITED")[0]
        other.subscribe(watched, DOUBLE)
        other.sync()
        sid = bad.channel("LIMITED")[0]
        for _ in range(2000):
            bad.put(sid, DOUBLE, struct.pack(">d", 9.0), notify=False)
        assert sum(one.command == wire.ERROR for one in bad.sync()) == 2000
        assert 1 <= len(other.sync()) < 1000


def test_a_pv_that_cannot_say_who_may_use_it_takes_no_other_away(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(Guarded, "check_access", broken)
    with Raw(serving.port) as raw:
        sid = raw.channel("GUARDED")[0]
        assert raw.read(sid, DOUBLE).one == wire.code(ca.CAStatus.ECA_NORDACCESS)
        assert raw.channel("X")


async def test_a_server_that_stops_serves_nobody_who_came_just_then() -> None:
    port = free_port()
    context = Context({"X": cheap.ChannelDouble(value=0.0)}, ["127.0.0.1"], bound=bind(["127.0.0.1"], port))
    await context.start()
    late = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]
    await asyncio.sleep(0)
    await context.stop()
    await eventually_async(lambda: not context.circuits)
    for sock in late:
        sock.close()


def test_a_write_that_has_less_than_it_says_is_refused(serving: Serving) -> None:
    with Raw(serving.port) as raw:
        text, x = raw.channel("TEXT")[0], raw.channel("X")[0]
        for sid, data_type, payload in ((text, 7, b""), (x, DOUBLE, b""), (x, 14 + DOUBLE, b"\0" * 8)):
            raw.put(sid, data_type, payload)
            assert raw.next(wire.WRITE_NOTIFY, wire.ERROR).command == wire.ERROR, (data_type, payload)
        raw.put(text, STRING, b"ab")  # a single string may be sent up to its NUL only
        assert raw.next(wire.WRITE_NOTIFY, wire.ERROR).command == wire.WRITE_NOTIFY
