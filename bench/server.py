"""The Channel Access server beside a C IOC's (rsrv, of the package ``softioc``), in one run, on loopback.

Clients are libca, with nothing of Python in the way but a callback of a few microseconds; each is a process.

* put -> monitor: back to back. Goal 3 x the C IOC.
* fan-out: 100 PVs monitored by one client, and by ten; the rates that are offered rise until no more arrives. Goals
  10,000/s and 20,000/s in all; then 2.5 x the best rate is offered, and 80 % of it must still arrive.
* connect: 4,000 PVs (goal 10 x the C IOC), 20,000 (2.5 s), and 50 clients of 1,000 each (5 s).
* write: what a write costs its writer, beside caproto's own channel: unheard; heard and the same; heard and new.
* search: CPU of the server for a name that it has not, and for one that it has.
* silence: 5,000 updates a second to one client, while another one misbehaves. Goals: 95 % of the rate, and no longer
  than 0.3 s of silence.
"""

from __future__ import annotations

import asyncio
import re
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TypeVar

import caproto as ca
import psutil

from bench.figures import Report
from bench.machine import cpu_s
from ioc.cas import cheap, wire
from tests.ioc.cas.listener import Listener
from tests.support import Child
from tests.support.load import ATTACKS, PREFIX, Attack, Got, LoadServer, Witness

PEER, OURS = "rsrv", "cheap"
C_IOC = "C IOC"
TRIPS = 3000
OFFERED = 5000
SILENCE_S = 0.3
T = TypeVar("T")


def run(report: Report) -> None:
    """A part after the other."""
    for part in (trip, fan_out, connect, write, search, silence):
        part(report)


def both(report: Report, measure: Callable[[str], T]) -> tuple[T, T]:
    """Of the C IOC, and of ours. They are alone on the machine, but where all is to be quick."""
    with ThreadPoolExecutor(report.size(1, 2)) as threads:
        theirs, ours = threads.map(measure, (PEER, OURS))
    return theirs, ours


# --- put -> monitor ---------------------------------------------------------------------------------------------------


def trip(report: Report) -> None:
    """In turns, so that noise of the machine meets both; of each the run in which it was least."""
    count = report.size(TRIPS, 100)
    with LoadServer(PEER) as peer, LoadServer(OURS) as server:
        turns = [(trip_us(peer, count), trip_us(server, count)) for _ in range(report.size(3, 1))]
    (their_us, their_p99), (our_us, our_p99) = (min(turn[at] for turn in turns) for at in range(2))
    report.part("put -> monitor, back to back")
    theirs = report.figure(C_IOC, their_us, "us", p99=their_p99, n=count)
    report.figure("ours", our_us, "us", p99=our_p99, n=count, beside=theirs, goal=3)


def trip_us(server: LoadServer, count: int) -> tuple[float, float]:
    """Median and 99th percentile."""
    with server.client("trip", count) as client:
        client.send("\n")
        found = client.wait_for(r"TRIPS (\d+) (\d+)", 120)
        return float(found[1]), float(found[2])


# --- fan-out ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Fan:
    """100 PVs to so many clients, and the rates of writes that are offered; `goal` arrives in all, each second."""

    clients: int
    goal: float
    rates: tuple[int, ...]


ONE = Fan(clients=1, goal=10_000, rates=(5000, 10_000, 20_000, 40_000, 80_000))
TEN = Fan(clients=10, goal=20_000, rates=(1000, 2000, 4000, 8000))
FEW = Fan(clients=2, goal=20_000, rates=(1000,))


def fan_out(report: Report) -> None:
    for fan in (FEW,) if report.quick else (ONE, TEN):
        (their_best, their_overload), (best, overload) = both(report, lambda kind, fan=fan: fanned(report, kind, fan))
        report.part(f"fan-out, clients: {fan.clients}")
        theirs = report.figure(C_IOC, their_best, "/s")
        report.figure(f"{C_IOC}, 2.5 x the writes", their_overload, "/s", beside=theirs)
        ours = report.figure("ours", best, "/s", limit=fan.goal, more=True)
        report.figure("ours", best, "/s", beside=theirs, more=True)
        report.figure("ours, 2.5 x the writes", overload, "/s", beside=ours, goal=0.8, more=True)


def fanned(report: Report, kind: str, fan: Fan) -> tuple[float, float]:
    """The most that arrives, and what arrives of 2.5 x the writes of that."""
    with LoadServer(kind) as server, watching(server, fan.clients) as rate:
        best = 0.0
        for offered in fan.rates:
            server.offer(offered)
            time.sleep(1)
            arrived = rate(report.size(3, 1))
            best = max(best, arrived)
            if arrived < 0.9 * offered * fan.clients:
                break
        server.offer(2.5 * best / fan.clients)
        time.sleep(1)
        overload = rate(report.size(5, 1))
        server.offer(0)
    return best, overload


@contextmanager
def watching(server: LoadServer, clients: int) -> Iterator[Callable[[float], float]]:
    """Clients that monitor all; what is yielded gives the sum of their rates over so many seconds."""
    with ExitStack() as stack:
        them: list[Child] = [stack.enter_context(server.client("watch", 100)) for _ in range(clients)]

        def rate(seconds: float) -> float:
            starts = [len(one.output) for one in them]
            time.sleep(seconds + 2.1)  # the first second began before
            return sum(
                statistics.mean(int(n) for n in re.findall(r"COUNTED (\d+)", one.output[start:])[1:])
                for one, start in zip(them, starts, strict=True)
            )

        yield rate


# --- connect ----------------------------------------------------------------------------------------------------------


def connect(report: Report) -> None:
    few = report.size(4000, 400)
    theirs, ours = connected(report, 1, few)
    report.figure("ours", ours, "s", peer=C_IOC, beside=theirs, goal=10)
    for clients, count, limit_s in ((1, report.size(20_000, 1000), 2.5), (report.size(50, 2), 1000, 5.0)):
        theirs, ours = connected(report, clients, count)
        report.figure("ours", ours, "s", limit=limit_s)
        report.figure("ours", ours, "s", peer=C_IOC, beside=theirs)


def connected(report: Report, clients: int, count: int) -> tuple[float, float]:
    """Seconds; the fastest of some times, for the C IOC and for ours."""

    def fastest(kind: str) -> float:
        with LoadServer(kind, count) as server:
            return min(connect_s(server, clients, count) for _ in range(report.size(3 if clients == 1 else 2, 1)))

    theirs, ours = both(report, fastest)
    report.part(f"connect, clients: {clients}, PVs of each: {count}")
    report.figure(C_IOC, theirs, "s")
    return theirs, ours


def connect_s(server: LoadServer, clients: int, count: int) -> float:
    """All of them begin at once; the slowest."""
    with ExitStack() as stack:
        them = [stack.enter_context(server.client("connect", count)) for _ in range(clients)]
        for one in them:
            one.send("\n")
        return max(float(one.wait_for(r"CONNECTED ([\d.]+)", 300)[1]) for one in them)


# --- what it costs ----------------------------------------------------------------------------------------------------


def write(report: Report) -> None:
    count = report.size(20_000, 1000)
    theirs, ours = (asyncio.run(writes_us(kind, count)) for kind in (ca.ChannelDouble, cheap.ChannelDouble))
    report.part("a write, for its writer")
    for what, their_us, our_us in zip(("unheard", "heard, the same", "heard, new"), theirs, ours, strict=True):
        report.figure(what, our_us, "us", n=count, peer="caproto's own channel", beside=their_us)


async def writes_us(kind: type[ca.ChannelDouble], count: int) -> list[float]:
    """Of a channel that nobody listens to; of one with a listener, unchanged; and changed, in us."""
    unheard, heard = kind(value=1.0), kind(value=1.0)
    Listener(heard, ca.ChannelType.TIME_DOUBLE).update = lambda *_: None  # type: ignore[method-assign]
    took = []
    for channel, step in ((unheard, 1.0), (heard, 0.0), (heard, 1.0)):
        began = time.perf_counter()
        for number in range(count):
            await channel.write(1.0 + step * number)
        took.append((time.perf_counter() - began) / count * 1e6)
    return took


def search(report: Report) -> None:
    datagrams = report.size(2000, 200)
    report.part("CPU of a search for a name")
    for name, what in (("FAN0", "that it has"), ("NOBODY_HAS_THIS", "that it has not")):

        def cost(kind: str, name: str = name) -> float:
            with LoadServer(kind) as server:
                return search_us(server, f"{PREFIX}{name}", datagrams)

        theirs, ours = both(report, cost)
        report.figure(what, ours, "us", peer=C_IOC, beside=theirs)


def search_us(server: LoadServer, name: str, datagrams: int, names: int = 40) -> float:
    """CPU time of the server for one name, in us; its answers are thrown away."""
    request = wire.message(wire.VERSION, 1, 13, 1)
    request += wire.message(wire.SEARCH, 5, 13, 1, 1, name.encode() + b"\0") * names
    known = request[:16] + wire.message(wire.SEARCH, 5, 13, 2, 2, f"{PREFIX}BEAT\0".encode())
    process = psutil.Process(server.pid)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(30)
        sock.connect(("127.0.0.1", server.port))
        before = cpu_s(process)
        for _ in range(datagrams // 20):
            for _ in range(20):
                sock.send(request)
            sock.send(known)
            while sock.recv(2000)[-24 + 12 : -24 + 16] != (2).to_bytes(4, "big"):
                pass  # until the last is answered
        return (cpu_s(process) - before) / datagrams / names * 1e6


# --- silence ----------------------------------------------------------------------------------------------------------

#: Where all is to be quick; the C IOC would take gigabytes for this.
TOGETHER = {"all of them at once": tuple(ATTACKS.values())}


@dataclass(frozen=True, slots=True, kw_only=True)
class Suffered:
    """What an honest client got, the memory of the server in MB, and how many files it had left open afterwards."""

    got: Got
    memory_mb: float
    left: int = 0


def silence(report: Report) -> None:
    """Both go through the same; the goals are ours."""
    attacks = {what: (attack,) for what, attack in ATTACKS.items()}
    chosen = {PEER: {}, OURS: TOGETHER} if report.quick else {PEER: attacks, OURS: attacks}
    measured = both(report, lambda kind: suffered(report, kind, chosen[kind]))
    for who, found in zip((C_IOC, "ours"), measured, strict=True):
        goal, limit_s = (0.95, SILENCE_S) if who == "ours" else (None, None)
        alone = found.pop("")
        report.part(f"{OFFERED} updates a second, {who}")
        before = report.figure("alone", alone.got.rate, "/s")
        report.figure("alone, memory", alone.memory_mb, "MB")
        for what, one in found.items():
            report.figure(what, one.got.rate, "/s", beside=before, goal=goal, more=True)
            report.figure(f"{what}: silent for", one.got.silence_s, "s", limit=limit_s)
            report.figure(f"{what}: memory", one.memory_mb, "MB")
            report.check(f"{who}: {what}: what was open is closed again", one.left <= 0, f"{one.left} files are open")


def suffered(report: Report, kind: str, attacks: dict[str, tuple[Attack, ...]]) -> dict[str, Suffered]:
    """What one client gets alone (its name is ""), and beside each of those that misbehave."""
    with LoadServer(kind, 4000) as server, Witness(server) as witness:
        server.offer(OFFERED)
        witness.watch(1)
        files = server.files
        found = {"": Suffered(got=witness.watch(report.size(5, 1)), memory_mb=server.memory_mb)}
        for what, them in attacks.items():
            with ExitStack() as stack:
                for attack in them:
                    stack.enter_context(attack(server))
                got, memory_mb = witness.watch(report.size(8, 1)), server.memory_mb
            until = time.monotonic() + 30
            while server.files > files and time.monotonic() < until:
                time.sleep(0.1)
            found[what] = Suffered(got=got, memory_mb=memory_mb, left=server.files - files)
    return found
