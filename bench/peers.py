"""After a restart of the host of its subordinates: until a manager has all values right again.

``kill -9`` of the peers' host, which comes back at once, or after having been away. The clock starts when the host
serves again. Beside the limit of 2 s, and beside what libca does by itself (pyepics, a monitor on one of the PVs).
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from bench.figures import Report
from tests.support import CaClient, eventually
from tests.support.caclient import Monitor
from tests.system.hosting import Guardhost
from tests.system.trees import DEVICE, Puppet, puppet

LIMIT_S = 2.0
AWAY_S = {0: 3, 5: 1, 15: 1, 30: 1}  #: and how many times


def run(report: Report) -> None:
    """A manager of peers on another host, which restarts."""
    names = [f"SUS_{n}" for n in range(report.size(20, 3))]
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
            for away_s, times in ({0: 1} if report.quick else AWAY_S).items():
                took = [restart(peers, boss, monitor, away_s) for _ in range(times)]
                report.part(f"away for {away_s} s")
                libca = report.figure("libca by itself", [libca_s for _, libca_s in took], "s")
                report.figure("a manager is right again", [own_s for own_s, _ in took], "s", beside=libca)
                report.figure("the same, at worst", max(own_s for own_s, _ in took), "s", n=times, limit=LIMIT_S)


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
    return own_s, time.monotonic() - began
