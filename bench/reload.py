"""What a LOAD costs: until new code is in force, beside OP=STOP, OP=EXEC; and what others notice of many at once.

* ``one``: from ``caput LOAD 1`` until the node is OK with the new code, beside the same by STOP and EXEC, which starts
  a new worker and loses the instance. A module with five libraries of a hundred states.
* ``many``: all nodes of a host at once: until the last has it, beside one after the other; the longest time that the
  host left a client without an answer meanwhile, beside the same while nothing was loaded.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from pathlib import Path

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


def module(node: str) -> str:
    lines = ["from guardian import GuardState", f"from mark_{node} import MARK"]
    lines += [f"from lib{i} import *" for i in range(LIBRARIES)]
    lines += ["request = nominal = 'WORK'", "class WORK(GuardState):", "    index = MARK", "edges = [('INIT', 'WORK')]"]
    return "\n".join(lines)


def library(number: int) -> str:
    return "from guardian import GuardState\n" + "".join(STATE.format(number, i) for i in range(STATES))


class Bench:
    def __init__(self, folder: Path, count: int) -> None:
        self.names = [f"N{i:03d}" for i in range(count)]
        libraries = {f"lib{i}": library(i) for i in range(LIBRARIES)}
        self.host = Guardhost(folder, {**{n: module(n) for n in self.names}, **libraries}, nodes=self.names)
        self.mark = 1000
        self.edit()

    def edit(self) -> None:
        self.mark += 1
        for name in self.names:
            self.host.write(f"mark_{name}", f"MARK = {self.mark}")

    def wait(self, names: list[str]) -> None:
        for name in names:
            eventually(lambda n=name: int(self.host.get(n, "STATE_N")) == self.mark, 300, f"{name} to have new code")  # type: ignore[misc]
            self.host.wait(name, "OK", "True", 300)

    def load(self, names: list[str]) -> float:
        self.edit()
        began = time.monotonic()
        for name in names:
            self.host.put(name, "LOAD", 1)
        self.wait(names)
        return time.monotonic() - began

    def restart(self, name: str) -> float:
        self.edit()
        began = time.monotonic()
        self.host.put(name, "OP", "STOP")
        self.host.put(name, "OP", "EXEC")
        self.wait([name])
        return time.monotonic() - began

    def run(self) -> None:
        with self.host as host:
            self.wait(self.names)
            first = self.names[0]
            loads = statistics.median(self.load([first]) for _ in range(10))
            restarts = statistics.median(self.restart(first) for _ in range(10))
            print(f"one: new code in {loads * 1e3:.0f} ms, {loads / restarts:.2f} x STOP and EXEC", end=" ")
            print(f"({restarts * 1e3:.0f} ms)")
            quiet = longest_gap_s(host.ca, host.pv(first, "OK"), 5)
            gaps: list[float] = []
            watcher = threading.Thread(target=lambda: gaps.append(longest_gap_s(host.ca, host.pv(first, "OK"), took)))
            took = loads * len(self.names) / 2
            watcher.start()
            took = self.load(self.names)
            watcher.join()
            print(
                f"many: {len(self.names)} nodes at once in {took:.1f} s, {took / loads / len(self.names):.2f} x",
                end=" ",
            )
            print("one after the other;", end=" ")
            print(f"longest without an answer {gaps[0] * 1e3:.0f} ms, {quiet * 1e3:.0f} ms in quiet")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100)
    count = parser.parse_args().count
    with tempfile.TemporaryDirectory() as folder:
        Bench(Path(folder), count).run()


if __name__ == "__main__":
    main()
