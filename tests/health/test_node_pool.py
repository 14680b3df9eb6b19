"""A pool in the module of a node: its stuck workers are replaced there, and redirects leave it whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import eventually
from tests.system.hosting import Guardhost

pytestmark = [pytest.mark.ca, pytest.mark.proc]

MODULE = """
    import time
    from concurrent.futures import wait
    from guardian import GuardState
    from guardian.errors import ExosError
    from guardian.health import MonitoredThreadPool, Recovery

    request = nominal = 'MEASURED'
    results = []

    class INIT(GuardState):
        def main(self):
            global pool
            pool = MonitoredThreadPool(2, 'sensors', 0.5, Recovery.THREAD)
            hangs = pool.submit(time.sleep, 3600), pool.submit(time.sleep, 3600)
            works = [pool.submit(pow, 2, n) for n in range(10)]
            results.extend(one.result() for one in works)
            for one in hangs:
                try:
                    one.result()
                except ExosError as error:
                    log(f'GIVEN UP: {error}')
            return True

    class MEASURED(GuardState):
        def run(self):
            return len(results) == 10 and pool.submit(int, '7').result() == 7

    class SAFE(GuardState):
        goto = True

    class BUSY(GuardState):
        def main(self):
            while True:
                wait([pool.submit(time.sleep, 0.01) for _ in range(4)])
                pool.submit(int).result()

    edges = [('INIT', 'MEASURED'), ('SAFE', 'MEASURED'), ('SAFE', 'BUSY')]
"""


def test_a_pool_in_a_node(tmp_path: Path):
    with Guardhost(tmp_path, {"OVEN": MODULE}) as host:
        host.wait("OVEN", "STATE", "MEASURED", 60)
        host.wait("OVEN", "STATUS", "DONE", 60)
        assert host.child is not None
        host.child.wait_for("pool sensors was made anew")
        eventually(lambda: host.child.output.count("GIVEN UP: ") == 2)  # type: ignore[union-attr]
        for _ in range(5):
            host.put("OVEN", "REQUEST", "BUSY")
            host.wait("OVEN", "STATE", "BUSY")
            host.put("OVEN", "REQUEST", "SAFE")
            host.wait("OVEN", "STATE", "SAFE")
        host.put("OVEN", "REQUEST", "MEASURED")
        host.wait("OVEN", "STATE", "MEASURED")
        host.wait("OVEN", "STATUS", "DONE")
        assert host.get("OVEN", "KILLS") == 0 and host.get("OVEN", "RESTARTS") == 0
