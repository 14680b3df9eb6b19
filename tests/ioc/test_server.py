"""The Channel Access face with real clients: libca as pyepics has it, libca 7 of EPICS base, caproto, a real IOC."""

from __future__ import annotations

import asyncio
import gc
import json
import random
import socket
import struct
import sys
import time
from collections.abc import Iterator

import caproto as ca
import pytest

from guardian.core.interface import ROWS, Kind
from guardian.enums import ErrorKind, Op, Severity
from guardian.errors import ExpectedError, InternalError
from ioc.cas import circuit, line
from ioc.node import RowChannel
from ioc.server import Server
from tests.ioc.served import FakeNode, RawClient, Served, pv, running, updates
from tests.support import CaClient, Child, PutRefusedError, ca_env, eventually, free_port, softioc

pytestmark = pytest.mark.ca

NATIVE = {
    Kind.ENUM: "ENUM",
    Kind.BOOL: "ENUM",
    Kind.STRING: "STRING",
    Kind.STRINGS: "STRING",
    Kind.LONG: "CHAR",
    Kind.INT: "LONG",
    Kind.DOUBLE: "DOUBLE",
}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with Served() as one:
        yield one


@pytest.fixture(scope="module")
def pyepics(served: Served) -> Iterator[CaClient]:
    with CaClient(ca_env(served.port)) as client:
        yield client


@pytest.fixture(scope="module")
def libca7(served: Served) -> Iterator[CaClient]:
    import epicscorelibs.path

    library = f"{epicscorelibs.path.lib_path}/libca.so"
    with CaClient(ca_env(served.port, PYEPICS_LIBCA=library)) as client:
        yield client


@pytest.fixture(scope="module")
def caproto(served: Served) -> Iterator[CaClient]:
    with CaClient(ca_env(served.port), "caproto") as client:
        yield client


@pytest.fixture(params=["pyepics", "libca7", "caproto"])
def client(request: pytest.FixtureRequest) -> CaClient:
    """Each kind of client in turn."""
    found: CaClient = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def node(served: Served) -> Iterator[FakeNode]:
    made = served.node()
    yield made
    if made.name in served.server._nodes:
        served.do(served.server.close, made.name)


# -- what is shown ---------------------------------------------------------------------------------------------------


def test_every_row_is_read_as_what_it_is(served: Served, node: FakeNode, client: CaClient) -> None:
    for update in updates(node.view):
        row, name = update.row, pv(node, update.row.name)
        reading = client.get(name, as_string=row.kind is Kind.LONG)
        assert reading.value == update.value, name
        assert reading.kind == NATIVE[row.kind], name
        assert reading.severity == update.severity, name


def test_labels_units_precision_rights_and_sizes(node: FakeNode, client: CaClient) -> None:
    for row in {(row.kind, row.writable, row.units): row for row in ROWS}.values():
        if row.kind is Kind.LONG and client.kind == "caproto":
            continue  # its limits are bytes, which the line to the child cannot carry
        info = client.info(pv(node, row.name))
        assert (info.kind, info.readable, info.writable) == (NATIVE[row.kind], True, row.writable), row.name
        assert info.count == {Kind.LONG: row.size + 1, Kind.STRINGS: row.size}.get(row.kind, 1), row.name
        assert tuple(info.labels) == row.labels, row.name
        if row.kind in (Kind.INT, Kind.DOUBLE):
            assert info.units == row.units, row.name
            assert info.details["upper_ctrl_limit"] == (row.high or 0), row.name
        if row.kind is Kind.DOUBLE:
            assert info.details["precision"] == row.precision, row.name


def test_val_and_desc(node: FakeNode, client: CaClient) -> None:
    for row in {row.kind: row for row in ROWS}.values():
        assert client.get(pv(node, row.name) + ".DESC").value == row.text[:39]
        value = client.get(pv(node, row.name)).value
        assert client.get(pv(node, row.name) + ".VAL").value == value
    assert client.info(pv(node, "OP.VAL")).writable
    assert not client.info(pv(node, "OP.DESC")).writable
    client.put(pv(node, "OP.VAL"), "PAUSE")
    assert client.get(pv(node, "OP")).value == Op.PAUSE


def test_long_texts_and_a_thousand_states(served: Served, client: CaClient) -> None:
    node = served.node(running(999))
    served.do(node.become, message="Grüße " * 40)
    assert client.get(pv(node, "GRDMSG"), as_string=True).value == "Grüße " * 40
    states = client.get(pv(node, "STATES")).value
    assert states == ["INIT", *(f"S{n}" for n in range(999))]
    facts = json.loads(client.get(pv(node, "GRAPH"), as_string=True).value)
    assert len(facts["states"]) == 1000
    message = client.monitor(pv(node, "GRDMSG"), as_string=True)
    listed = client.monitor(pv(node, "STATES"))
    for text in ("short", "", "long " * 300):
        served.do(node.become, message=text)
        message.wait_value(text)
    served.do(node.become, graph=None)
    listed.wait_value([])


def test_each_pv_has_its_own_alarm_and_the_stamp_of_its_step(served: Served, node: FakeNode, client: CaClient) -> None:
    error, ok, op = (client.monitor(pv(node, name)) for name in ("ERROR", "OK", "OP"))
    served.do(node.become, stamp=1_700_000_000.25, error=ErrorKind.ERROR)
    assert error.wait_value(1).severity == Severity.MAJOR
    seen = ok.wait_value(0)
    assert (seen.severity, seen.stamp_utc) == (Severity.MAJOR, pytest.approx(1_700_000_000.25, abs=1e-6))
    assert op.events[-1].severity == Severity.NO_ALARM
    served.do(node.become, error=ErrorKind.NONE)
    assert ok.wait_value(1, start=len(ok.events) - 1).severity == Severity.NO_ALARM


def test_a_severity_alone_is_an_event(served: Served, node: FakeNode, client: CaClient) -> None:
    state = client.monitor(pv(node, "STATE"))
    served.do(node.become, known=False)
    event = state.wait_for(lambda event: event.severity == Severity.INVALID)
    assert event.value == "S0"


def test_masks(served: Served, node: FakeNode) -> None:
    with RawClient(served.port) as raw:
        channel = raw.channel(pv(node, "STATE"))
        ids = {}
        for mask in (ca.SubscriptionType.DBE_VALUE, ca.SubscriptionType.DBE_ALARM, ca.SubscriptionType.DBE_PROPERTY):
            request = channel.subscribe(mask=mask)
            ids[request.subscriptionid] = mask.name
            raw.send(request)
        raw.until(ca.EventAddResponse, 3)  # each gets the present value
        served.do(node.become, known=False)
        served.do(node.become, state="S1")
        raw.send(channel.read())
        events = [one for one in raw.until(ca.ReadNotifyResponse) if isinstance(one, ca.EventAddResponse)]
        assert [(ids[one.subscriptionid], one.data[0]) for one in events] == [
            ("DBE_ALARM", b"S0"),
            ("DBE_VALUE", b"S1"),
        ]


def test_who_asks_for_a_number_of_elements_gets_so_many(served: Served, node: FakeNode) -> None:
    with RawClient(served.port) as raw:
        states, text = raw.channel(pv(node, "STATES")), raw.channel(pv(node, "GRDMSG"))
        raw.send(states.subscribe(data_count=6), text.subscribe(data_count=4))
        listed, message = raw.until(ca.EventAddResponse, 2)
        assert list(listed.data) == [b"INIT", b"S0", b"S1", b"S2", b"", b""]
        assert bytes(message.data) == b"\0\0\0\0"
        for bad in (states.subscribe(data_count=1001), states.read(data_count=2**31)):
            raw.send(bad)
            assert raw.until(ca.ErrorResponse)[-1].status.name == "ECA_BADCOUNT"


# -- writes ----------------------------------------------------------------------------------------------------------


def test_accepted_writes_reach_the_node_as_plain_values(node: FakeNode, client: CaClient) -> None:
    for name, written in (
        ("OP", "PAUSE"),
        ("OP", 2),
        ("REQUEST", "S1"),
        ("REQUEST_N", 3),
        ("REQUEST_N", "2"),
        ("MANAGER", "Gruß"),
        ("REENTER", 1),
        ("REENTER", "True"),
    ):
        client.put(pv(node, name), written)
    assert [write[:2] for write in node.writes] == [
        ("OP", "PAUSE"),
        ("OP", 2),
        ("REQUEST", "S1"),
        ("REQUEST_N", 3),
        ("REQUEST_N", 2),
        ("MANAGER", "Gruß"),
        ("REENTER", 1),
        ("REENTER", 1),
    ]
    assert all(by.endswith("(127.0.0.1)") and "@" in by for _, _, by in node.writes)
    assert client.get(pv(node, "MANAGER")).value == "Gruß"


@pytest.mark.parametrize("wait", [True, False], ids=["with callback", "plain"])
def test_a_refused_write_is_told_and_the_old_value_posted_again(
    served: Served, node: FakeNode, client: CaClient, pyepics: CaClient, wait: bool
) -> None:
    for name, bad, old, sentence in (
        ("REQUEST", "NOWHERE", "S0", "no such state"),
        ("REQUEST_N", 77, 1, "no state has index 77"),
        ("OP", "GO", Op.EXEC, "'GO' is none of STOP, PAUSE, EXEC"),
        ("OP", 9, Op.EXEC, "9 is none of"),
        ("REENTER", "banana", 0, "write 0 or 1"),
        ("REQUEST_N", "ten", 1, "'ten' cannot be taken"),
    ):
        watched = pyepics.monitor(pv(node, name))
        before = len(watched.events)
        if wait:
            with pytest.raises(PutRefusedError) as refusal:
                client.put(pv(node, name), bad)
            if client.kind == "caproto":  # libca has no room for the server's words here
                assert sentence in str(refusal.value)
        else:
            client.put(pv(node, name), bad, wait=False)
            assert sentence in str(client.objection(pv(node, name), timeout_s=20))
        assert watched.wait_for(lambda event: True, start=before).value == old
        assert client.get(pv(node, name)).value == old
    assert len(node.refused) == 6


def test_a_fault_of_the_host_fails_the_put_and_nothing_else(node: FakeNode, client: CaClient) -> None:
    node.broken = True
    with pytest.raises(PutRefusedError):
        client.put(pv(node, "OP"), "STOP")
    node.broken = False
    client.put(pv(node, "OP"), "STOP")
    assert client.get(pv(node, "OP")).value == Op.STOP


def test_read_only_rows_refuse_also_a_forced_write(served: Served, node: FakeNode, client: CaClient) -> None:
    with pytest.raises(PutRefusedError):
        client.put(pv(node, "STATE"), "S1", timeout_s=5)
    with RawClient(served.port) as raw:
        for name in ("STATE", "STATE.VAL", "STATE.DESC", "OP.DESC"):
            channel = raw.channel(pv(node, name))
            assert channel.access_rights == ca.AccessRights.READ
            for notify in (True, False):
                raw.send(channel.write(b"S1", notify=notify, data_type=ca.ChannelType.STRING, data_count=1))
                error = raw.until(ca.ErrorResponse)[-1]
                assert error.status.name == "ECA_NOWTACCESS" and b"read only" in error.error_message
    assert node.writes == []


def test_values_that_cannot_be_read_are_refused(served: Served, node: FakeNode) -> None:
    types = ca.ChannelType
    with RawClient(served.port) as raw:
        for name, data, data_type, count in (
            ("REQUEST", b"\xff\xfe", types.STRING, 1),
            ("REQUEST", b"S" * 40, types.STRING, 1),
            ("REQUEST", [b"S0", b"S1"], types.STRING, 2),
            ("REQUEST", b"x" * 300, types.CHAR, 300),
            ("REQUEST_N", [float("nan")], types.DOUBLE, 1),
            ("REQUEST_N", [2.7], types.DOUBLE, 1),
            ("REQUEST_N", [1, 2], types.LONG, 2),
            ("OP", [float("inf")], types.DOUBLE, 1),
            ("OP", [0], types.PUT_ACKS, 1),
        ):
            channel = raw.channel(pv(node, name))
            for notify in (True, False):
                raw.send(channel.write(data, data_type=data_type, data_count=count, notify=notify))
                error = raw.until(ca.ErrorResponse)[-1]
                assert error.status.name == "ECA_PUTFAIL", (name, data)
        raw.send(channel.read())
        raw.until(ca.ReadNotifyResponse)
    assert node.writes == []
    assert len(node.refused) == 18, "the node hears of each, so that GRDMSG and log say who wrote what"


# -- order -----------------------------------------------------------------------------------------------------------


def test_one_step_arrives_in_its_order_on_one_circuit(served: Served, node: FakeNode, client: CaClient) -> None:
    names = ["STATUS", "TARGET", "REQUEST", "STATE", "SUMMARY"]
    # Subscribed the other way round, so that the order is the step's.
    monitors = {name: client.monitor(pv(node, name), as_string=name == "SUMMARY") for name in reversed(names)}
    started = {name: len(monitor.events) for name, monitor in monitors.items()}
    steps = 30
    for number in range(steps):
        client.put(pv(node, "REQUEST"), f"S{(number + 1) % 3}", wait=number % 2 == 0)
    eventually(lambda: len(node.writes) == steps, what=f"{steps} writes")
    monitors["SUMMARY"].wait_for(lambda event: json.loads(event.value)["request_id"] == steps)
    for number in range(steps):
        events = [monitors[name].events[started[name] + number] for name in names]
        orders = [event.order for event in events]
        assert orders == sorted(orders), (number, events)
        assert json.loads(events[-1].value)["state"] == events[names.index("STATE")].value
        assert len({event.stamp_utc for event in events}) == 1


def test_stop_and_exec_back_to_back_are_both_seen_in_order_200_times(served: Served, node: FakeNode) -> None:
    with RawClient(served.port) as raw:
        op, state = raw.channel(pv(node, "OP")), raw.channel(pv(node, "STATE"))
        raw.send(op.subscribe(data_type=ca.ChannelType.STRING))
        raw.until(ca.EventAddResponse)
        pairs = 200
        for number in range(pairs):
            raw.send(op.write(b"STOP", data_type=ca.ChannelType.STRING, data_count=1), op.write([2], notify=number % 2))
        raw.send(state.read())
        messages = raw.until(ca.ReadNotifyResponse)
    assert [value for _, value, _ in node.writes] == ["STOP", 2] * pairs
    assert {by for _, _, by in node.writes} == {"anna@bench (127.0.0.1)"}
    shown = [bytes(one.data[0]) for one in messages if isinstance(one, ca.EventAddResponse)]
    assert shown == [b"STOP", b"EXEC"] * pairs


def test_what_a_put_changed_is_sent_before_its_completion(served: Served, node: FakeNode) -> None:
    with RawClient(served.port) as raw:
        channels = {name: raw.channel(pv(node, name)) for name in ("REQUEST", "STATE", "SUMMARY")}
        for channel in channels.values():
            raw.send(channel.subscribe())
        raw.until(ca.EventAddResponse, 3)
        for number in range(50):
            raw.send(channels["REQUEST"].write([b"S1", b"S2"][number % 2], notify=True))
            answer = raw.until(ca.WriteNotifyResponse)
            assert answer[-1].status.success
            assert [type(one) for one in answer[:-1]] == [ca.EventAddResponse] * 3


# -- nodes that come and go ------------------------------------------------------------------------------------------


def test_nodes_come_and_go_and_nobody_else_notices(served: Served, node: FakeNode, client: CaClient) -> None:
    others = [client.monitor(pv(node, name)) for name in ("STATE", "OP", "SUMMARY")]
    for _round in range(3):
        second = served.node()
        mine = client.monitor(pv(second, "STATE"))
        client.get(pv(second, "OP.DESC"))
        served.do(served.server.close, second.name)
        mine.wait_connection(False)
        served.do(node.become, state="S2")
        others[0].wait_value("S2")
        served.do(node.become, state="S0")
        others[0].wait_value("S0", start=len(others[0].events) - 1)
    for other in others:
        assert False not in other.connections
    client.put(pv(node, "OP"), "PAUSE")


def test_a_node_that_comes_back_is_found_again(served: Served) -> None:
    first = served.node()
    with RawClient(served.port) as raw:
        channel = raw.channel(pv(first, "STATE"))
        raw.send(channel.subscribe())
        raw.until(ca.EventAddResponse)
        served.do(served.server.close, first.name)
        raw.until(ca.ServerDisconnResponse)
        assert not found(served.port, pv(first, "STATE"), timeout_s=0.2)
        again = served.do(FakeNode, served.server, first.name, running())
        assert found(served.port, pv(first, "STATE"))
        channel = raw.channel(pv(first, "STATE"))
        raw.send(channel.subscribe())
        raw.until(ca.EventAddResponse)
        served.do(again.become, state="S2")
        assert raw.until(ca.EventAddResponse)[-1].data[0] == b"S2"
    served.do(served.server.close, first.name)


@pytest.mark.slow  # libca waits up to 10 s before it searches again for a channel whose server lives
def test_libca_connects_to_it_by_itself(served: Served, pyepics: CaClient) -> None:
    first = served.node()
    mine = pyepics.monitor(pv(first, "STATE"))
    served.do(served.server.close, first.name)
    mine.wait_connection(False)
    again = served.do(FakeNode, served.server, first.name, running())
    mine.wait_connection(True)
    served.do(again.become, state="S2")
    mine.wait_value("S2")
    pyepics.put(pv(again, "REQUEST"), "S1")
    mine.wait_value("S1")
    served.do(served.server.close, first.name)


def found(port: int, name: str, timeout_s: float = 30) -> bool:
    """Whether a search finds this name; datagrams may get lost, so it asks again."""
    request = bytes(ca.VersionRequest(0, 13)) + bytes(ca.SearchRequest(name, 7, 13))
    deadline = time.monotonic() + timeout_s
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(min(1, timeout_s))
        sock.connect(("127.0.0.1", port))
        while time.monotonic() < deadline:
            sock.send(request)
            try:
                answer = sock.recv(1500)
            except TimeoutError:
                continue
            return port in [int.from_bytes(answer[at + 4 : at + 6], "big") for at in (0, 16)]
    return False


def test_what_a_client_asks_of_a_node_that_just_went_is_passed_over(served: Served, node: FakeNode) -> None:
    gone = served.node()
    with RawClient(served.port) as raw:
        kept, lost = raw.channel(pv(node, "OP")), raw.channel(pv(gone, "OP"))
        raw.send(kept.subscribe(), event := lost.subscribe())
        raw.until(ca.EventAddResponse, 2)
        # Made before the client hears of it, as they would be under way.
        late = [
            lost.read(),
            lost.write([0]),
            lost.write([0], notify=True),
            lost.subscribe(),
            lost.unsubscribe(event.subscriptionid),
            lost.clear(),
        ]
        late_bytes = b"".join(bytes(message) for message in late)
        served.do(served.server.close, gone.name)
        raw.until(ca.ServerDisconnResponse)
        raw.send_bytes(late_bytes)
        raw.send(kept.write([1], notify=True))
        raw.until(ca.WriteNotifyResponse)
        # And a channel that cannot be had may be asked for again with the same number.
        for _ in range(2):
            raw.send_bytes(bytes(ca.CreateChanRequest(pv(gone, "OP"), 999, 13)))
        raw.send(kept.write([2], notify=True))
        assert raw.until(ca.WriteNotifyResponse)
    assert gone.writes == [] and [value for _, value, _ in node.writes] == [1, 2]


def test_a_cleared_channel_leaves_no_subscription(served: Served, node: FakeNode) -> None:
    with RawClient(served.port) as raw:
        kept, cleared = raw.channel(pv(node, "OP")), raw.channel(pv(node, "STATE"))
        raw.send(kept.subscribe(), cleared.subscribe())
        raw.until(ca.EventAddResponse, 2)
        raw.send(cleared.clear())
        raw.until(ca.ClearChannelResponse)
        served.do(node.become, state="S2", op=Op.STOP)
        raw.until(ca.EventAddResponse)
        raw.send(kept.read())
        assert [type(one) for one in raw.until(ca.ReadNotifyResponse)] == [ca.ReadNotifyResponse]


def test_nothing_is_kept_of_nodes_that_went_and_clients_that_left(served: Served) -> None:
    def channels() -> int:
        gc.collect()
        return sum(isinstance(one, RowChannel) for one in gc.get_objects())

    before, connected = channels(), served.circuits
    with RawClient(served.port) as stays:
        for _ in range(10):
            node = served.node()
            with RawClient(served.port) as leaves:
                for raw in (stays, leaves):
                    opened = [raw.channel(pv(node, name)) for name in ("STATE", "SUMMARY", "OP.DESC")]
                    raw.send(*(channel.subscribe() for channel in opened))
                    raw.until(ca.EventAddResponse, 3)
            served.do(served.server.close, node.name)
            stays.until(ca.ServerDisconnResponse, 3)
        eventually(lambda: served.circuits == connected + 1, what="the circuit that stays")
        del node
        eventually(lambda: channels() == before, what=f"{before} channels again")


def test_a_client_that_switches_events_off_gets_the_last_value_later(served: Served, node: FakeNode) -> None:
    with RawClient(served.port) as raw:
        channel = raw.channel(pv(node, "STATE"))
        raw.send(channel.subscribe())
        raw.until(ca.EventAddResponse)
        raw.send(ca.EventsOffRequest(), channel.read())
        raw.until(ca.ReadNotifyResponse)
        for number in range(100):
            served.do(node.become, state=f"S{number}")
        raw.send(ca.EventsOnRequest(), channel.read())
        events = [one for one in raw.until(ca.ReadNotifyResponse) if isinstance(one, ca.EventAddResponse)]
        assert [bytes(one.data[0]) for one in events] == [b"S99"]


def test_names_and_nodes_are_there_once(served: Served, node: FakeNode) -> None:
    with pytest.raises(InternalError, match="opened twice"):
        served.do(served.server.open, node.name, updates(node.view), 0.0, node.put)
    clash = Server(ifo="Z9", template="{ifo}:{name}", interfaces=["127.0.0.1"])
    clash.open("A", updates(node.view), 0.0, node.put)
    with pytest.raises(InternalError, match="template"):
        clash.open("B", updates(node.view), 0.0, node.put)


# -- bad clients -----------------------------------------------------------------------------------------------------


def test_bytes_that_are_not_channel_access_close_only_that_circuit(
    served: Served, node: FakeNode, client: CaClient
) -> None:
    watched = client.monitor(pv(node, "STATE"))
    healthy = served.circuits
    dice = random.Random(5)
    whole = b"".join(
        bytes(one) for one in (ca.VersionRequest(0, 13), ca.HostNameRequest("h"), ca.ClientNameRequest("u"))
    )
    bad = [dice.randbytes(dice.randrange(16, 3000)) for _ in range(40)]
    bad += [whole + dice.randbytes(200) for _ in range(20)]
    bad += [
        b"GET / HTTP/1.1\r\nHost: here\r\n\r\n",
        whole + b"\0\x04\xff\xff\0\0\0\0\0\0\0\1\0\0\0\1\x7f\xff\xff\xff\0\0\0\1",  # announces 2 GB
        whole + bytes(ca.ReadNotifyRequest(6, 1, 4711, 1)),  # a channel that never was
        whole + bytes(ca.EventCancelRequest(6, 4711, 1)),
        whole + bytes(ca.ClearChannelRequest(4711, 1)),
    ]
    for number, data in enumerate(bad):
        with RawClient(served.port) as raw:
            raw.send_bytes(data)
            raw.socket.shutdown(socket.SHUT_WR)  # what looks like half a message must not wait for its rest
            assert raw.closed()
        if number % 10 == 0:
            served.do(node.become, state=f"S{number // 10 % 3}")
    for length in range(len(whole)):
        with socket.create_connection(("127.0.0.1", served.port)) as raw_socket:
            raw_socket.sendall(whole[:length])
    served.do(node.become, state="LAST")
    watched.wait_value("LAST")
    assert False not in watched.connections
    eventually(lambda: served.circuits == healthy, what=f"{healthy} circuits again")


def test_an_announced_giant_is_closed_at_once(served: Served) -> None:
    with RawClient(served.port) as raw:
        raw.send_bytes(b"\0\x04\xff\xff\0\0\0\0\0\0\0\1\0\0\0\1\x7f\xff\xff\xff\0\0\0\1")
        assert raw.closed()


def test_random_datagrams_change_nothing(served: Served, node: FakeNode) -> None:
    dice = random.Random(6)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", served.port))
        for _ in range(200):
            sock.send(dice.randbytes(dice.randrange(1, 1400)))
    assert found(served.port, pv(node, "OP"))


def flood(node: FakeNode, first: int) -> None:
    for number in range(first, first + 50):
        node.become(message=f"{number} " + "x" * 1900)


def test_a_client_that_stops_reading_is_dropped_and_others_go_on(
    served: Served, node: FakeNode, pyepics: CaClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "FULL_S", 1.0)
    watched = pyepics.monitor(pv(node, "GRDMSG"), as_string=True)
    before = served.circuits
    with RawClient(served.port, receive_bytes=4096) as frozen:
        channel = frozen.channel(pv(node, "GRDMSG"))
        frozen.send(channel.subscribe())
        frozen.until(ca.EventAddResponse)
        assert served.circuits == before + 1
        deadline = time.monotonic() + 60
        first = 0
        while served.circuits > before:
            assert time.monotonic() < deadline
            seen = len(watched.events)
            served.do(flood, node, first)
            watched.wait_for(lambda event, last=first + 49: event.value.startswith(f"{last} "), start=seen)  # type: ignore[misc]
            first += 50
    assert False not in watched.connections


def test_a_client_has_a_limited_number_of_channels(
    served: Served, node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(circuit, "MAX_CHANNELS", 5)
    with RawClient(served.port) as raw, RawClient(served.port) as other:
        channels = [raw.channel(pv(node, "STATE")) for _ in range(5)]
        raw.send(ca.ClientChannel(pv(node, "OP"), raw.circuit).create())
        raw.until(ca.CreateChFailResponse)
        other.channel(pv(node, "OP"))
        raw.send(channels[0].clear())
        raw.until(ca.ClearChannelResponse)
        raw.channel(pv(node, "OP"))


def test_a_client_that_cannot_have_a_value_as_it_asked_harms_nobody(served: Served, node: FakeNode) -> None:
    with RawClient(served.port) as raw:
        channel = raw.channel(pv(node, "STATE"))
        raw.send(channel.subscribe(data_type=ca.ChannelType.TIME_DOUBLE))
        assert raw.until(ca.EventAddResponse)[-1].status.name == "ECA_GETFAIL"
        raw.send(channel.read(data_type=ca.ChannelType.TIME_DOUBLE))
        assert raw.until(ca.ReadNotifyResponse)[-1].status.name == "ECA_GETFAIL"
        raw.send(channel.subscribe())
        raw.until(ca.EventAddResponse)
        served.do(node.become, state="S1")
        good = [one for one in raw.until(ca.EventAddResponse, 2) if one.status.success]
        assert [bytes(one.data[0]) for one in good] == [b"S1"]


# -- the port --------------------------------------------------------------------------------------------------------


async def test_a_taken_port_is_never_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = free_port()
    monkeypatch.setenv("EPICS_CAS_SERVER_PORT", str(usual))
    first, second, third = (Server(ifo="A", interfaces=["127.0.0.1"]) for _ in range(3))
    assert await first.start() == usual
    other = await second.start()
    assert other != usual
    with pytest.raises(ExpectedError, match=f"port {other} .* cannot be served"):
        await third.start(other)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as searches:  # nobody can join us later either
        searches.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        searches.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        with pytest.raises(OSError):
            searches.bind(("127.0.0.1", usual))
    await first.stop()
    await second.stop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as searches:  # only the UDP half is taken
        searches.bind(("127.0.0.1", usual))
        assert await third.start() != usual
        await third.stop()
    assert await first.start() == usual  # and it can be started again
    await first.stop()


async def test_interfaces_and_beacons_are_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as repeater:
        repeater.bind(("127.0.0.1", 0))
        repeater.setblocking(False)
        monkeypatch.setenv("EPICS_CAS_INTF_ADDR_LIST", "127.0.0.1")
        monkeypatch.setenv("EPICS_CAS_BEACON_ADDR_LIST", "127.0.0.1")
        monkeypatch.setenv("EPICS_CAS_AUTO_BEACON_ADDR_LIST", "NO")
        monkeypatch.setenv("EPICS_CAS_BEACON_PORT", str(repeater.getsockname()[1]))
        server = Server(ifo="A")
        port = await server.start(free_port())
        beacon = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(repeater, 100), 30)
        assert struct.unpack(">HHHHII", beacon) == (13, 0, 13, port, 0, 0)
        with socket.create_connection(("127.0.0.1", port)):
            pass
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", port))
        await server.stop()


# -- other clients ---------------------------------------------------------------------------------------------------


def test_a_real_ioc_follows_a_node_over_its_links(served: Served, node: FakeNode, tmp_path: object) -> None:
    port = free_port()
    db = f"""
        record(longin, "REAL:N") {{ field(INP, "{pv(node, "STATE_N")} CPP MS") }}
        record(stringin, "REAL:S") {{ field(INP, "{pv(node, "STATE")} CPP MS") }}
        record(stringout, "REAL:ASK") {{ field(OUT, "{pv(node, "REQUEST")} CA") field(VAL, "S2") }}
    """
    path = f"{tmp_path}/ioc.db"
    with open(path, "w") as file:
        file.write(db)
    env = ca_env(port, EPICS_CA_ADDR_LIST=f"127.0.0.1:{served.port}")
    with (
        Child([sys.executable, softioc.__file__, path, ""], env=env, stdin=True) as ioc,
        CaClient(ca_env(port)) as client,
    ):
        ioc.wait_for(softioc.READY, 60)
        number, text = client.monitor("REAL:N"), client.monitor("REAL:S")
        text.wait_value("S0")
        number.wait_value(1)
        client.put("REAL:ASK.PROC", 1)
        text.wait_value("S2")
        number.wait_value(3)
        assert [write[:2] for write in node.writes] == [("REQUEST", "S2")]
        served.do(node.become, known=False)
        text.wait_for(lambda event: event.severity == Severity.INVALID)


@pytest.mark.parametrize("tool", ["caproto-get", "caproto-put"])
def test_the_command_line_tools_of_caproto(served: Served, node: FakeNode, tool: str) -> None:
    program = f"{sys.prefix}/bin/{tool}"
    argv = [program, "--no-color", pv(node, "REQUEST"), *(["S2"] if tool == "caproto-put" else [])]
    with Child(argv, env=ca_env(served.port)) as child:
        assert child.wait(60) == 0
        assert "S0" in child.output
    if tool == "caproto-put":
        assert [write[:2] for write in node.writes] == [("REQUEST", "S2")]


def test_posting_is_cheap_without_clients(served: Served, node: FakeNode) -> None:
    """A step of all rows, with the clients of the other tests connected; a sanity limit, the figure is printed."""
    everything = updates(node.view)
    start = time.perf_counter()
    for _ in range(20):
        served.do(served.server.post, node.name, everything, 1.0)
    each_us = (time.perf_counter() - start) / 20 / len(everything) * 1e6
    print(f"{each_us:.0f} us a value")
    assert each_us < 2000
