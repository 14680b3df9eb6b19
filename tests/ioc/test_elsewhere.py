"""Where else a node is shown: two servers of ours, strangers, and those who do not say who they are."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator

import caproto as ca
import pytest

from guardian.core.interface import BY_NAME
from guardian.enums import Severity
from guardian.errors import InternalError
from guardian.host.face import Elsewhere, Update
from ioc.cas import ask
from tests.ioc.cas.raw import Serving
from tests.ioc.served import IFO, FakeNode, Served, running, updates
from tests.support import CaClient, ca_env

pytestmark = pytest.mark.ca

HERE = "127.0.0.1"


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Served, Served]]:
    with Served() as one, Served() as other:
        monkeypatch.setenv("EPICS_CA_ADDR_LIST", f"{HERE}:{one.port} {HERE}:{other.port}")
        monkeypatch.setenv("EPICS_CA_AUTO_ADDR_LIST", "NO")
        yield one, other


def host(text: str) -> Update:
    return Update(BY_NAME["HOST"], text, Severity.NO_ALARM)


def shows(served: Served, name: str, text: str) -> FakeNode:
    """Show a node whose HOST says this."""

    def open_() -> FakeNode:
        node = FakeNode(served.server, name, running())
        served.server.post(name, [host(text)], 1.0e9)
        return node

    return served.do(open_)


def elsewhere(served: Served, *names: str) -> dict[str, list[Elsewhere]]:
    found = served.run(served.server.elsewhere(names))
    return {name: sorted(found[name], key=lambda one: one.where) for name in found}


def test_claims_and_nodes_are_found_at_their_servers(two: tuple[Served, Served]) -> None:
    one, other = two
    shows(one, "A", "one runs it")
    other.do(other.server.claim, "A", host("the other wants it"), 1.0e9)
    other.do(other.server.claim, "B", host("it wants this too"), 1.0e9)
    at_one, at_other = f"{HERE}:{one.port}", f"{HERE}:{other.port}"
    expected = sorted(
        [Elsewhere(at_one, "one runs it"), Elsewhere(at_other, "the other wants it")], key=lambda found: found.where
    )
    for asking in two:  # both see the same: itself too
        assert elsewhere(asking, "A", "B", "C") == {"A": expected, "B": [Elsewhere(at_other, "it wants this too")]}
    other.do(other.server.close, "A")
    other.do(other.server.close, "B")
    assert elsewhere(one, "A", "B") == {"A": [Elsewhere(at_one, "one runs it")]}


def test_a_claim_disturbs_no_client_and_who_watches_it_sees_it_come_true(two: tuple[Served, Served]) -> None:
    one, _ = two
    one.do(one.server.claim, "A", host("claimed"), 1.0e9)
    name = f"{IFO}:GRD-A_HOST"
    with CaClient(ca_env(one.port)) as client:
        assert client.get(name, as_string=True).value == "claimed"
        assert elsewhere(one, "A") and list(one.server._names) == [name]  # nothing else of it can be found
        monitor = client.monitor(name, as_string=True)
        monitor.wait_value("claimed", 30)
        shows(one, "A", "comes true")
        monitor.wait_value("comes true", 30)
        assert client.get(f"{IFO}:GRD-A_STATE").value == "S0"


def test_a_node_is_claimed_once_and_opened_once(two: tuple[Served, Served]) -> None:
    one, _ = two
    one.do(one.server.claim, "A", host("x"), 1.0e9)
    with pytest.raises(InternalError, match="A: claimed twice"):
        one.do(one.server.claim, "A", host("x"), 1.0e9)
    node = shows(one, "A", "x")
    with pytest.raises(InternalError, match="A: opened twice"):
        one.do(one.server.open, "A", updates(node.view), 1.0e9, node.put)


def test_strangers_have_no_host(two: tuple[Served, Served], monkeypatch: pytest.MonkeyPatch) -> None:
    one, _ = two
    pvdb = {f"{IFO}:GRD-A_STATE": ca.ChannelString(value="UP"), f"{IFO}:GRD-B_STATE": ca.ChannelDouble(value=1.0)}
    pvdb[f"{IFO}:GRD-B_HOST"] = ca.ChannelString(value="of another type")
    with Serving(pvdb) as stranger:
        monkeypatch.setenv("EPICS_CA_ADDR_LIST", f"{HERE}:{stranger.port}")
        where = f"{HERE}:{stranger.port}"
        assert elsewhere(one, "A", "B", "C") == {name: [Elsewhere(where, None)] for name in ("A", "B")}


@pytest.mark.parametrize("listens", [True, False], ids=["takes connections and hangs", "refuses connections"])
def test_who_answers_and_does_not_say_who_it_is_is_told_once(
    two: tuple[Served, Served], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, listens: bool
) -> None:
    one, other = two
    monkeypatch.setattr(ask, "READ_S", 0.3)
    shows(other, "A", "somebody")
    with socket.socket() as there:
        there.bind((HERE, 0))
        if listens:
            there.listen(8)
        port = there.getsockname()[1]
        monkeypatch.setattr(other.server._context, "port", port)  # what it answers to searches
        with caplog.at_level(logging.WARNING, logger="ioc.server"):
            for _ in range(3):
                assert elsewhere(one, "A") == {}
    (told,) = [record.message for record in caplog.records]
    assert told.startswith(f"{HERE}:{port} answers to {IFO}:GRD-A_HOST, and not when asked who it is: ")


def test_three_hundred_nodes_are_asked_for_as_quickly_as_one(two: tuple[Served, Served]) -> None:
    """In one search; and a server that has them all is asked in one go."""
    one, other = two
    names = [f"N{i}" for i in range(300)]

    def claim_all() -> None:
        for name in names:
            other.server.claim(name, host(f"claim of {name}"), 1.0e9)

    other.do(claim_all)
    found = elsewhere(one, *names)
    where = f"{HERE}:{other.port}"
    assert found == {name: [Elsewhere(where, f"claim of {name}")] for name in names}


def test_nodes_that_come_and_go_while_they_are_read_confuse_nobody(two: tuple[Served, Served]) -> None:
    one, other = two
    seen: list[dict[str, list[Elsewhere]]] = []

    async def flicker(until: Callable[[], bool]) -> None:
        while not until():
            other.server.claim("A", host("claimed"), 1.0e9)
            await asyncio.sleep(0)
            other.server.close("A")
            await asyncio.sleep(0)

    other_task = asyncio.run_coroutine_threadsafe(flicker(lambda: len(seen) > 3), other._loop)
    while len(seen) <= 3:
        seen.append(elsewhere(one, "A"))
    other_task.result(30)
    where = f"{HERE}:{other.port}"
    assert all(found in ({}, {"A": [Elsewhere(where, "claimed")]}) for found in seen)
