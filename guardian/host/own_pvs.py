"""The host as its own PVs show it: what is measured, what is wrong, what has changed since the last second.

Everything comes from the event loop, HEARTBEAT first of all: it stands still when the loop does.
"""

from __future__ import annotations

import os
import platform
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from guardian.core import ailments
from guardian.core.ailments import Ailment, WallClock
from guardian.core.host_rows import HOST_PVS, HostFacts
from guardian.core.names import HOST_PREFIX
from guardian.core.process import Process
from guardian.core.threads import Seen
from guardian.core.who import Who
from guardian.enums import ProcessState, Severity
from guardian.host.face import Face, Update
from guardian.host.gauge import Gauge
from guardian.host.troubles import Troubles

#: A clock that nobody sets, and that goes on while the machine sleeps.
_STEADY = time.CLOCK_BOOTTIME


def process_name(host: str, ifo: str) -> str:
    """What the process of a host is called."""
    return f"{ifo}:{HOST_PREFIX}{host}" if ifo else f"{HOST_PREFIX}{host}"


class OwnPvs:
    """One host.

    Parameters
    ----------
    name : of the host, as in its PVs. ifo : of its nodes. face : what shows it.
    troubles : what is wrong with it. Those that are measured here are added.
    put : refuses what clients write.
    """

    def __init__(
        self, name: str, ifo: str, face: Face, troubles: Troubles, put: Callable[[str, Any, Who], None]
    ) -> None:
        self.name = name
        self._node = f"{HOST_PREFIX}{name}"
        self._face = face
        self._troubles = troubles
        self._put = put
        self._gauge = Gauge()
        self._clock = WallClock()
        self._turned_away = 0
        self._shown: dict[str, tuple[Any, Severity]] = {}
        self._began = time.monotonic()
        self.facts = HostFacts(
            started=time.time(),
            process=Process(name=process_name(name, ifo), pid=os.getpid()),
            parent=os.getppid(),
            machine=socket.gethostname(),
            kernel=platform.release(),
            cpus=self._gauge.cpus,
        )
        troubles.ask(self._ailments)

    def open(self) -> None:
        """Show it, as not READY yet."""
        self._reach(ProcessState.LOADCFG)
        self._clock.look(time.clock_gettime(_STEADY), time.time())  # stamps are given from now on
        self._measure(time.time())
        self._face.open(self._node, self._changes(), self.facts.now, self._put)

    def ready(self) -> None:
        """All its nodes are up."""
        self._reach(ProcessState.READY)
        self._post()

    def beat(self, *, nodes: int, not_ok: int, threads: Iterable[Seen]) -> float:
        """A second has passed. By how much the clock was set meanwhile, in seconds; 0.0 if it was not.

        Parameters
        ----------
        nodes, not_ok : how many there are, and of these are not OK. threads : of the host, that are watched.
        """
        now = time.time()
        set_s = self._clock.look(time.clock_gettime(_STEADY), now)
        self.facts = replace(
            self.facts,
            beats=self.facts.beats + 1,
            nodes=nodes,
            nodes_not_ok=not_ok,
            threads=tuple(threads),
        )
        self._measure(now)
        self._post()
        return set_s

    def close(self) -> None:
        """Show it no longer."""
        self._gauge.close()
        if self._shown:
            self._face.close(self._node)

    # --- inside

    def _reach(self, state: ProcessState) -> None:
        self.facts = replace(self.facts, process=replace(self.facts.process, state=state, since=time.time()))

    def _measure(self, now: float) -> None:
        gauge, load = self._gauge, self._face.load()
        gauge.look()
        if load.turned_away > self._turned_away:
            self._turned_away = load.turned_away
            self._troubles.wanted("a client was turned away")
        self._troubles.look(now)
        self.facts = replace(
            self.facts,
            now=now,
            up_s=time.monotonic() - self._began,
            ailments=self._troubles.now,
            fd_used=gauge.fd_used,
            fd_most=gauge.fd_most,
            mem_used=gauge.mem_used,
            mem_free=gauge.mem_free,
            mem_most=gauge.mem_most,
            cpu=gauge.cpu,
            cpu_all=gauge.cpu_all,
            clients=load.clients,
            channels=load.channels,
            pvs=load.pvs,
        )

    def _ailments(self) -> Iterable[Ailment]:
        gauge = self._gauge
        found = (
            ailments.descriptors(gauge.fd_used, gauge.fd_most, self._troubles.want),
            ailments.memory(gauge.mem_free, gauge.mem_most),
            self._clock.ailment,
        )
        return [one for one in found if one is not None]

    def _post(self) -> None:
        if changes := self._changes():
            self._face.post(self._node, changes, self.facts.now)

    def _changes(self) -> list[Update]:
        changes = []
        for row in HOST_PVS:
            new = (row.value(self.facts), row.alarm(self.facts) if row.alarm else Severity.NO_ALARM)
            if self._shown.get(row.name) != new:
                self._shown[row.name] = new
                changes.append(Update(row, *new))
        return changes
