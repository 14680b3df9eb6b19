"""A manager and its subordinates in two hosts: on two ports of one machine, and on two machines with a cable between.

The two machines are network namespaces. There everything is as on a site: both hosts have the standard port of Channel
Access, searches are broadcasts, and the cable can be pulled.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support import CaClient, eventually, random_prefix
from tests.support.netns import Cable, Machine, why_not
from tests.system.hosting import Guardhost
from tests.system.trees import DEVICES, MANAGER, summary

pytestmark = [pytest.mark.ca, pytest.mark.proc]

CA_PORT = 5064
MANAGER_ADDRESS = "10.77.0.1"
#: libca gives a circuit up that has been silent for so long; its own default is 30 s.
CONNECTION_TIMEOUT_S = 4


class HostOn(Guardhost):
    """A guardhost on a machine of its own, whose nodes may be managed by those of the other one."""

    def __init__(self, machine: Machine, folder: Path, modules: dict[str, str], *, nodes: list[str], ifo: str) -> None:
        site = folder / "site.toml"
        super().__init__(folder, modules, nodes=[], options=("--site", str(site)), ifo=ifo)
        site.write_text(f'nodes = {nodes}\n[access]\nhosts = ["{MANAGER_ADDRESS}"]\n')
        self.machine = machine
        self.port = CA_PORT
        for name in ("EPICS_CA_ADDR_LIST", "EPICS_CAS_INTF_ADDR_LIST", "EPICS_CAS_BEACON_ADDR_LIST"):
            del self.env[name]
        self.env |= {
            "EPICS_CA_AUTO_ADDR_LIST": "YES",
            "EPICS_CAS_AUTO_BEACON_ADDR_LIST": "YES",
            "EPICS_CA_SERVER_PORT": str(CA_PORT),
            "EPICS_CAS_SERVER_PORT": str(CA_PORT),
            "EPICS_CA_CONN_TMO": str(CONNECTION_TIMEOUT_S),
        }

    @property
    def argv(self) -> list[str]:
        return [*self.machine.enter, *super().argv]

    @property
    def ca(self) -> CaClient:
        if self.client is None:
            self.client = CaClient(self.env, within=self.machine.enter)
        return self.client


@contextmanager
def two_ports(folder: Path) -> Iterator[tuple[Guardhost, Guardhost]]:
    """The host of the manager, and that of the devices."""
    ifo = random_prefix().rstrip(":")
    top = Guardhost(folder / "top", {"TOP": MANAGER}, ifo=ifo)
    devices = Guardhost(folder / "devices", DEVICES, nodes=["SUS_1", "SUS_2"], ifo=ifo)
    for host in (top, devices):
        host.env["EPICS_CA_ADDR_LIST"] = f"127.0.0.1:{top.port} 127.0.0.1:{devices.port}"
    with top, devices:
        yield top, devices


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("top", "devices"):
        (tmp_path / name).mkdir()
    return tmp_path


def is_managed(top: Guardhost, devices: Guardhost) -> None:
    """All that a manager does reaches the other host, and all that happens there is known at the top."""
    top.wait("TOP", "OK", "True", 60)
    for node in ("SUS_1", "SUS_2"):
        told = summary(devices, node)
        assert (told["mode"], told["manager"], told["state"]) == ("MANAGED", "TOP", "ALIGNED")
        assert told["cmd"].startswith("TOP#") and told["by"].startswith("manager TOP at ")
    trip = devices.folder / "trip_SUS_2"
    trip.touch()
    eventually(lambda: "because SUS_2:" in top.get("TOP", "WHY"), 30, "the manager to know")
    trip.unlink()
    top.wait("TOP", "OK", "True")
    assert summary(devices, "SUS_2")["state"] == "ALIGNED"
    devices.put("SUS_1", "REQUEST", "SAFE")
    eventually(lambda: "SUS_1: REQUEST is SAFE by" in top.get("TOP", "USERMSG"), 30, "the manager to say so")
    top.put("TOP", "REQUEST", "SAFE")
    for node in ("SUS_1", "SUS_2"):
        devices.wait(node, "STATE", "SAFE")
    top.wait("TOP", "STATUS", "DONE")
    top.put("TOP", "REQUEST", "ALIGNED")
    top.wait("TOP", "OK", "True")


def test_a_manager_and_its_subordinates_on_two_ports(folder: Path) -> None:
    with two_ports(folder) as (top, devices):
        is_managed(top, devices)


@pytest.mark.slow
def test_a_manager_and_its_subordinates_on_two_machines(folder: Path) -> None:
    if reason := why_not():
        pytest.skip(reason)
    ifo = random_prefix().rstrip(":")
    with Cable() as cable, ExitStack() as stack:
        here, there = cable.machines
        top = stack.enter_context(HostOn(here, folder / "top", {"TOP": MANAGER}, nodes=["TOP"], ifo=ifo))
        devices = stack.enter_context(HostOn(there, folder / "devices", DEVICES, nodes=["SUS_1", "SUS_2"], ifo=ifo))
        is_managed(top, devices)
        cable.pull()
        eventually(lambda: "SUS_1: not connected" in top.get("TOP", "WHY"), 60, "the manager to miss them")
        assert top.get("TOP", "OK") == "False" and devices.get("SUS_1", "OK") == "True"
        cable.plug()
        top.wait("TOP", "OK", "True", 60)
        assert summary(devices, "SUS_1")["manager"] == "TOP"
