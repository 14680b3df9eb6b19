"""Subordinates that are missing, late, dying, restarting and flapping (R13, R18)."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support import eventually
from tests.system.hosting import Guardhost
from tests.system.trees import DEVICE, DEVICES, HOLDS_ON, MANAGER, Puppet, puppet, summary

pytestmark = [pytest.mark.ca, pytest.mark.proc]

TAKES = """\
import time
from guardian import GuardState, NodeManager
began = time.time()
nodes = NodeManager(['SUS_%d' % n for n in range({first}, {last})])
class INIT(GuardState):
    def main(self):
        nodes.set_managed()
        log('took %.2f s' % (time.time() - began))
    def run(self):
        return True
"""


def test_R13_a_manager_of_21_of_which_5_do_not_exist_starts_as_fast_as_with_all(tmp_path: Path) -> None:
    devices = [f"SUS_{n}" for n in range(21)]
    files = {"device": DEVICE, **dict.fromkeys(devices, "from device import *\n")}
    files |= {"ALL": TAKES.format(first=0, last=21), "SOME": TAKES.format(first=5, last=26)}
    with Guardhost(tmp_path, files, nodes=[*devices, "ALL", "SOME"]) as host:
        host.wait("ALL", "STATUS", "RUN", 60)
        host.wait("SOME", "STATUS", "RUN", 60)
        for node in devices:
            host.wait(node, "MODE", "MANAGED")
        told = host.ca.monitor(host.pv("SOME", "USERMSG"), as_string=True)
        host.put("SOME", "REENTER", 1)  # a notification stands for a second, and the first one may be over
        told.wait_for(lambda event: all(f"SUS_{n}: not taken" in event.value for n in range(21, 26)))
        assert host.child is not None
        took = {}
        for name in ("ALL", "SOME"):
            line = host.child.wait_for(rf"{name}\b.* took ([0-9.]+) s", 30)
            took[name] = float(line.group(1))
    assert took["SOME"] < took["ALL"] + 5, "five that are missing cost one look together, not one timeout each"


def test_R13_a_late_subordinate_is_there_as_soon_as_it_comes_and_what_is_set_meanwhile_is_not_written_late(
    tmp_path: Path,
) -> None:
    boss = Puppet(tmp_path, "BOSS")
    with Guardhost(tmp_path, {**DEVICES, "BOSS": puppet("SUS_1", "SUS_2")}, nodes=["SUS_1", "BOSS"]) as host:
        told = host.ca.monitor(host.pv("BOSS", "USERMSG"), as_string=True)
        boss.do("nodes.set_managed()")
        eventually(lambda: boss.saw()["mine"] == {"SUS_1": True, "SUS_2": False}, 30, "what is there to be taken")
        told.wait_for(lambda event: "SUS_2: not taken" in event.value)
        host.ctrl("create", "SUS_2")
        eventually(lambda: boss.saw()["states"]["SUS_2"] == "ALIGNED", 30, "the late one to be seen")
        assert summary(host, "SUS_2")["mode"] == "AUTO"
        boss.do("nodes.set_managed()")
        eventually(lambda: boss.saw()["mine"] == {"SUS_1": True, "SUS_2": True}, 30, "both to be taken")


def test_R13_after_a_restart_of_the_peers_host_all_values_are_right_again(tmp_path: Path) -> None:
    for name in ("peers", "boss"):
        (tmp_path / name).mkdir()
    boss = Puppet(tmp_path / "boss", "BOSS")
    with Guardhost(tmp_path / "peers", DEVICES, nodes=["SUS_1", "SUS_2"]) as peers:
        env = {"EPICS_CA_ADDR_LIST": f"127.0.0.1:{peers.port}", "EPICS_CA_AUTO_ADDR_LIST": "NO"}
        manager = {"BOSS": puppet("SUS_1", "SUS_2")}
        with Guardhost(tmp_path / "boss", manager, env=env, ifo=peers.ifo):
            boss.do("nodes.set_managed()")
            boss.do("[node.set_request('SAFE') for node in nodes]")
            eventually(lambda: boss.saw()["completed"], 30, "both to be safe")
            for _ in range(3):
                peers.kill9()
                assert peers.child is not None
                peers.child.wait(30)
                eventually(lambda: boss.saw()["states"] == {"SUS_1": None, "SUS_2": None}, 30, "both to be missed")
                peers.__exit__(None, None, None)
                peers.start()
                eventually(lambda: boss.saw()["completed"] and not boss.saw()["fault"], 30, "all to be right again")


def test_R18_a_subordinate_that_flaps_does_not_starve_its_manager(tmp_path: Path) -> None:
    flapping = """\
from guardian import GuardState
request = 'A'
class A(GuardState):
    def main(self):
        return 'B'
class B(GuardState):
    def main(self):
        return 'A'
edges = [('INIT', 'A')]
"""
    boss, calm = Puppet(tmp_path, "BOSS"), Puppet(tmp_path, "CALM")
    files = {"FLAPS": flapping, "BOSS": puppet("FLAPS"), "CALM": "reactive = False\n" + puppet("FLAPS")}
    with Guardhost(tmp_path, files) as host:
        for one in (boss, calm):
            eventually(lambda one=one: one.saw()["states"]["FLAPS"] in ("A", "B"), 30, "the flapping node to be seen")  # type: ignore[misc]
        before, began = (boss.saw()["runs"], calm.saw()["runs"]), time.monotonic()
        eventually(lambda: calm.saw()["runs"] > before[1] + 64, 60, "four seconds of run()")
        runs, took_s = (boss.saw()["runs"] - before[0], calm.saw()["runs"] - before[1]), time.monotonic() - began
        assert runs[0] > 1.3 * runs[1], f"{runs}: each change wakes the one, none the other"
        assert runs[0] / took_s < 150, f"{runs[0] / took_s:.0f} calls a second: extra calls are to keep 10 ms apart"
        host.put("BOSS", "REENTER", 1)
        host.wait("BOSS", "STATUS", "DONE")


def test_a_subordinate_that_stays_stalled_is_revived_once_a_second_however_often_its_manager_says_it(
    tmp_path: Path,
) -> None:
    lost = DEVICE.replace("('TRIPPED', 'SAFE')", "('ALIGNED', 'SAFE')").replace("goto = True", "pass")
    files = {"SUS_1": lost, "SUS_2": lost, "TOP": MANAGER}
    with Guardhost(tmp_path, files) as host:
        host.wait("TOP", "OK", "True")
        (tmp_path / "trip_SUS_1").touch()
        host.wait("SUS_1", "STATE", "TRIPPED")
        before, began = host.ca.get(host.pv("SUS_1", "REQUEST_ID")).value, time.monotonic()
        eventually(lambda: host.ca.get(host.pv("SUS_1", "REQUEST_ID")).value >= before + 3, 30, "it to be asked again")
        asked = host.ca.get(host.pv("SUS_1", "REQUEST_ID")).value - before
        assert asked <= 2 + (time.monotonic() - began), "no more than once a second"
        assert host.get("SUS_1", "STALLED") == "True"


def test_two_managers_that_fight_for_a_node_do_so_in_a_few_lines_a_second(tmp_path: Path) -> None:
    fights = HOLDS_ON.format(nodes=["SUS_1", "SUS_2"])
    with Guardhost(tmp_path, {**DEVICES, "A": fights, "B": fights}, nodes=["SUS_1", "SUS_2", "A", "B"]) as host:
        for one, other in (("A", "B"), ("B", "A")):
            eventually(lambda one=one, other=other: f"MANAGER is {other}, not {one}" in host.get(one, "USERMSG"), 30)  # type: ignore[misc]
        time.sleep(2)
        before, began = [summary(host, node)["id"] for node in ("SUS_1", "SUS_2")], time.monotonic()
        time.sleep(4)
        steps = sum(summary(host, node)["id"] for node in ("SUS_1", "SUS_2")) - sum(before)
        assert steps / (time.monotonic() - began) < 60, f"{steps} steps"
        host.put("A", "OP", "STOP")
        eventually(
            lambda: {summary(host, node)["manager"] for node in ("SUS_1", "SUS_2")} == {"B"}, 30, "B to have both"
        )
        host.wait("B", "STATUS", "DONE")
