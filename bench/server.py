"""The Channel Access server beside a C IOC's (rsrv, of the package ``softioc``), in one run, on loopback.

Clients are libca, with nothing of Python in the way but a callback of a few microseconds; each is a process.

* ``put -> monitor``: back to back, median; goal 3 x the C IOC.
* ``fan-out``: 100 PVs monitored by one client, and by ten; the rates that are offered rise until no more arrives.
  Goals 10,000/s and 20,000/s in all; then 2.5 x the best rate is offered, and 80 % of it must still arrive.
* ``connect``: 4,000 PVs (goal 10 x the C IOC), 20,000 (2.5 s), and 50 clients of 1,000 each (5 s).
* ``write``: what a write costs its writer, beside caproto's own channel: unheard; heard and the same; heard and new.
* ``search``: CPU of the server for a name that it has not, and for one that it has.
* ``silence``: 5,000 updates a second to one client, while another one misbehaves. Goals 95 %, and 0.3 s of silence.

``--kind plain`` measures caproto's own channels on our server, ``--kind caproto`` caproto's own server.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import caproto as ca
import psutil

from ioc import cas
from ioc.cas import wire
from tests.ioc.cas.listener import Listener
from tests.support import Child
from tests.support.load import ATTACKS, PREFIX, LoadServer, Witness

PEER = "rsrv"
OFFERED = 5000
ONE = (5000, 10_000, 20_000, 40_000, 80_000)
TEN = (1000, 2000, 4000, 8000)


def trip_us(server: LoadServer, count: int = 3000) -> tuple[float, float]:
    """Median and 99th percentile."""
    with server.client("trip", count) as client:
        client.send("\n")
        found = client.wait_for(r"TRIPS (\d+) (\d+)", 120)
        return float(found[1]), float(found[2])


def connect_s(server: LoadServer, clients: int, count: int) -> float:
    """All of them begin at once; the slowest."""
    with ExitStack() as stack:
        them = [stack.enter_context(server.client("connect", count)) for _ in range(clients)]
        for one in them:
            one.send("\n")
        return max(float(one.wait_for(r"CONNECTED ([\d.]+)", 300)[1]) for one in them)


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


def fan_out(server: LoadServer, clients: int, rates: tuple[int, ...]) -> tuple[float, float]:
    """The most that arrives, and what arrives of 2.5 x the writes of that."""
    with watching(server, clients) as rate:
        best = 0.0
        for offered in rates:
            server.offer(offered)
            time.sleep(1)
            arrived = rate(3)
            best = max(best, arrived)
            if arrived < 0.9 * offered * clients:
                break
        server.offer(2.5 * best / clients)
        time.sleep(1)
        overload = rate(5)
        server.offer(0)
    return best, overload


async def writes_us(kind: type[ca.ChannelDouble], count: int = 20_000) -> list[float]:
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


def search_us(server: LoadServer, name: str, datagrams: int = 2000, names: int = 40) -> float:
    """CPU time of the server for one name, in us; its answers are thrown away."""
    request = wire.message(wire.VERSION, 1, 13, 1)
    request += wire.message(wire.SEARCH, 5, 13, 1, 1, name.encode() + b"\0") * names
    known = request[:16] + wire.message(wire.SEARCH, 5, 13, 2, 2, f"{PREFIX}BEAT\0".encode())
    process = psutil.Process(server.pid)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(30)
        sock.connect(("127.0.0.1", server.port))
        before = sum(process.cpu_times()[:2])
        for _ in range(datagrams // 20):
            for _ in range(20):
                sock.send(request)
            sock.send(known)
            while sock.recv(2000)[-24 + 12 : -24 + 16] != (2).to_bytes(4, "big"):
                pass  # until the last is answered
        return (sum(process.cpu_times()[:2]) - before) / datagrams / names * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", default="cheap", choices=["cheap", "plain", "caproto"])
    parser.add_argument("--only", choices=["trip", "fan", "connect", "write", "search", "silence"])
    chosen = parser.parse_args()
    kind = chosen.kind

    def wanted(part: str) -> bool:
        return chosen.only in (None, part)

    if wanted("trip"):
        with LoadServer(PEER) as peer, LoadServer(kind) as server:
            # Taken in turns, so that noise of the machine meets both.
            pairs = [(trip_us(peer), trip_us(server)) for _ in range(3)]
        theirs, ours = min(p for p, _ in pairs), min(s for _, s in pairs)
        print(
            f"put -> monitor   {ours[0]:7.0f} us, p99 {ours[1]:6.0f}   C IOC {theirs[0]:6.0f} us, p99 {theirs[1]:6.0f}",
            end="",
        )
        print(f"   {ours[0] / theirs[0]:.2f} x (goal 3)")
    if wanted("fan"):
        for clients, rates, goal in ((1, ONE, 10_000), (10, TEN, 20_000)):
            figures = []
            for one in (PEER, kind):
                with LoadServer(one) as server:
                    figures.append(fan_out(server, clients, rates))
            (theirs_best, _), (best, overload) = figures
            print(f"fan-out to {clients:2}    {best:7.0f}/s (goal {goal})   C IOC {theirs_best:6.0f}/s", end="")
            print(f"   at 2.5 x {overload:6.0f}/s = {overload / best:.0%} (goal 80 %)")
    if wanted("connect"):
        for clients, count, goal in ((1, 4000, 10.0), (1, 20_000, 2.5), (50, 1000, 5.0)):
            took = []
            for one in (PEER, kind):
                with LoadServer(one, count) as server:
                    took.append(min(connect_s(server, clients, count) for _ in range(3 if clients == 1 else 2)))
            limit = f"{goal:.0f} x" if count == 4000 else f"{goal} s"
            print(f"connect {clients:2} x {count:<6} {took[1]:6.3f} s   C IOC {took[0]:.3f} s   ", end="")
            print(f"{took[1] / took[0]:.1f} x (goal {limit})")
    if wanted("write"):
        theirs_us, ours_us = (asyncio.run(writes_us(kind)) for kind in (ca.ChannelDouble, cas.ChannelDouble))
        for what, theirs_, ours_ in zip(("unheard", "the same", "new"), theirs_us, ours_us, strict=True):
            print(f"write, {what:9} {ours_:5.1f} us   caproto's channel {theirs_:5.1f} us   {ours_ / theirs_:.2f} x")
    if wanted("search"):
        for what in ("FAN0", "NOBODY_HAS_THIS"):
            cost = []
            for one in (PEER, kind):
                with LoadServer(one) as server:
                    cost.append(search_us(server, f"{PREFIX}{what}"))
            print(f"search {what:15} {cost[1]:5.2f} us of CPU   C IOC {cost[0]:5.2f} us   {cost[1] / cost[0]:.1f} x")
    if wanted("silence"):
        for one in (PEER, kind):
            with LoadServer(one, 4000) as server, Witness(server) as witness:
                server.offer(OFFERED)
                witness.watch(1)
                before = witness.watch(5)
                print(
                    f"silence, {'C IOC' if one == PEER else one}: {before.rate:.0f}/s before, {server.memory_mb:.0f} MB"
                )
                for what, attack in ATTACKS.items():
                    with attack(server):
                        got = witness.watch(8)
                        print(
                            f"  {what:36} {got.rate / before.rate:5.0%} of the rate, silent for {got.silence_s:.3f} s",
                            end="",
                        )
                        print(f" at most, {server.memory_mb:.0f} MB", flush=True)


if __name__ == "__main__":
    main()
