"""Whether anybody notices the worst user code: a node's round trip while its neighbour sleeps, spins, holds the GIL or
floods the log, beside the same round trip before. Medians of one pyepics client on loopback, put -> own monitor, paced.

A machine of two cores has one left when a neighbour spins, so a ratio up to 2 is the machine's, not the host's.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from bench.latency import RoundTrip, measure
from tests.support import ca_env
from tests.system.hosting import Guardhost
from tests.system.test_must_hold import GOOD, STUCK

COUNT = 300
PAUSE = (0.002, 0.006)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, Guardhost(Path(folder), {"GOOD": GOOD, "BAD": STUCK}) as host:
        host.wait("GOOD", "STATUS", "DONE")
        host.wait("BAD", "STATUS", "DONE")
        os.environ.update(ca_env(host.port))
        trips = {n: RoundTrip(host.pv(n, "MANAGER"), host.pv(n, "MANAGER")) for n in ("GOOD", "BAD")}

        def medians() -> dict[str, float]:
            return {n: measure(trip, lambda i: f"v{i % 2}", COUNT, PAUSE)[0] for n, trip in trips.items()}

        before = medians()
        print(f"quiet    neighbour {before['GOOD']:6.0f} us   the node itself {before['BAD']:6.0f} us")
        for state in ("SLEEPS", "SPINS", "HOLDS", "FLOODS"):
            host.put("BAD", "REQUEST", state)
            host.wait("BAD", "STATE", state)
            host.wait("BAD", "STATUS", "MAIN")
            now = medians()
            print(
                f"{state:8} neighbour {now['GOOD']:6.0f} us = {now['GOOD'] / before['GOOD']:4.2f} x   "
                f"the node itself {now['BAD']:6.0f} us = {now['BAD'] / before['BAD']:4.2f} x"
            )
            host.put("BAD", "REQUEST", "REST")
            host.wait("BAD", "STATUS", "DONE")


if __name__ == "__main__":
    main()
