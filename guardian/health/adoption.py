"""A process is told that it has a supervisor: what is registered in it from now on, its host looks at."""

from __future__ import annotations

from guardian.health import process, threads
from guardian.health.process import Process
from guardian.health.supervisor import Supervisor


def adopt(supervisor: Supervisor) -> Process:
    """Call it before anything of this room is used; what comes back says how far the process has come."""
    table = threads.table
    table.counters, table.report, table.shield = supervisor.counters, supervisor.report, supervisor.shield
    process.process = Process(supervisor)
    return process.process
