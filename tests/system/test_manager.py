"""Nodes that manage nodes (section 7 of the design), over Channel Access between real workers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from guardian.cli.output import TIMED_OUT
from tests.support import eventually
from tests.system.hosting import Guardhost
from tests.system.trees import DEVICES, MANAGER, Puppet, puppet, summary

pytestmark = [pytest.mark.ca, pytest.mark.proc]


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Guardhost]:
    """A manager and two devices in one host, all where they are wanted."""
    with Guardhost(tmp_path, {**DEVICES, "TOP": MANAGER}, nodes=["SUS_1", "SUS_2", "TOP"]) as host:
        host.wait("TOP", "OK", "True")
        yield host


def test_a_manager_takes_its_subordinates_and_asks_them_as_itself(tree: Guardhost) -> None:
    for node in ("SUS_1", "SUS_2"):
        told = summary(tree, node)
        assert (told["mode"], told["manager"], told["state"]) == ("MANAGED", "TOP", "ALIGNED")
        assert told["by"].startswith("manager TOP at ") and told["cmd"].startswith("TOP#")
    tree.wait("TOP", "SUBNODES_TOTAL", 2)
    tree.wait("TOP", "SUBNODES_NOT_OK", 0)


def test_a_tripped_device_stalls_is_told_in_WHY_and_is_revived(tree: Guardhost) -> None:
    trip = tree.folder / "trip_SUS_2"
    trip.touch()
    tree.wait("SUS_2", "STATE", "TRIPPED")
    eventually(lambda: "because SUS_2: " in tree.get("TOP", "WHY"), 30, "WHY to name SUS_2")
    assert tree.get("TOP", "OK") == "False"
    argv = [sys.executable, "-m", "guardian.cli.guardctrl", "--ifo", tree.ifo, "request", "ALIGNED", "TOP"]
    argv += ["--wait", "--timeout", "1"]
    ended = subprocess.run(argv, env=tree.env, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == TIMED_OUT and "because SUS_2: on the way: in TRIPPED" in ended.stderr, ended
    trip.unlink()
    tree.wait("TOP", "OK", "True")
    assert tree.get("SUS_2", "STATE") == "ALIGNED"


def test_R24_a_request_of_a_person_is_accepted_and_its_manager_says_whose_it_is(tree: Guardhost) -> None:
    tree.put("SUS_1", "REQUEST", "SAFE")
    eventually(lambda: "SUS_1: REQUEST is SAFE by" in tree.get("TOP", "USERMSG"), 30, "the manager to say so")
    assert "ALIGNED was asked for" in tree.get("TOP", "USERMSG")
    tree.wait("TOP", "STATUS", "RUN")
    assert summary(tree, "SUS_1")["cmd"] == ""


def test_a_second_manager_takes_over_and_the_first_one_says_so(tmp_path: Path) -> None:
    files = {**DEVICES, "FIRST": puppet("SUS_1", "SUS_2"), "SECOND": puppet("SUS_1")}
    first, second = Puppet(tmp_path, "FIRST"), Puppet(tmp_path, "SECOND")
    with Guardhost(tmp_path, files, nodes=["SUS_1", "SUS_2", "FIRST", "SECOND"]) as host:
        first.do("nodes.set_managed()")
        eventually(lambda: first.saw()["mine"] == {"SUS_1": True, "SUS_2": True} and not first.saw()["fault"])
        second.do("nodes.set_managed()")
        eventually(lambda: second.saw()["mine"] == {"SUS_1": True})
        eventually(lambda: "SUS_1: MANAGER is SECOND, not FIRST any more" in host.get("FIRST", "USERMSG"), 30)
        assert first.saw()["mine"] == {"SUS_1": False, "SUS_2": True}
        first.do("nodes.release()")
        eventually(lambda: not first.saw()["fault"], 30, "no fault after the release")
        assert summary(host, "SUS_1")["manager"] == "SECOND", "what is not ours is not released"
        assert (summary(host, "SUS_2")["mode"], summary(host, "SUS_2")["manager"]) == ("AUTO", "")


def test_every_fault_of_a_subordinate_is_named(tmp_path: Path) -> None:
    boss = Puppet(tmp_path, "BOSS")
    files = {**DEVICES, "BOSS": puppet("SUS_1", "SUS_2"), "BAD": "from guardian import GuardState\n"}
    with Guardhost(tmp_path, files, nodes=["SUS_1", "SUS_2", "BOSS"]) as host:

        def says(text: str) -> None:
            eventually(lambda: text in host.get("BOSS", "USERMSG"), 30, f"BOSS to say {text!r}")

        boss.do("nodes.set_managed()")
        boss.do("[node.set_request('ALIGNED') for node in nodes]")
        eventually(lambda: boss.saw()["completed"] and not boss.saw()["fault"], 30, "both to be aligned")
        host.put("SUS_1", "OP", "PAUSE")
        says("SUS_1: OP is PAUSE, not EXEC")
        host.put("SUS_1", "OP", "EXEC")
        eventually(lambda: not boss.saw()["fault"], 30, "no fault")
        host.put("SUS_1", "MODE", "AUTO")
        says("SUS_1: MODE is AUTO, not MANAGED any more")
        boss.do("nodes.set_managed(['SUS_1'])")
        eventually(lambda: not boss.saw()["fault"], 30, "no fault")
        host.write("device", DEVICES["device"].replace("'TRIPPED' if", "1 / 0 if"))
        host.put("SUS_2", "LOAD", 1)
        host.wait("SUS_2", "LOAD_STATUS", "DONE")
        (tmp_path / "trip_SUS_2").touch()
        says("SUS_2: ERROR in ALIGNED")
        assert boss.saw()["arrived"], "it is where it was asked to be"
        host.ctrl("destroy", "SUS_1")
        says("SUS_1: not connected")
        eventually(lambda: boss.saw()["states"] == {"SUS_1": None, "SUS_2": "ALIGNED"}, 30, "no state of it")
        assert boss.saw()["not_ok"] == ["SUS_1", "SUS_2"] and not boss.saw()["arrived"]


def test_a_request_that_is_refused_is_an_error_at_its_line(tmp_path: Path) -> None:
    files = {**DEVICES, "BOSS": puppet("SUS_1")}
    with Guardhost(tmp_path, files, nodes=["SUS_1", "BOSS"]) as host:
        host.wait("SUS_1", "OK", "True")
        Puppet(tmp_path, "BOSS").do("nodes['SUS_1'].set_request('ALINGED')")
        host.wait("BOSS", "ERROR", "True")
        assert "SUS_1: it refuses REQUEST=ALINGED" in host.get("BOSS", "GRDMSG")
        assert "did you mean ALIGNED" in host.get("SUS_1", "GRDMSG")
        assert "BOSS" in host.get("SUS_1", "GRDMSG")


def test_R13_a_write_to_a_node_that_is_not_there_waits_and_is_made_when_it_comes(tmp_path: Path) -> None:
    files = {**DEVICES, "BOSS": puppet("SUS_1")}
    boss = Puppet(tmp_path, "BOSS")
    with Guardhost(tmp_path, files, nodes=["BOSS"]) as host:
        host.wait("BOSS", "STATE", "UP")
        boss.do("nodes['SUS_1'].set_request('SAFE')")
        host.wait("BOSS", "CONNECT", "LOST")
        assert host.get("BOSS", "CONNECT_S") == host.pv("SUS_1", "SUMMARY")
        host.ctrl("create", "SUS_1")
        host.wait("SUS_1", "REQUEST", "SAFE")
        host.wait("BOSS", "CONNECT", "OK")


@pytest.mark.parametrize("fail_return", [None, "DOWN"])
def test_a_checker_among_other_decorators(tmp_path: Path, fail_return: str | None) -> None:
    module = f"""\
from guardian import GuardState, GuardStateDecorator, Node
node = Node('SUS_1')
request = 'UP'
class Outer(GuardStateDecorator):
    def pre_exec(self):
        log('outer')
class Inner(GuardStateDecorator):
    def pre_exec(self):
        log('inner')
class INIT(GuardState):
    def main(self):
        node.set_managed()
        node.set_request('ALIGNED')
    def run(self):
        return node.completed
class UP(GuardState):
    @Outer
    @node.checker({fail_return!r})
    @Inner
    def run(self):
        return True
class DOWN(GuardState):
    def run(self):
        return False
edges = [('INIT', 'UP')]
"""
    with Guardhost(tmp_path, {**DEVICES, "BOSS": module}, nodes=["SUS_1", "BOSS"]) as host:
        host.wait("BOSS", "STATUS", "DONE")
        host.put("SUS_1", "REQUEST", "SAFE")
        if fail_return is None:
            eventually(lambda: "REQUEST is SAFE" in host.get("BOSS", "USERMSG"), 30, "the fault")
            assert (host.get("BOSS", "STATE"), host.get("BOSS", "STATUS")) == ("UP", "DONE")
        else:
            host.wait("BOSS", "STATE", "DOWN")


def test_a_shell_of_a_manager_takes_and_asks_for_it(tmp_path: Path) -> None:
    program = "nodes.set_managed()\nnodes['SUS_1'] = 'SAFE'\nassert nodes['SUS_1'].wait_connected()\nnodes.release()\n"
    with Guardhost(tmp_path, {**DEVICES, "TOP": MANAGER}, nodes=["SUS_1", "SUS_2"]) as host:
        host.wait("SUS_1", "OK", "True")
        argv = [sys.executable, "-m", "guardian.cli.guardian", "-i", "TOP", "--ifo", host.ifo, "--path", str(tmp_path)]
        ended = subprocess.run(
            argv, input=program, env=host.env, capture_output=True, text=True, timeout=60, check=False
        )
        assert ended.returncode == 0, ended.stderr
        host.wait("SUS_1", "STATE", "SAFE")
        assert summary(host, "SUS_1")["by"].startswith("manager TOP at ") and host.get("SUS_1", "MODE") == "AUTO"
