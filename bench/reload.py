"""What a LOAD costs: until new code is in force, beside OP=STOP, OP=EXEC; and what others notice of many at once.

* one: from ``caput LOAD 1`` until the node is OK with the new code, beside the same by STOP and EXEC, which starts a
  new worker and loses the instance. A module with five libraries of a hundred states.
* many: all nodes of a host at once: until the last has it, beside one after the other; the longest time that the host
  left a client without an answer meanwhile, beside the same while nothing was loaded.
"""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path

from bench.figures import Report
from tests.support import eventually
from tests.system.hosting import Guardhost, longest_gap_s

LIBRARIES = 5
STATES = 100
STATE = """
class S{0}_{1}(GuardState):
    def main(self):
        self.timer['t'] = {1}
    def run(self):
        if not self.timer['t']:
            notify('waiting')
            return False
        return True
"""


def run(report: Report) -> None:
    """One node, then all."""
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder), report.size(100, 4))
        with site.host as host:
            site.wait(site.names)
            first, times = site.names[0], report.size(20, 2)
            report.part("one node")
            restart = report.figure("STOP and EXEC", [site.restart(first) for _ in range(times)], "ms")
            load = report.figure("LOAD", [site.load([first]) for _ in range(times)], "ms", beside=restart)
            report.part(f"{len(site.names)} nodes at once")
            quiet_s = longest_gap_s(host.ca, host.pv(first, "OK"), report.size(5, 1))
            gaps: list[float] = []
            expected_s = load.value * len(site.names) / 2 / 1e3
            watcher = threading.Thread(
                target=lambda: gaps.append(longest_gap_s(host.ca, host.pv(first, "OK"), expected_s))
            )
            watcher.start()
            took = site.load(site.names)
            watcher.join()
            one_by_one = load.value * len(site.names)
            report.figure("LOAD of all", took, "ms", peer="one after the other", beside=one_by_one)
            report.figure("longest without an answer", gaps[0] * 1e3, "ms", peer="in quiet", beside=quiet_s * 1e3)


class Site:
    """So many nodes, each with a module that says which edition of the code is in force."""

    def __init__(self, folder: Path, count: int) -> None:
        self.names = [f"N{i:03d}" for i in range(count)]
        libraries = {f"lib{i}": library(i) for i in range(LIBRARIES)}
        self.host = Guardhost(folder, {**{n: module(n) for n in self.names}, **libraries}, nodes=self.names)
        self.edition = 1000
        self.edit()

    def edit(self) -> None:
        self.edition += 1
        for name in self.names:
            self.host.write(f"edition_{name}", f"EDITION = {self.edition}")

    def wait(self, names: list[str]) -> None:
        """Until they have the latest, and are OK."""
        for name in names:
            there = lambda name=name: int(self.host.get(name, "STATE_N")) == self.edition  # noqa: E731
            eventually(there, 300, f"{name} to have new code")
            self.host.wait(name, "OK", "True", 300)

    def load(self, names: list[str]) -> float:
        """Milliseconds."""
        self.edit()
        began = time.monotonic()
        for name in names:
            self.host.put(name, "LOAD", 1)
        self.wait(names)
        return (time.monotonic() - began) * 1e3

    def restart(self, name: str) -> float:
        """Milliseconds."""
        self.edit()
        began = time.monotonic()
        self.host.put(name, "OP", "STOP")
        self.host.put(name, "OP", "EXEC")
        self.wait([name])
        return (time.monotonic() - began) * 1e3


def module(node: str) -> str:
    lines = ["from guardian import GuardState", f"from edition_{node} import EDITION"]
    lines += [f"from lib{i} import *" for i in range(LIBRARIES)]
    lines += ["request = nominal = 'WORK'", "class WORK(GuardState):", "    index = EDITION"]
    return "\n".join([*lines, "edges = [('INIT', 'WORK')]"])


def library(number: int) -> str:
    return "from guardian import GuardState\n" + "".join(STATE.format(number, i) for i in range(STATES))
