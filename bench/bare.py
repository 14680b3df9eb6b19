"""The peer of :mod:`bench.nodes`: as many processes of a bare forkserver, with the imports of a worker and no more.

``python -m bench.bare COUNT [PREFIX]`` says BARE READY when all are up. With a PREFIX each connects the channels
``{PREFIX}N000_C0`` and so on, and reads them in a loop of 16 Hz, as LIGO's Guardian does.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from multiprocessing.connection import Connection

import psutil

READY = "BARE READY"
CHANNELS = 5
PRELOAD = ["numpy", "epics", "guardian.worker.process", "guardian.worker.extras"]


def channels(node: str) -> list[str]:
    """What a node reads."""
    return [f"{node}_C{n}" for n in range(CHANNELS)]


def names(count: int) -> list[str]:
    """Of so many nodes."""
    return [f"N{n:03d}" for n in range(count)]


def workers(pid: int) -> list[psutil.Process]:
    """Of a process that runs this: children of its forkserver, which is its child."""
    return [one for one in psutil.Process(pid).children(recursive=True) if one.ppid() != pid]


def _live(up: Connection, prefix: str, node: str) -> None:
    if not prefix:
        up.send(node)
        time.sleep(3600)
    import epics

    pvs = [epics.PV(prefix + name, auto_monitor=True) for name in channels(node)]
    for pv in pvs:
        pv.wait_for_connection(60)
    up.send(node)
    while True:
        began = time.monotonic()
        for pv in pvs:
            pv.get()
        time.sleep(max(0.0, 1 / 16 - (time.monotonic() - began)))


def _main(count: int, prefix: str = "") -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(4096, hard)), hard))  # as a host does
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    told, up = context.Pipe(duplex=False)
    for node in names(count):
        context.Process(target=_live, args=(up, prefix, node), daemon=True).start()
    for _ in range(count):
        told.recv()
    print(READY, flush=True)
    time.sleep(3600)


if __name__ == "__main__":
    _main(int(sys.argv[1]), *sys.argv[2:])
