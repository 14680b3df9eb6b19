"""The demo's nodes on the demo's plant, once simulated on caproto and once on a real EPICS base IOC."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.plants import PLANTS, Plant
from tests.support import REPO, ca_env, eventually, free_port
from tests.system.hosting import Guardhost

pytestmark = [pytest.mark.ca, pytest.mark.proc, pytest.mark.slow]

MIRRORS = ("SUS_MC1", "SUS_MC2", "SUS_MC3")


@dataclass(frozen=True)
class Table:
    """The optics table with its nodes."""

    plant: Plant
    host: Guardhost

    def channel(self, name: str) -> str:
        return self.plant.prefix + name

    def wait_for_light(self) -> None:
        self.host.wait("IMC_LOCK", "OK", "True", 90)
        for mirror in MIRRORS:
            self.host.wait(mirror, "OK", "True", 60)


@pytest.fixture(params=PLANTS, ids=lambda plant: plant.__name__)
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Table]:
    with request.param() as plant:
        both = ca_env(free_port())
        host = Guardhost(
            tmp_path,
            {},
            nodes=[*MIRRORS, "IMC_LOCK"],
            options=("--path", str(REPO / "nodes")),
            ifo=plant.prefix.rstrip(":"),
            env={"EPICS_CA_ADDR_LIST": ""},
        )
        host.env = {**both, **ca_env(host.port), "EPICS_CA_ADDR_LIST": f"127.0.0.1:{plant.port} 127.0.0.1:{host.port}"}
        with host:
            yield Table(plant, host)


def test_the_whole_story(table: Table) -> None:
    """Mirrors align, the cavity locks; a kick, a trip, a killed worker and a request are all recovered from."""
    host = table.host
    table.wait_for_light()
    assert host.ca.get(table.channel("IMC-TRANS")).value > 80

    lock = host.ca.monitor(host.pv("IMC_LOCK", "STATE"))
    host.ca.put(table.channel("IMC-KICK"), 60)
    lock.wait_value("LOCKLOSS")
    lock.wait_value("BOOSTED", 60, start=len(lock.events))
    host.wait("IMC_LOCK", "OK", "True")

    host.put("SUS_MC1", "REQUEST", "MISALIGNED")
    host.wait("SUS_MC1", "STATUS", "DONE", 60)
    assert host.get("SUS_MC1", "STATE") == "MISALIGNED"
    assert "REQUEST is MISALIGNED" in host.get("SUS_MC1", "WHY")
    host.put("SUS_MC1", "REQUEST", "ALIGNED")
    table.wait_for_light()

    host.ca.put(table.channel("SUS-MC2_KICK"), 300)
    host.wait("SUS_MC2", "STATE", "TRIPPED")
    eventually(lambda: "WD_RESET" in host.get("SUS_MC2", "USERMSG"), 60, "TRIPPED to say how to reset it")
    assert f"caput {table.channel('SUS-MC2_WD_RESET')} 1" in host.get("SUS_MC2", "USERMSG")
    host.ca.put(table.channel("SUS-MC2_WD_RESET"), 1)
    table.wait_for_light()

    state = host.ca.monitor(host.pv("SUS_MC3", "STATE"))
    worker = host.ca.monitor(host.pv("SUS_MC3", "WORKER"), as_string=True)
    worker.wait_value("RUN")
    os.kill(host.workers()["SUS_MC3"].pid, signal.SIGKILL)
    worker.wait_value("DEAD")
    state.wait_value("INIT")
    table.wait_for_light()


def test_a_plant_that_goes_away_is_waited_for(table: Table) -> None:
    """R13: CONNECT says which channels are lost; the node stays commandable and goes on when they are back."""
    host = table.host
    table.wait_for_light()
    table.plant.child.kill9()
    host.wait("SUS_MC1", "ERROR", "Connect", 60)
    assert host.get("SUS_MC1", "CONNECT") == "LOST"
    assert f"{table.plant.prefix}SUS-MC1_" in host.get("SUS_MC1", "CONNECT_S")
    host.put("SUS_MC1", "REQUEST", "MISALIGNED")
    assert host.get("SUS_MC1", "REQUEST") == "MISALIGNED"
    host.put("SUS_MC1", "REQUEST", "ALIGNED")
    with type(table.plant)(port=table.plant.port, prefix=table.plant.prefix):
        table.wait_for_light()
        assert host.get("SUS_MC1", "CONNECT") == "OK"
