"""kill -9 of a random worker every second, managers included: the tree comes back by itself (section 7, R12, R25)."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.support import eventually
from tests.system.hosting import Guardhost
from tests.system.trees import summary, tree

pytestmark = [pytest.mark.ca, pytest.mark.proc, pytest.mark.timeout(600)]

SITE = """\
ifo = "{ifo}"
nodes = {nodes}
path = ["."]
port = {port}
state_dir = "state"
[policy]
restart = "always"
restart_delay_max = 0.5
"""
#: How long after the last kill each node must be where it was asked to be, and managed by the node above it.
BACK_S = 15.0


class SiteHost(Guardhost):
    """A host with a site file, which alone can say that workers are always restarted."""

    @property
    def argv(self) -> list[str]:
        site = self.folder / "site.toml"
        site.write_text(SITE.format(ifo=self.ifo, nodes=str(self.nodes).replace("'", '"'), port=self.port))
        head = super().argv[:3]
        return [*head, "--site", str(site)]


@pytest.mark.parametrize(
    ("managers", "devices", "for_s"), [(3, 12, 20), pytest.param(9, 140, 120, marks=pytest.mark.soak)]
)
def test_a_tree_whose_workers_are_killed_comes_back_and_nothing_is_managed_by_nobody(
    tmp_path: Path, managers: int, devices: int, for_s: float
) -> None:
    files, below = tree(managers, devices)
    draw = random.Random(for_s)
    with SiteHost(tmp_path, files, nodes=[name for name in files if name != "device"]) as host:
        host.wait("TOP", "OK", "True", 60)
        killed: list[str] = []
        until = time.monotonic() + for_s
        while time.monotonic() < until:
            name, process = draw.choice(sorted(host.workers().items()))
            os.kill(process.pid, signal.SIGKILL)
            killed.append(name)
            time.sleep(1)
        stopped = time.monotonic()
        assert any(name in below for name in killed), "a manager must be among them"

        def wrong() -> list[str]:
            found = [] if host.get("TOP", "OK") == "True" else [f"TOP: {host.get('TOP', 'WHY')}"]
            for manager, nodes in below.items():
                for node in nodes:
                    told = summary(host, node)
                    if (told["manager"], told["mode"], told["state"]) != (manager, "MANAGED", "ALIGNED"):
                        found.append(f"{node}: {told}")
            return found

        try:
            eventually(lambda: not wrong(), BACK_S, "the tree to be back")
        except AssertionError as error:
            said = host.child.report() if host.child else ""
            raise AssertionError(f"{error}\n{wrong()}\nkilled: {killed}\n{said}") from None
        print(f"{len(killed)} kills, back after {time.monotonic() - stopped:.1f} s of {BACK_S:g}")
