"""Import once what every worker needs, and leave the process fit to fork.

Three things spoil a process for forking, and each of them is quiet: children of a process with a Channel Access context
never connect; children of a process with threads may find a lock taken for ever; and a garbage collection writes into
the pages that were to be shared. So: no context, one thread, and everything imported is frozen out of the collector.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

#: Imported first, whatever else is asked for.
HEAVY = ("numpy", "epics")
#: BLAS makes its threads when numpy is imported. Workers keep this setting.
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preloaded:
    """What came of it."""

    missing: dict[str, str]  #: module -> why it could not be imported; workers will try by themselves
    threads: int  #: of this process; more than one is a danger
    why_not_fork: str  #: "" when children will work


def preload(names: Sequence[str]) -> Preloaded:
    """Import `names`, and turn the garbage collector off until a child turns it on again."""
    os.environ.update(ONE_THREAD)
    gc.disable()
    missing = {}
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:
            missing[name] = f"{type(error).__name__}: {error}"
    sys.stdout.flush()  # what a module printed when imported must not come out of every worker
    gc.collect()
    gc.freeze()
    return Preloaded(missing=missing, threads=len(os.listdir("/proc/self/task")), why_not_fork=_why_not_fork())


def _why_not_fork() -> str:
    epics = sys.modules.get("epics")
    if epics is None or epics.ca.libca is None:
        return ""
    return (
        "a preloaded module opened Channel Access; workers forked now would never connect. "
        "Make no PV and call no caget when a module is imported"
    )
