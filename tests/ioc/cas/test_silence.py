"""Nobody can silence the server for others: what an honest client gets while another one misbehaves.

The limits are generous, as other tests run beside these; ``bench/server.py`` has the figures, ``make soak`` runs long.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.support import eventually
from tests.support.load import ATTACKS, PREFIX, Attack, Got, LoadServer, Witness

pytestmark = [pytest.mark.ca, pytest.mark.proc, pytest.mark.slow]

OFFERED = 2000
KEPT = 0.8
SILENCE_S = 1.0


BOTH = pytest.mark.parametrize("server", ["cheap", "plain"], indirect=True)
OURS = pytest.mark.parametrize("server", ["cheap"], indirect=True)


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[LoadServer]:
    with LoadServer(request.param, 4000) as one:
        one.offer(OFFERED)
        yield one


@pytest.fixture(scope="module")
def witness(server: LoadServer) -> Iterator[Witness]:
    with Witness(server) as one:
        one.watch(1)
        yield one


@OURS
@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_others_notice_nothing(server: LoadServer, witness: Witness, attack: Attack) -> None:
    memory, files = server.memory_mb, server.files
    with attack(server):
        got = witness.watch(3)
        print(f"{got.rate:.0f}/s, silent for {got.silence_s:.3f} s at most; {server.memory_mb - memory:+.0f} MB")
        assert got.rate > KEPT * OFFERED
        assert got.silence_s < SILENCE_S
        assert server.memory_mb - memory < 60
    eventually(lambda: server.files <= files, what=f"{files} descriptors again")


@BOTH
def test_a_producer_that_outruns_the_server_is_paced(server: LoadServer, witness: Witness) -> None:
    """Offered far more than can be written: what arrives comes near the most that arrives at all."""
    best = 0.0
    for rate in (4000, 8000, 16_000):
        server.offer(rate)
        best = max(best, witness.watch(2).rate)
    server.offer(100_000)
    outrun: list[Got] = []

    def near() -> bool:
        outrun.append(witness.watch(4))
        return outrun[-1].rate > 0.6 * best

    eventually(near, 60, f"more than 0.6 of {best:.0f}/s to arrive")  # other tests take their share meanwhile
    server.offer(OFFERED)
    print(f"at most {best:.0f}/s, {outrun[-1].rate:.0f}/s when outrun")
    assert max(got.silence_s for got in outrun) < SILENCE_S
    with server.client("connect", 100) as late:  # and a client that comes then is served
        late.send("\n")
        late.wait_for("CONNECTED", 60)


@BOTH
def test_put_to_monitor_and_connecting_take_a_few_times_what_a_c_ioc_takes(server: LoadServer) -> None:
    def trip_us(one: LoadServer) -> float:
        with one.client("trip", 1000) as client:
            client.send("\n")
            return float(client.wait_for(r"TRIPS (\d+)", 60)[1])

    def connect_s(one: LoadServer) -> float:
        with one.client("connect", 4000) as client:
            client.send("\n")
            return float(client.wait_for(r"CONNECTED ([\d.]+)", 60)[1])

    with LoadServer("rsrv", 4000) as peer:
        server.offer(0)
        ours, theirs = min(trip_us(server) for _ in range(3)), min(trip_us(peer) for _ in range(3))
        print(f"put -> monitor {ours:.0f} us, C IOC {theirs:.0f} us")
        assert ours < 6 * theirs
        ours, theirs = min(connect_s(server) for _ in range(3)), min(connect_s(peer) for _ in range(3))
        print(f"4,000 PVs connected in {ours:.3f} s, C IOC {theirs:.3f} s")
        assert ours < 15 * max(theirs, 0.03)
        server.offer(OFFERED)


@OURS
def test_the_log_has_few_lines_of_many_bad_clients(server: LoadServer) -> None:
    said = re.findall("is not Channel Access", server.output)
    assert 1 <= len(said) < 50, server.report()
    assert PREFIX not in "".join(said)
