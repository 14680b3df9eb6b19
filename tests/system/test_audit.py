"""Who did what, as its users see it: a real host with a manager, real clients, and guardlog beside it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ioc.cas.raw import Raw
from tests.support import Child, eventually
from tests.support.caclient import PutRefusedError
from tests.system.hosting import Guardhost

pytestmark = [pytest.mark.ca, pytest.mark.proc]

SUS = """\
from guardian import GuardState
request = nominal = 'SAFE'
class SAFE(GuardState):
    goto = True
class ALIGNED(GuardState):
    pass
edges = [('INIT', 'SAFE'), ('SAFE', 'ALIGNED')]
"""
IMC = """\
from guardian import GuardState, NodeManager
nodes = NodeManager(['SUS'])
request = 'DOWN'
class INIT(GuardState):
    def main(self):
        nodes.set_managed()
        return True
class DOWN(GuardState):
    goto = True
class LOCKED(GuardState):
    def main(self):
        nodes['SUS'] = 'ALIGNED'
    def run(self):
        return nodes.arrived
edges = [('INIT', 'DOWN'), ('DOWN', 'LOCKED')]
"""


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Guardhost]:
    with Guardhost(tmp_path, {"SUS": SUS, "IMC": IMC}) as one:
        one.wait("IMC", "STATE", "DOWN")
        one.wait("SUS", "MODE", "MANAGED")
        yield one


def guardlog(host: Guardhost, *words: str) -> str:
    argv = [sys.executable, "-m", "guardian.cli.guardlog", "audit", *words, "--state-dir", str(host.state_dir)]
    with Child(argv, env=host.env, cwd=host.folder) as child:
        assert child.wait(60) == 0, child.report()
        return child.output


def records(host: Guardhost, *words: str, least: int) -> list[dict[str, Any]]:
    def found() -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in guardlog(host, *words, "--json").splitlines() if line[:1] == "{"]
        return lines if len(lines) >= least else []

    return eventually(found, 30, f"{least} records of {words}", period_s=0.2)


def test_a_person_asks_a_manager_which_asks_its_node_and_each_write_says_who(host: Guardhost) -> None:
    host.put("IMC", "REQUEST", "LOCKED")
    host.wait("SUS", "STATE", "ALIGNED")
    (person,) = records(host, "IMC", "--pv", "REQUEST", least=1)
    assert (person["old"], person["new"], person["taken"]) == ("DOWN", "LOCKED", True)
    assert person["pv"] == host.pv("IMC", "REQUEST") and person["address"] == "127.0.0.1"
    taken, mode, asked = records(host, "SUS", least=3)
    assert (taken["row"], taken["old"], taken["new"]) == ("MANAGER", "", "IMC") and "managed_by" not in taken
    assert (mode["row"], mode["new"], mode["managed_by"]) == ("MODE", "MANAGED", "IMC") and "manager" not in mode
    assert (asked["row"], asked["old"], asked["new"], asked["manager"]) == ("REQUEST_CMD", "SAFE", "ALIGNED", "IMC")
    by = host.get("SUS", "REQUEST_BY")
    assert by == f"manager IMC at {asked['user']}@{asked['host']} (127.0.0.1)"
    assert f"SAFE -> ALIGNED by {by}\n" in guardlog(host, "SUS")


def test_orders_on_the_command_line_say_who_gave_them(host: Guardhost) -> None:
    host.ctrl("--ifo", host.ifo, "request", "ALIGNED", "SUS")
    host.ctrl("stop", "IMC")
    (asked,) = records(host, "SUS", "--pv", "REQUEST_CMD", least=1)
    assert asked["person"] == asked["user"]
    assert host.get("SUS", "REQUEST_BY") == f"{asked['user']}@{asked['host']} (127.0.0.1)"
    (stopped,) = records(host, "IMC", "--pv", "OP", least=1)
    assert (stopped["new"], stopped["host"], stopped["address"]) == ("STOP", "", "guardctrl")


def test_what_is_refused_is_told_with_the_reason_and_by_whom_while_the_host_runs_and_after(host: Guardhost) -> None:
    with pytest.raises(PutRefusedError):
        host.put("SUS", "REQUEST", "ALIGND")
    with Raw(host.port, user="eve\x1b[2J", host="of\nfice") as raw:
        sid, kind, _ = raw.channel(host.pv("SUS", "STATE"))
        raw.put(sid, kind, b"ALIGNED\0", notify=False)  # libca would not even send it
        raw.sync()
    wrong, forced = records(host, "--refused", least=2)
    assert "did you mean ALIGNED?" in wrong["why"] and wrong["new"] == "ALIGND" and wrong["id"] > 0
    assert (forced["row"], forced["asg"], forced["id"]) == ("STATE", "READ", 0)
    lines = guardlog(host, "--refused", "--user", "eve*").splitlines()
    assert len(lines) == 1 and "REFUSED by eve\ufffd[2J@of\ufffdfice (127.0.0.1)" in lines[0] and lines[0].isprintable()
    assert host.child is not None
    host.kill9()
    host.child.wait(60)
    assert len(records(host, "--refused", least=2)) == 2
