"""What the set-point monitor costs: a write with it and without, and a worker that watches beside one that does not.

Against a real EPICS IOC. A write is remembered whether the monitor is on or off; with ``monitor=False`` it is not.
Watching is processor time of the process, in which nothing else happens, while the channels are connected.
"""

from __future__ import annotations

import os
import time
from typing import Any

from bench.figures import Report
from tests.support import ca_env, free_port, random_prefix
from tests.support.softioc import SoftIoc

RECORD = 'record(ao, "{name}") {{ field(PINI, "YES") }}\n'


def run(report: Report) -> None:
    """Writes in both ways, and the cost at rest."""
    prefix, port = random_prefix(), free_port()
    names = [f"A{n}" for n in range(report.size(1000, 50))]
    seconds = report.size(10, 1)
    os.environ.clear()
    os.environ.update(ca_env(port))
    with SoftIoc("".join(RECORD.format(name=prefix + name) for name in names), port):
        from guardian.access.channels import Channels
        from guardian.access.watch import Watch
        from guardian.core.events import Differences

        told: list[object] = []
        ezca = Channels(prefix.rstrip(":"), timeout_s=30)
        watch = Watch(ezca, report=told.append, stand=lambda _texts: None, say=print)
        for name in names:
            ezca.write(name, 0)
        for wait in (True, False):
            report.part(f"a write {'that is waited for' if wait else 'that is not waited for'}")
            rounds = [one_round(ezca, names, wait) for _ in range(report.size(7, 2))]
            without = report.figure("with monitor=False", [took[False] for took in rounds], "us")
            report.figure("remembered", [took[True] for took in rounds], "us", beside=without)
        for name in names:
            ezca.write(name, 0)  # remembered, or they would be told to differ from now on
        time.sleep(3)
        report.part(f"{len(names)} channels at rest")
        idle = report.figure("not watched", cpu_percent(seconds), "% of a core")
        watch.switch(monitor=True, notify=True)
        time.sleep(3)
        report.figure("watched", cpu_percent(seconds), "% of a core", beside=idle)
        wrong = [one for one in told if isinstance(one, Differences) and one.count]
        report.check("no difference is told where there is none", not wrong, wrong)
        ezca.close()


def one_round(ezca: Any, names: list[str], wait: bool) -> dict[bool, float]:
    """Microseconds of a write that is remembered, and of one that is not.

    Each goes first once, and the server is done in between.
    """
    took = dict.fromkeys((True, False), 0.0)
    for turn, monitor in enumerate((False, True, True, False)):
        ezca.read(names[-1], fresh=True)
        began = time.perf_counter()
        for number, name in enumerate(names):
            ezca.write(name, turn + number, wait, monitor)
        took[monitor] += (time.perf_counter() - began) / len(names) / 2 * 1e6
    return took


def cpu_percent(seconds: float) -> float:
    """Of a core, for this process."""
    began = time.process_time()
    time.sleep(seconds)
    return (time.process_time() - began) / seconds * 100
