"""A manager in a real host, and nodes that a real EPICS IOC serves by plain PVs, as an original Guardian (R13, R21)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.access.original import database
from tests.support import CaClient, SoftIoc, ca_env, eventually, free_port
from tests.system.hosting import Guardhost
from tests.system.trees import MANAGER

pytestmark = [pytest.mark.ca, pytest.mark.proc]


class Site:
    """The host of TOP, and where an IOC with the nodes may be."""

    def __init__(self, folder: Path) -> None:
        source = MANAGER.replace("['SUS_1', 'SUS_2']", "['OLD']")
        self.host = Guardhost(folder, {"TOP": source, "WAITS": source + TAKE})
        self.port = free_port()
        self.host.env["EPICS_CA_ADDR_LIST"] = f"127.0.0.1:{self.host.port} 127.0.0.1:{self.port}"
        self.client: CaClient | None = None

    def ioc(self) -> SoftIoc:
        return SoftIoc(database(f"{self.host.ifo}:", "plain"), self.port)

    @property
    def old(self) -> CaClient:
        if self.client is None:
            self.client = CaClient(ca_env(self.port))
        return self.client

    def show(self, **values: Any) -> None:
        for row, value in values.items():
            self.old.put(self.host.pv("OLD", row), value)

    def shows(self, row: str) -> Any:
        return self.old.get(self.host.pv("OLD", row), as_string=True).value

    def obeys(self, state: str) -> None:
        """OLD is asked for a state, and goes there."""
        eventually(lambda: self.shows("REQUEST") == state, 30, f"REQUEST={state}")
        self.show(TARGET=state, STATUS="EDGE")
        self.show(STATE=state, STATUS="RUN")
        self.show(STATUS="DONE", OK=int(state == "ALIGNED"), STALLED=0)


#: WAITS asks before the node is there, and takes it once it is.
TAKE = """
class INIT(INIT):
    def main(self):
        nodes['OLD'].set_request('SAFE')
        nodes.set_managed()
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.host.__exit__(None, None, None)
    if made.client is not None:
        made.client.close()


def test_a_manager_drives_a_plain_node_revives_it_and_asks_again_after_its_own_restart(site: Site) -> None:
    site.host.nodes = ["TOP"]
    with site.ioc(), site.host as host:
        site.obeys("SAFE")
        site.obeys("ALIGNED")
        host.wait("TOP", "OK", "True")
        assert (site.shows("MANAGER"), site.shows("MODE")) == ("TOP", "MANAGED")
        host.wait("TOP", "SUBNODES_NOT_OK", 0)
        before = site.shows("WRITES")
        site.show(OK=0, STATE="TRIPPED", TARGET="TRIPPED", STALLED=1)
        eventually(lambda: site.shows("WRITES") > before, 30, "the manager to revive it")
        eventually(lambda: "because OLD: STALLED in TRIPPED" in host.get("TOP", "WHY"), 30, "WHY to say so")
        site.obeys("ALIGNED")
        host.wait("TOP", "OK", "True")
        before = site.shows("WRITES")
        os.kill(host.workers()["TOP"].pid, 9)
        eventually(lambda: site.shows("WRITES") > before, 30, "the new worker to ask again")
        site.obeys("SAFE")
        site.obeys("ALIGNED")
        host.wait("TOP", "OK", "True")


def test_R13_what_waits_for_a_plain_node_goes_on_when_that_comes(site: Site) -> None:
    site.host.nodes = ["WAITS"]
    with site.host as host:
        host.wait("WAITS", "CONNECT", "LOST")
        for _ in range(2):
            with site.ioc():
                site.obeys("SAFE")
                host.wait("WAITS", "CONNECT", "OK")
                site.obeys("ALIGNED")
                host.wait("WAITS", "OK", "True")
                assert site.shows("MANAGER") == "WAITS"
            eventually(lambda: "OLD: not connected" in host.get("WAITS", "WHY"), 30, "the manager to miss it")
            host.put("WAITS", "OP", "STOP")
            host.put("WAITS", "OP", "EXEC")
            host.wait("WAITS", "CONNECT", "LOST")
