"""The simulated plant under a test, as a child process: on caproto, or on a real EPICS IOC. Same PVs, same behaviour.

::

    with EpicsPlant(port=free_port(), prefix=random_prefix()) as plant, CaClient(plant.env) as ca:
        ca.get(plant.prefix + "IMC-TRANS")
"""

from __future__ import annotations

import sys
from types import TracebackType
from typing import ClassVar, Self

from tests.support import REPO, Child, ca_env, free_port, random_prefix


class Plant:
    """Context manager round a plant that serves on ``port`` of 127.0.0.1.

    Parameters
    ----------
    port : CA port; None takes a free one.
    prefix : what every PV name begins with, ``X1:``; None takes a random one.

    Attributes
    ----------
    env : the environment for clients of this plant.
    """

    module: ClassVar[str]

    def __init__(self, *, port: int | None = None, prefix: str | None = None, timeout_s: float = 60) -> None:
        self.port = free_port() if port is None else port
        self.prefix = random_prefix() if prefix is None else prefix
        self.env = ca_env(self.port)
        self.timeout_s = timeout_s

    def __enter__(self) -> Self:
        argv = [sys.executable, "-m", self.module, "--prefix", self.prefix, "--port", str(self.port)]
        self.child = Child(argv, env=self.env, cwd=REPO)
        try:
            self.child.wait_for(r"^plant: .* on 127\.0\.0\.1:", self.timeout_s)
        except AssertionError:
            self.child.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if error is not None:
            error.add_note(self.child.report())
        self.child.close()


class CaprotoPlant(Plant):
    """``python -m ioc.plant``."""

    module = "ioc.plant"


class EpicsPlant(Plant):
    """``python -m ioc.epics_plant``: the records of ``db/`` in EPICS base."""

    module = "ioc.epics_plant"


PLANTS = (CaprotoPlant, EpicsPlant)
