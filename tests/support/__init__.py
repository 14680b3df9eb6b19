"""What the tests lean on: ports and environments, real child processes, bounded waits, CA clients, a real IOC."""

from tests.support.caclient import CaClient, CaEvent, CaInfo, CaReading, NotConnectedError, PutRefusedError
from tests.support.child import REPO, Child
from tests.support.net import ca_env, free_port, random_prefix
from tests.support.procs import alive, descendants, processes_named
from tests.support.softioc import SoftIoc
from tests.support.waiting import eventually, eventually_async

__all__ = [
    "REPO",
    "CaClient",
    "CaEvent",
    "CaInfo",
    "CaReading",
    "Child",
    "NotConnectedError",
    "PutRefusedError",
    "SoftIoc",
    "alive",
    "ca_env",
    "descendants",
    "eventually",
    "eventually_async",
    "free_port",
    "processes_named",
    "random_prefix",
]
