"""After a restart of the host of its subordinates: until a manager has all values right again, beside the limit of 2 s
and beside what libca does by itself (pyepics, a monitor on one of the same PVs).

``kill -9`` of the peers' host, which comes back at once, or after having been away. The clock starts when the host
serves again.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from tests.support import CaClient, eventually
from tests.support.caclient import Monitor
from tests.system.hosting import Guardhost
from tests.system.trees import DEVICE, Puppet, puppet

LIMIT_S = 2.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=int, default=20)
    parser.add_argument("--away", type=float, nargs="*", default=[0, 0, 0, 5, 15, 30])
    options = parser.parse_args()
    names = [f"SUS_{n}" for n in range(options.peers)]
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        boss = Puppet(Path(other), "BOSS")
        peers = Guardhost(Path(one), {"device": DEVICE, **dict.fromkeys(names, "from device import *\n")}, nodes=names)
        manager = Guardhost(
            Path(other),
            {"BOSS": puppet(*names)},
            ifo=peers.ifo,
            env={"EPICS_CA_ADDR_LIST": f"127.0.0.1:{peers.port}", "EPICS_CA_AUTO_ADDR_LIST": "NO"},
        )
        with peers, manager, CaClient(peers.env) as plain:
            boss.do("nodes.set_managed()")
            boss.do("[node.set_request('SAFE') for node in nodes]")
            eventually(lambda: boss.saw()["completed"], 60)
            monitor = plain.monitor(peers.pv(names[0], "STATE"))
            took = [restart(peers, boss, monitor, away_s) for away_s in options.away]
    worst_s = max(own for own, _ in took)
    ratio = statistics.median(libca / own for own, libca in took)
    print(f"worst {worst_s:.2f} s, {worst_s / LIMIT_S:.0%} of the limit; libca by itself takes {ratio:.0f} x (median)")


def restart(peers: Guardhost, boss: Puppet, monitor: Monitor, away_s: float) -> tuple[float, float]:
    """Seconds until the manager, and until a plain monitor, are right again."""
    assert peers.child is not None
    events = monitor.events
    peers.kill9()
    peers.child.wait(30)
    peers.child.close()
    eventually(lambda: not any(boss.saw()["states"].values()), 60, "the loss to be seen")
    time.sleep(away_s)
    before = len(events)
    peers.start()
    began = time.monotonic()
    eventually(lambda: boss.saw()["completed"] and not boss.saw()["fault"], 60, "all to be right again")
    own_s = time.monotonic() - began
    eventually(lambda: len(events) > before, 120, "libca to be back")
    libca_s = time.monotonic() - began
    print(f"away {away_s:g} s: right again after {own_s:.2f} s; libca by itself {libca_s:.1f} s")
    return own_s, libca_s


if __name__ == "__main__":
    main()
