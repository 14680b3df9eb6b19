"""Where else a node is shown: two servers of ours, strangers, and those who do not say who they are."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import caproto as ca
import pytest

from guardian.core.interface import BY_NAME
from guardian.enums import Severity
from guardian.errors import InternalError
from guardian.host import claims as claims_module
from guardian.host.claims import Claims
from guardian.host.face import Elsewhere, Update
from guardian.host.locks import Locks
from guardian.host.site import Site
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


def test_a_server_that_answers_for_one_node_is_asked_for_all(
    two: tuple[Served, Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Datagrams get lost, and a host that starts three hundred nodes may not answer for all of them in time."""
    one, other = two
    for name in "ABC":
        shows(other, name, f"runs {name}")
    heard = ask._Search._hear
    monkeypatch.setattr(
        ask._Search, "_hear", lambda self, message, sender: None if message.two else heard(self, message, sender)
    )
    where = f"{HERE}:{other.port}"
    assert elsewhere(one, "A", "B", "C", "D") == {name: [Elsewhere(where, f"runs {name}")] for name in "ABC"}


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


@pytest.mark.slow
def test_of_hosts_that_claim_a_node_within_one_look_exactly_one_has_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Three of them, at moments spread over the time that a look takes, with clocks that differ by more than that."""
    dice, clocks, real = random.Random(5), dict[int, float](), time.time
    monkeypatch.setattr(claims_module.time, "time", lambda: real() + clocks.get(threading.get_ident(), 0.0))
    nodes = [f"N{i}" for i in range(10)]
    with contextlib.ExitStack() as stack:
        hosts = [stack.enter_context(Served()) for _ in range(3)]
        monkeypatch.setenv("EPICS_CA_ADDR_LIST", " ".join(f"{HERE}:{host.port}" for host in hosts))
        monkeypatch.setenv("EPICS_CA_AUTO_ADDR_LIST", "NO")
        winners = set()
        for turn in range(20):

            async def contend(number: int, delay_s: float, claims: Claims) -> list[str]:
                await asyncio.sleep(delay_s)
                assert not any(claims.lock(node) for node in nodes)
                refused = await claims.stake(nodes)
                won = [node for node in nodes if node not in refused]
                for node in won:
                    hosts[number].server.open(node, [host(claims.shown(node))], time.time(), lambda *_: None)
                return won

            futures = []
            for number, one in enumerate(hosts):
                locks = Locks(tmp_path / f"{turn}-{number}")
                stack.callback(locks.close)
                claims = Claims(Site(ifo=IFO), one.server, locks, id=f"{turn}-{number}", warn=print)
                one.do(lambda: clocks.update({threading.get_ident(): dice.uniform(-1, 1)}))
                delay_s = dice.uniform(0, 1.2 * ask.SEARCH_S)
                futures.append(asyncio.run_coroutine_threadsafe(contend(number, delay_s, claims), one._loop))
            won = [future.result(60) for future in futures]
            assert sorted(node for names in won for node in names) == sorted(nodes), f"turn {turn}: {won}"
            winners |= {number for number, names in enumerate(won) if names}
            for one, names in zip(hosts, won, strict=True):
                for node in names:
                    one.do(one.server.close, node)
    assert winners == {0, 1, 2}
