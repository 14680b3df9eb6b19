"""``guardctrl reset-failed``, from any console: real nodes that die, a real host, Channel Access."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from guardian.cli.output import FAILED, OK
from tests.cli.ctrl.calling import Shell
from tests.support import ca_env, free_port, random_prefix
from tests.system.hosting import Guardhost

pytestmark = [pytest.mark.ca, pytest.mark.proc]

MODULE = """
from guardian import GuardState
request = nominal = "UP"
class UP(GuardState):
    goto = True
class DOWN(GuardState):
    goto = True
edges = [("INIT", "UP")]
"""
SITE = """
ifo = "{ifo}"
nodes = ["SUS_A", "SUS_B", "IMC"]
path = ["."]
port = {port}
state_dir = "state"
[node.SUS_A]
restart = "never"
[node.SUS_B]
restart = "never"
"""


class SiteHost(Guardhost):
    @property
    def argv(self) -> list[str]:
        site = self.folder / "site.toml"
        site.write_text(SITE.format(ifo=self.ifo, port=self.port))
        return [*super().argv[:3], "--site", str(site)]

    def dies(self, node: str) -> None:
        os.kill(self.workers()[node].pid, signal.SIGKILL)
        self.wait(node, "WORKER", "DEAD")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SiteHost]:
    modules = dict.fromkeys(("SUS_A", "SUS_B", "IMC"), MODULE)
    with SiteHost(tmp_path_factory.mktemp("host"), modules) as host:
        for node in modules:
            host.wait(node, "STATE", "UP", 90)
        yield host


@pytest.fixture
def shell(host: Guardhost) -> Shell:
    return Shell(host.env, ifo=host.ifo)


def test_without_names_all_that_have_failed_are_started_and_no_other(host: SiteHost, shell: Shell) -> None:
    imc = host.workers()["IMC"].pid
    host.put("SUS_A", "REQUEST", "DOWN")
    host.wait("SUS_A", "STATE", "DOWN")
    for node in ("SUS_A", "SUS_B"):
        host.dies(node)
        host.wait(node, "PROC_STATE", "FAIL")
        assert f"guardctrl reset-failed {node}" in host.get(node, "WHY")
    told = shell("reset-failed")
    assert (told.code, told.err) == (OK, ""), told
    assert told.out == "".join(f"{node}: is reset; a new worker starts\n" for node in ("SUS_A", "SUS_B"))
    host.wait("SUS_A", "STATE", "DOWN")  # what was requested stands
    host.wait("SUS_B", "OK", "True")
    host.wait("SUS_A", "PROC_STATE", "READY")
    assert host.workers()["IMC"].pid == imc
    told = shell("reset-failed")
    assert (told.code, told.out) == (OK, "none of 3 nodes has failed\n"), told
    host.put("SUS_A", "REQUEST", "UP")


def test_a_pattern_names_those_that_are_left_alone(host: SiteHost, shell: Shell) -> None:
    host.wait("SUS_B", "PROC_STATE", "READY")
    host.dies("SUS_B")
    pids = {node: process.pid for node, process in host.workers().items()}
    told = shell("reset-failed", "SUS_*", "IMC", "--json")
    assert told.code == OK, told
    assert told.facts == [
        {
            "node": node,
            "result": "left alone",
            "text": "left alone: it has not failed, PROC_STATE is READY",
            "ok": True,
        }
        for node in ("SUS_A", "IMC")
    ] + [{"node": "SUS_B", "result": "reset", "text": "is reset; a new worker starts", "ok": True}]
    host.wait("SUS_B", "OK", "True")
    assert {node: process.pid for node, process in host.workers().items() if node != "SUS_B"} == pids


def test_a_request_to_a_node_that_has_failed_says_so(host: SiteHost, shell: Shell) -> None:
    host.wait("SUS_B", "PROC_STATE", "READY")
    host.dies("SUS_B")
    told = shell("request", "UP", "SUS_B", "--dry-run")
    assert told.code == OK and "guardctrl reset-failed SUS_B" in told.err, told
    assert shell("reset-failed", "SUS_B").out == "SUS_B: is reset; a new worker starts\n"


def test_a_plain_caput_does_it_too_and_is_refused_by_a_node_that_runs(host: SiteHost) -> None:
    host.wait("SUS_B", "PROC_STATE", "READY")
    host.dies("SUS_B")
    host.put("SUS_B", "RESET_FAILED", 1)
    host.wait("SUS_B", "PROC_STATE", "READY")
    host.put("IMC", "RESET_FAILED", 1, wait=False)
    host.child.wait_for("RESET_FAILED=1 by .* refused: it has not failed")  # type: ignore[union-attr]


def test_what_does_not_answer_is_told(shell: Shell) -> None:
    told = shell("reset-failed", "SUS_A", "NOBODY", env={"EPICS_CLI_TIMEOUT": "1"})
    assert told.code == FAILED and told.err.startswith("guardctrl: nothing was reset: NOBODY does not answer"), told
    nowhere = {**ca_env(free_port()), "IFO": random_prefix().rstrip(":"), "EPICS_CLI_TIMEOUT": "0.5"}
    told = shell("reset-failed", "--json", env=nowhere)
    assert (told.code, told.facts) == (FAILED, []) and "no host answers" in told.err, told
