"""How fast a node answers, beside a C IOC in the same run.

Three round trips of one pyepics client on loopback, medians in microseconds:

* ``C IOC``    put on a record of a real EPICS base IOC -> its own monitor (the peer: nothing can be faster);
* ``host``     put on MANAGER of a node -> its own monitor (Channel Access, the automaton and the publishing of a step);
* ``request``  put on REQUEST -> the monitor of STATE (in addition the link, the worker, user code, and back).

* ``chain``    put on REQUEST -> STATE ten states further on: nine states entered, run and left on the way.

Back to back, and with 20 to 60 ms between them, as people and managers do. Requests are not made back to back: a node
that changes state more than 50 times in a second is paced on purpose (R22). The limit that event-driven code is there
to beat is what a loop of 16 Hz takes on the average, half a cycle.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.support import SoftIoc, ca_env, free_port
from tests.system.hosting import Guardhost

HALF_CYCLE_US = 1e6 / 16 / 2
MODULE = """
    from guardian import GuardState
    class A(GuardState): pass
    class B(GuardState): pass
    request = "A"
    edges = [("INIT", "A"), ("A", "B"), ("B", "A")]
"""
CHAIN = """
    from guardian import GuardState
    class S0(GuardState):
        goto = True
    for n in range(1, 11):
        globals()[f"S{n}"] = type(f"S{n}", (GuardState,), {})
    request = "S0"
    edges = [("INIT", "S0")] + [(f"S{n}", f"S{n + 1}") for n in range(10)]
"""
BACK_TO_BACK, PACED = (0.0, 0.0), (0.020, 0.060)


class RoundTrip:
    """Puts on one PV and waits for the value on the monitor of another."""

    def __init__(self, put: str, seen: str) -> None:
        from epics import PV

        self._arrived = threading.Event()
        self._wanted = ""
        self._put = PV(put)
        self._seen = PV(seen, auto_monitor=True, callback=self._event)
        if not (self._put.wait_for_connection(10) and self._seen.wait_for_connection(10)):
            raise SystemExit(f"{put}: not connected")

    def _event(self, value: object = None, **_: object) -> None:
        if str(value) == self._wanted:
            self._arrived.set()

    def once(self, value: str) -> float:
        """Seconds."""
        self._wanted = value
        self._arrived.clear()
        began = time.perf_counter()
        self._put.put(value)
        if not self._arrived.wait(20):
            raise SystemExit(f"{self._put.pvname} = {value}: no event of {self._seen.pvname} within 20 s")
        return time.perf_counter() - began


def measure(
    trip: RoundTrip, values: Callable[[int], str], count: int, pause: tuple[float, float]
) -> tuple[float, float]:
    """Median and 99th percentile in microseconds."""
    took = []
    for n in range(count + 20):
        if pause[1]:
            time.sleep(random.uniform(*pause))
        took.append(trip.once(values(n)) * 1e6)
    took = sorted(took[20:])
    return statistics.median(took), took[int(0.99 * len(took))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    count = parser.parse_args().count
    ioc_port = free_port()
    with (
        tempfile.TemporaryDirectory() as folder,
        SoftIoc('record(stringout, "BENCH:PEER") {}', ioc_port),
        Guardhost(Path(folder), {"NODE": MODULE, "CHAIN": CHAIN}) as host,
    ):
        host.wait("NODE", "STATUS", "DONE")
        host.wait("CHAIN", "STATUS", "DONE")
        os.environ.update(ca_env(ioc_port, EPICS_CA_ADDR_LIST=f"127.0.0.1:{ioc_port} 127.0.0.1:{host.port}"))
        peer_trip = RoundTrip("BENCH:PEER", "BENCH:PEER")
        host_trip = RoundTrip(host.pv("NODE", "MANAGER"), host.pv("NODE", "MANAGER"))
        request_trip = RoundTrip(host.pv("NODE", "REQUEST"), host.pv("NODE", "STATE"))
        down_trip, chain_trip = (RoundTrip(host.pv("CHAIN", "REQUEST"), host.pv("CHAIN", "STATE")) for _ in range(2))

        def flip(n: int) -> str:
            return f"v{n % 2}"

        def there_and_back(n: int) -> str:
            return "BA"[n % 2]

        print(f"back to back, n = {count}")
        peer = show("C IOC", measure(peer_trip, flip, count, BACK_TO_BACK))
        show("host", measure(host_trip, flip, count, BACK_TO_BACK), peer)
        print(f"20 to 60 ms between them, n = {count // 4}")
        peer = show("C IOC", measure(peer_trip, flip, count // 4, PACED))
        show("host", measure(host_trip, flip, count // 4, PACED), peer)
        median, p99 = measure(request_trip, there_and_back, count // 4, PACED)
        show("request", (median, p99), peer)
        print(f"           {median / HALF_CYCLE_US:.2f} x half a cycle of 16 Hz")
        took = []
        for _ in range(20):
            took.append(chain_trip.once("S10") * 1e6)
            time.sleep(0.5)  # or the pace of R22 would be measured
            down_trip.once("S0")
            time.sleep(0.5)
        show("chain", (statistics.median(took), max(took)), peer)


def show(what: str, figures: tuple[float, float], peer: float = 0.0) -> float:
    """Print one line; the median."""
    median, p99 = figures
    print(f"  {what:8} {median:8.0f} us  p99 {p99:8.0f} us  {median / (peer or median):5.1f} x C IOC")
    return median


if __name__ == "__main__":
    main()
