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
NODES = ("IFO", "IMC_LOCK", "ALIGN", *MIRRORS)


@dataclass(frozen=True)
class Table:
    """The optics table with its nodes."""

    plant: Plant
    host: Guardhost

    def channel(self, name: str) -> str:
        return self.plant.prefix + name

    def wait_for_light(self) -> None:
        self.host.wait("IFO", "OK", "True", 90)
        for node in NODES:
            self.host.wait(node, "OK", "True", 60)


@pytest.fixture(params=PLANTS, ids=lambda plant: plant.__name__)
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Table]:
    with request.param() as plant:
        both = ca_env(free_port())
        host = Guardhost(
            tmp_path,
            {},
            nodes=list(NODES),
            options=("--path", str(REPO / "nodes")),
            ifo=plant.prefix.rstrip(":"),
            env={"EPICS_CA_ADDR_LIST": ""},
        )
        host.env = {**both, **ca_env(host.port), "EPICS_CA_ADDR_LIST": f"127.0.0.1:{plant.port} 127.0.0.1:{host.port}"}
        with host:
            yield Table(plant, host)


def test_the_whole_story(table: Table) -> None:
    """Mirrors align, the cavity locks; a kick, a trip, killed workers and requests are all recovered from."""
    host = table.host
    table.wait_for_light()
    assert host.ca.get(table.channel("IMC-TRANS")).value > 80
    for node, manager in {"IMC_LOCK": "IFO", "ALIGN": "IFO", **dict.fromkeys(MIRRORS, "ALIGN")}.items():
        assert (host.get(node, "MODE"), host.get(node, "MANAGER")) == ("MANAGED", manager)

    lock = host.ca.monitor(host.pv("IMC_LOCK", "STATE"))
    host.ca.put(table.channel("IMC-KICK"), 60)
    lock.wait_value("LOCKLOSS")
    lock.wait_value("BOOSTED", 60, start=len(lock.events))
    host.wait("IFO", "OK", "True")

    host.put("SUS_MC1", "REQUEST", "MISALIGNED")
    host.wait("SUS_MC1", "STATUS", "DONE", 60)
    assert host.get("SUS_MC1", "STATE") == "MISALIGNED"
    assert "REQUEST is MISALIGNED" in host.get("SUS_MC1", "WHY")
    eventually(lambda: "SUS_MC1: REQUEST is MISALIGNED by" in host.get("ALIGN", "USERMSG"), 30, "ALIGN to say who")
    host.put("ALIGN", "REENTER", 1)
    table.wait_for_light()

    host.put("IFO", "REQUEST", "DOWN")
    host.wait("IFO", "STATUS", "DONE", 60)
    assert {host.get(mirror, "STATE") for mirror in MIRRORS} == {"SAFE"} and host.get("IMC_LOCK", "STATE") == "DOWN"
    host.put("IFO", "REQUEST", "LOCKED")
    table.wait_for_light()

    host.ca.put(table.channel("SUS-MC2_KICK"), 300)
    host.wait("SUS_MC2", "STATE", "TRIPPED")
    host.wait("SUS_MC2", "STALLED", "True")
    eventually(lambda: "because SUS_MC2: STALLED in TRIPPED" in host.get("IFO", "WHY"), 30, "WHY to go down to SUS_MC2")
    eventually(lambda: "WD_RESET" in host.get("SUS_MC2", "USERMSG"), 60, "TRIPPED to say how to reset it")
    assert f"caput {table.channel('SUS-MC2_WD_RESET')} 1" in host.get("SUS_MC2", "USERMSG")
    assert host.get("SUS_MC2", "STALLED") == "True", "it is not revived before the reset"
    host.ca.put(table.channel("SUS-MC2_WD_RESET"), 1)
    table.wait_for_light()

    state = host.ca.monitor(host.pv("SUS_MC3", "STATE"))
    worker = host.ca.monitor(host.pv("SUS_MC3", "WORKER"), as_string=True)
    worker.wait_value("RUN")
    os.kill(host.workers()["SUS_MC3"].pid, signal.SIGKILL)
    worker.wait_value("DEAD")
    state.wait_value("INIT")
    table.wait_for_light()


def test_managers_that_are_killed_disturb_nothing(table: Table) -> None:
    host = table.host
    table.wait_for_light()
    watched = [host.ca.monitor(host.pv(node, "STATE")) for node in (*MIRRORS, "IMC_LOCK")]
    asked = {node: host.get(node, "REQUEST_ID") for node in ("ALIGN", "IMC_LOCK", *MIRRORS)}
    for manager in ("IFO", "ALIGN"):
        worker = host.ca.monitor(host.pv(manager, "WORKER"), as_string=True)
        worker.wait_value("RUN")
        os.kill(host.workers()[manager].pid, signal.SIGKILL)
        worker.wait_value("DEAD")
        worker.wait_value("RUN", start=len(worker.values))
        host.wait(manager, "OK", "True", 60)
    table.wait_for_light()
    assert {node: host.get(node, "REQUEST_ID") for node in asked} == asked, "nobody was asked again"
    assert [set(monitor.values) for monitor in watched] == [{"ALIGNED"}] * 3 + [{"BOOSTED"}]


def test_a_mirror_that_is_not_there_is_taken_when_it_comes(table: Table) -> None:
    host = table.host
    table.wait_for_light()
    host.put("SUS_MC2", "MODE", "AUTO")
    host.ctrl("destroy", "SUS_MC2")
    os.kill(host.workers()["ALIGN"].pid, signal.SIGKILL)
    eventually(lambda: "SUS_MC2: not taken: it is not there" in host.get("ALIGN", "USERMSG"), 60, "ALIGN to miss it")
    assert host.get("ALIGN", "STATE") == "INIT"
    host.ctrl("create", "SUS_MC2")
    table.wait_for_light()
    assert (host.get("SUS_MC2", "MODE"), host.get("SUS_MC2", "MANAGER")) == ("MANAGED", "ALIGN")


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
