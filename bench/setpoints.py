"""What the set-point monitor costs: a write with it and without, and a worker that watches beside one that does not.

Against a real EPICS IOC. A write is remembered whether the monitor is on or off; with ``monitor=False`` it is not.
Watching is processor time of the process, in which nothing else happens, while the channels are connected.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from typing import Any

from tests.support import ca_env, free_port, random_prefix
from tests.support.softioc import SoftIoc

RECORD = 'record(ao, "{name}") {{ field(PINI, "YES") }}\n'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channels", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    prefix, port = random_prefix(), free_port()
    names = [f"A{n}" for n in range(options.channels)]
    os.environ.clear()
    os.environ.update(ca_env(port))
    with SoftIoc("".join(RECORD.format(name=prefix + name) for name in names), port):
        from guardian.access.channels import Channels
        from guardian.access.watch import Watch

        told: list[object] = []
        ezca = Channels(prefix.rstrip(":"), timeout_s=30)
        watch = Watch(ezca, report=told.append, stand=lambda _texts: None, say=print)
        for name in names:
            ezca.write(name, 0)
        for wait in (True, False):
            ratios = [one_round(ezca, names, wait) for _ in range(options.rounds)]
            print(
                f"a write {'that is waited for' if wait else 'that is not waited for'}: "
                f"{statistics.median(ratios):.2f} x what it takes with monitor=False"
            )
        time.sleep(3)
        idle = cpu_share(options.seconds)
        watch.switch(monitor=True, notify=True)
        time.sleep(3)
        watching = cpu_share(options.seconds)
        print(
            f"{options.channels} channels that are watched and rest: {watching:.2%} of a core, "
            f"{idle:.2%} when they are not watched: {watching / max(idle, 1e-6):.2f} x"
        )
        ezca.close()


def one_round(ezca: Any, names: list[str], wait: bool) -> float:
    """How much longer the writes take that are remembered. Each goes first once, and the server is done in between."""
    took = dict.fromkeys((True, False), 0.0)
    for turn, monitor in enumerate((False, True, True, False)):
        ezca.read(names[-1], fresh=True)
        began = time.perf_counter()
        for number, name in enumerate(names):
            ezca.write(name, turn + number, wait, monitor)
        took[monitor] += time.perf_counter() - began
    return took[True] / took[False]


def cpu_share(seconds: float) -> float:
    began = time.process_time()
    time.sleep(seconds)
    return (time.process_time() - began) / seconds


if __name__ == "__main__":
    main()
