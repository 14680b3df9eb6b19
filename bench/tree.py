"""A tree of 150 nodes in one host: 1 top, 9 managers, 140 devices.

* ``start``: from the start of the host until all are managed and arrived, beside the limit of 30 s.
* ``jump``: from the moment a device jumps until the top knows: its time stamps, two levels up, beside the limit of
  100 ms. And the same as a multiple of what a level costs at least: a put with its answer, by a client of the host.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from pathlib import Path

import psutil

from tests.support import eventually
from tests.system.hosting import Guardhost
from tests.system.trees import summary, tree

START_LIMIT_S = 30.0
JUMP_LIMIT_S = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--managers", type=int, default=9)
    parser.add_argument("--devices", type=int, default=140)
    parser.add_argument("--jumps", type=int, default=40)
    options = parser.parse_args()
    files, below = tree(options.managers, options.devices)
    nodes = [name for name in files if name != "device"]
    with tempfile.TemporaryDirectory() as folder:
        host = Guardhost(Path(folder), files, nodes=nodes)
        began = time.monotonic()
        with host:
            start(host, below, began)
            jumps(host, below, options.jumps)


def start(host: Guardhost, below: dict[str, list[str]], began: float) -> None:
    host.wait("TOP", "OK", "True", 300)
    for manager, managed in below.items():
        for node in managed:
            eventually(lambda node=node, manager=manager: arrived(host, node, manager), 300, f"{node} to have arrived")  # type: ignore[misc]
    took_s = time.monotonic() - began
    print(f"start: all managed and arrived after {took_s:.1f} s, {took_s / START_LIMIT_S:.0%} of the limit")
    assert host.child is not None
    time.sleep(5)
    processes = [process := psutil.Process(host.child.pid), *process.children(recursive=True)]
    used_s = sum(sum(p.cpu_times()[:2]) for p in processes)
    time.sleep(10)
    used_s = sum(sum(p.cpu_times()[:2]) for p in processes) - used_s
    own = sum(p.memory_full_info().uss for p in processes)
    print(f"at rest: {used_s / 10:.0%} of one processor, {own >> 20} MB that are not shared")


def arrived(host: Guardhost, node: str, manager: str) -> bool:
    told = summary(host, node)
    return bool(told["manager"] == manager and told["mode"] == "MANAGED" and told["state"] == "ALIGNED")


def jumps(host: Guardhost, below: dict[str, list[str]], count: int) -> None:
    took: list[float] = []
    puts: list[float] = []
    devices = [node for manager, nodes in below.items() if manager != "TOP" for node in nodes]
    for device in random.Random(1).choices(devices, k=count):
        host.wait("TOP", "OK", "True", 60)
        began = time.monotonic()
        host.put(device, "MANAGER", summary(host, device)["manager"], wait=True)
        puts.append(time.monotonic() - began)
        trip = host.folder / f"trip_{device}"
        trip.touch()
        host.wait(device, "STATE", "TRIPPED")
        jumped = host.ca.get(host.pv(device, "STATE")).stamp_utc
        host.wait("TOP", "STATUS", "RUN")
        took.append(host.ca.get(host.pv("TOP", "STATUS")).stamp_utc - jumped)
        trip.unlink()
    median_s = statistics.median(took)
    print(
        f"jump: known at the top after {median_s * 1e3:.1f} ms (median of {count}; worst {max(took) * 1e3:.0f} ms), "
        f"{median_s / JUMP_LIMIT_S:.0%} of the limit; {median_s / statistics.median(puts):.1f} x one confirmed put"
    )


if __name__ == "__main__":
    main()
