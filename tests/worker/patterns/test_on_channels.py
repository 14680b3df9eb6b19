"""The patterns that need channels, and those of which a whole node must make something: a real host, real servers."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.support import Child, ca_env, eventually, free_port, random_prefix
from tests.support.child import REPO
from tests.system.hosting import Guardhost
from tests.worker.patterns.conftest import MODULES

pytestmark = [pytest.mark.ca, pytest.mark.proc]

NODES = ["VIS_MANAGER1", "VIS_OPTIC1", "SWITCHES", "DANGLING"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guardhost]:
    """A host with these nodes, and an IOC with the channels of SWITCHES."""
    prefix, port = random_prefix(), free_port()
    argv = [sys.executable, "-m", "tests.worker.patterns.serve", prefix]
    with Child(argv, env=ca_env(port), cwd=REPO) as server:
        server.wait_for("SERVER READY", 60)
        host = Guardhost(tmp_path_factory.mktemp("site"), {}, nodes=NODES, ifo=prefix.rstrip(":"))
        host.env["GUARD_MODULE_PATH"] = str(MODULES)
        host.env["EPICS_CA_ADDR_LIST"] = f"127.0.0.1:{host.port} 127.0.0.1:{port}"
        with host:
            host.wait("SWITCHES", "STATUS", "DONE")  # the client starts here, as it must outlive the first test
            yield host


def comes_to(site: Guardhost, node: str, state: str) -> None:
    site.wait(node, "STATE", state)
    site.wait(node, "STATUS", "DONE")


def test_channels_are_read_and_written_in_all_ways_of_the_field(site: Guardhost) -> None:
    comes_to(site, "SWITCHES", "WRITTEN")
    assert site.get("SWITCHES", "USERMSG") == "0 wrong: []"
    found = {name: site.ca.get(f"{site.ifo}:{name}", as_string=True).value for name in ("VIS-T1_MODE", "PSL-POWER")}
    assert found["VIS-T1_MODE"] == "ALIGN" and float(found["PSL-POWER"]) == 2.5


def test_a_label_that_the_channel_does_not_have_is_an_error_of_the_state(site: Guardhost) -> None:
    comes_to(site, "SWITCHES", "WRITTEN")
    site.put("SWITCHES", "REQUEST", "LABEL")
    site.wait("SWITCHES", "ERROR", "True")
    said = site.get("SWITCHES", "GRDMSG")
    assert "LABEL.main() raised EzcaError" in said and "'HALF'" in said and "(SWITCHES.py:41)" in said


def test_a_node_commands_others_and_itself_by_their_plain_pvs(site: Guardhost) -> None:
    comes_to(site, "VIS_MANAGER1", "IDLING")
    comes_to(site, "VIS_OPTIC1", "SAFE")
    site.put("VIS_MANAGER1", "REQUEST", "ALL_ALIGNED")
    comes_to(site, "VIS_MANAGER1", "ALL_ALIGNED")
    assert site.get("VIS_OPTIC1", "STATE") == "ALIGNED"
    # EARTHQUAKE writes its own node's REQUEST, and waits for the answer, while its main() runs.
    site.put("VIS_MANAGER1", "REQUEST", "EARTHQUAKE")
    comes_to(site, "VIS_MANAGER1", "IDLING")
    assert site.get("VIS_MANAGER1", "REQUEST") == "IDLING" and site.get("VIS_MANAGER1", "ERROR") == "False"
    comes_to(site, "VIS_OPTIC1", "SAFE")


def test_stop_and_exec_written_one_after_the_other_restart_a_node(site: Guardhost) -> None:
    comes_to(site, "VIS_OPTIC1", "SAFE")
    before = site.workers()["VIS_OPTIC1"].pid
    site.put("VIS_MANAGER1", "REQUEST", "RELOADING")
    comes_to(site, "VIS_MANAGER1", "RELOADING")
    eventually(lambda: getattr(site.workers().get("VIS_OPTIC1"), "pid", before) != before, 30, "another worker")
    comes_to(site, "VIS_OPTIC1", "SAFE")


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("BY_STATE", "BY_STATE.main() (DANGLING.py:16) returned 'FAILURE_TO_CREATE_STREAM', which is no state of"),
        ("BY_DECORATOR", "BY_DECORATOR.run() (DANGLING.py:21) returned 'PRE_TRIPPED', which is no state of DANGLING"),
    ],
    ids=["state", "decorator"],
)
def test_a_jump_to_a_state_that_is_not_there_is_an_error_when_it_is_made(
    site: Guardhost, state: str, words: str
) -> None:
    """R6: a load must not refuse it; the node was in service for years before that jump was ever made."""
    site.put("DANGLING", "OP", "STOP")
    site.put("DANGLING", "REQUEST", "UP")
    site.put("DANGLING", "OP", "EXEC")
    comes_to(site, "DANGLING", "UP")
    assert site.get("DANGLING", "ERROR") == "False" and site.get("DANGLING", "LOAD_STATUS") == "DONE"
    site.put("DANGLING", "REQUEST", state)
    site.wait("DANGLING", "ERROR", "True")
    assert words in site.get("DANGLING", "GRDMSG") and site.get("DANGLING", "STATE") == state
