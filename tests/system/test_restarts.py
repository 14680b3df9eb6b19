"""Deaths of workers at bad moments: each is acted on once, nobody who lives is restarted, and no clock has a say."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support import eventually, procs
from tests.system.hosting import Guardhost

pytestmark = [pytest.mark.ca, pytest.mark.proc]

GOOD = """
    from guardian import GuardState
    request = nominal = "WORK"
    class REST(GuardState):
        goto = True
    class WORK(GuardState):
        pass
    class HOLDS(GuardState):
        def main(self):
            import ctypes
            ctypes.PyDLL(None).sleep(3600)
    edges = [("INIT", "REST"), ("REST", "WORK"), ("REST", "HOLDS")]
"""
#: Its import takes long enough to be killed in the middle of it, while a file is there.
SLOW = """
    import os, time
    while os.path.exists("SLOW.import"):
        time.sleep(0.01)
""" + GOOD  # fmt: skip
SITE = """
ifo = "{ifo}"
nodes = {nodes}
path = ["."]
port = {port}
state_dir = "state"
{policy}
"""


class Deadly(Guardhost):
    """A host whose site file has a policy."""

    def __init__(self, folder: Path, modules: dict[str, str], policy: str = "", **how: Any) -> None:
        super().__init__(folder, modules, **how)
        self.policy = policy

    @property
    def argv(self) -> list[str]:
        site = self.folder / "site.toml"
        nodes = str(self.nodes).replace("'", '"')
        site.write_text(SITE.format(ifo=self.ifo, nodes=nodes, port=self.port, policy=self.policy))
        return [*super().argv[:3], "--site", str(site)]

    def ready(self, *nodes: str) -> None:
        for node in nodes or self.nodes:
            self.wait(node, "OK", "True", 60)
            self.wait(node, "PROC_STATE", "READY")

    def pids(self) -> dict[str, int]:
        return {node: process.pid for node, process in self.workers().items()}

    def kills(self, *nodes: str) -> list[int]:
        """kill -9 of these workers, as close together as can be."""
        pids = [self.pids()[node] for node in nodes]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        return pids

    def pid(self, node: str) -> int:
        """As the node shows it: a process that has just been made has no name yet."""
        return int(self.ca.get(self.pv(node, "PROC_PID")).value)

    def journal(self, node: str, kind: str = "worker") -> list[str]:
        """The texts of the records of a kind."""
        lines = (self.state_dir / "journal.jsonl").read_text().splitlines()
        records = [json.loads(line) for line in lines]
        return [r["text"] for r in records if r.get("node") == node and r.get("kind") == kind]

    def deaths(self, node: str) -> list[str]:
        return [text for text in self.journal(node) if text.startswith("worker died")]

    @property
    def forkserver(self) -> int:
        assert self.child is not None
        family = psutil.Process(self.child.pid).children(recursive=True)
        return next(p.pid for p in family if "guardian.worker.forkserver" in procs.command_line(p.pid))


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterable[Deadly]:
    policy = "[policy]\nrestarts = 1000\nrestart_delay_max = 0.5"
    with Deadly(tmp_path_factory.mktemp("host"), {"A": GOOD, "B": GOOD, "C": GOOD, "SLOW": SLOW}, policy) as host:
        host.ready()
        yield host


@pytest.fixture
def settled(host: Deadly) -> Deadly:
    host.ready()
    return host


def restarts(host: Guardhost, node: str) -> int:
    return int(host.ca.get(host.pv(node, "RESTARTS")).value)


def test_one_that_is_killed_is_back_with_all_that_is_shown_of_it(settled: Deadly) -> None:
    host, others = settled, {n: p for n, p in settled.pids().items() if n != "A"}
    states = host.ca.monitor(host.pv("A", "PROC_STATE"), as_string=True)
    states.wait_value("READY")
    began, before = time.time(), restarts(host, "A")
    (pid,) = host.kills("A")
    states.wait_value("READY", start=2)
    seen = [v for v, w in zip(states.values, [None, *states.values], strict=False) if v != w]
    way = iter(("READY", "STOPPED", "STARTED", "BOOTING", "LOADCFG", "READY"))
    # A host that is busy may learn of two at once, and shows the latest.
    assert seen[:2] == ["READY", "STOPPED"] and seen[-1] == "READY" and all(state in way for state in seen), seen
    host.ready("A")
    assert restarts(host, "A") == before + 1
    assert host.pid("A") == host.pids()["A"] != pid
    assert host.get("A", "PROC_NAME") == f"{host.ifo}:A"
    assert began - 1 < float(host.ca.get(host.pv("A", "PROC_SINCE")).value) < time.time() + 1
    last = rf"\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\dZ killed by SIGKILL, pid {pid}, after \d+\.\d s"
    assert re.fullmatch(last, host.get("A", "LAST_EXIT"))
    assert f"killed by SIGKILL, pid {pid}, after" in host.deaths("A")[-1]
    assert {n: p for n, p in host.pids().items() if n != "A"} == others


def test_one_that_is_killed_twice_in_a_row_dies_twice(settled: Deadly) -> None:
    host, before = settled, restarts(settled, "A")
    for _ in range(2):
        (pid,) = host.kills("A")
        eventually(lambda pid=pid: host.pids().get("A") not in (None, pid), 30, "a new worker", period_s=0.001)  # type: ignore[misc]
    host.ready("A")
    assert restarts(host, "A") == before + 2


def test_two_that_are_killed_at_one_instant_both_come_back(settled: Deadly) -> None:
    host = settled
    before, others = [restarts(host, n) for n in ("A", "B")], host.pids()["C"]
    host.kills("A", "B")
    for node in ("A", "B"):
        eventually(lambda node=node: restarts(host, node) > before["AB".index(node)], 30, node)  # type: ignore[misc]
    host.ready()
    assert [restarts(host, n) for n in ("A", "B")] == [n + 1 for n in before]
    assert host.pids()["C"] == others


@pytest.mark.parametrize("moment", ["BOOTING", "LOADCFG"])
def test_one_that_is_killed_while_it_starts(settled: Deadly, moment: str) -> None:
    host = settled
    (host.folder / "SLOW.import").touch()
    before, others = restarts(host, "SLOW"), {n: p for n, p in host.pids().items() if n != "SLOW"}
    try:
        (dead,) = host.kills("SLOW")
        pid = eventually(lambda: host.pid("SLOW") not in (0, dead) and host.pid("SLOW"), 30, "its start", 0.001)
        if moment == "LOADCFG":
            host.wait("SLOW", "PROC_STATE", "LOADCFG")
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: restarts(host, "SLOW") == before + 2, 30, "its second start")
    finally:
        (host.folder / "SLOW.import").unlink()
    host.ready("SLOW")
    assert restarts(host, "SLOW") == before + 2
    assert {n: p for n, p in host.pids().items() if n != "SLOW"} == others


@pytest.mark.parametrize("under_way", ["redirect", "STOP"])
def test_one_that_is_killed_while_it_is_being_killed_anyway(settled: Deadly, under_way: str) -> None:
    """The kill of somebody else is taken for ours: one end, one new worker, and no death."""
    host = settled
    host.put("B", "REQUEST", "HOLDS")
    host.wait("B", "STATE", "HOLDS")
    host.wait("B", "STATUS", "MAIN")
    before, deaths, (pid,) = restarts(host, "B"), len(host.deaths("B")), [host.pids()["B"]]
    starts = [t for t in host.journal("B") if t.endswith("starts")]
    try:
        if under_way == "redirect":
            host.put("B", "REQUEST", "REST")
            eventually(lambda: host.get("B", "KILLS") not in (0, "0") or host.get("B", "STATE") == "REST", 30)
        else:
            host.put("B", "OP", "STOP")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        if under_way == "STOP":
            host.wait("B", "WORKER", "STOP")
            host.wait("B", "PROC_STATE", "STOPPED")
            assert len([t for t in host.journal("B") if t.endswith("starts")]) == len(starts)
    finally:
        host.put("B", "OP", "EXEC")
        host.put("B", "REQUEST", "WORK")
    host.ready("B")
    assert (restarts(host, "B"), len(host.deaths("B"))) == (before, deaths)
    assert len([t for t in host.journal("B") if t.endswith("starts")]) == len(starts) + 1


def test_the_death_of_the_forkserver_is_no_fault_of_any_node_and_each_comes_back_once(settled: Deadly) -> None:
    host = settled
    before, pids = {n: restarts(host, n) for n in host.nodes}, host.pids()
    os.kill(host.forkserver, signal.SIGKILL)
    for node in host.nodes:
        eventually(lambda node=node: restarts(host, node) > before[node], 60, f"a new worker of {node}")  # type: ignore[misc]
    host.ready()
    assert {n: restarts(host, n) for n in host.nodes} == {n: count + 1 for n, count in before.items()}
    assert set(host.pids().values()).isdisjoint(pids.values())
    assert all("forkserver died" in host.get(n, "LAST_EXIT") for n in host.nodes)


def test_a_host_that_was_stopped_for_ten_seconds_restarts_whom_it_finds_dead_once_and_no_other(
    settled: Deadly,
) -> None:
    host, before = settled, {n: restarts(settled, n) for n in settled.nodes}
    others = {n: p for n, p in host.pids().items() if n != "C"}
    assert host.child is not None
    host.child.signal(signal.SIGSTOP)
    try:
        host.kills("C")
        with pytest.raises(subprocess.TimeoutExpired):
            subprocess.run(["sleep", "60"], timeout=10, check=False)
    finally:
        host.child.signal(signal.SIGCONT)
    eventually(lambda: restarts(host, "C") > before["C"], 60, "a new worker of C")
    host.ready()
    assert {n: restarts(host, n) for n in host.nodes} == {**before, "C": before["C"] + 1}
    assert {n: p for n, p in host.pids().items() if n != "C"} == others


def test_the_policy_of_a_node_is_its_own(tmp_path: Path) -> None:
    """NEVER is FAIL at once; ALWAYS goes on, waiting longer, with MAJOR; the others live on."""
    policy = (
        '[policy]\nrestarts = 1\n[node.N]\nrestart = "never"\n'
        '[node.Z]\nrestart = "always"\nrestarts = 0\nrestart_delay = 0.1\nrestart_delay_max = 0.8'
    )
    with Deadly(tmp_path, {"N": GOOD, "Z": GOOD, "D": GOOD}, policy) as host:
        host.ready()
        host.kills("N")
        host.wait("N", "PROC_STATE", "FAIL")
        assert host.ca.get(host.pv("N", "PROC_STATE")).severity == host.ca.get(host.pv("N", "OK")).severity == 2
        assert 'not started again (restart = "never"). See the log' in host.get("N", "WHY")
        pid = host.pids()["D"]
        for number in range(1, 7):
            host.ready("Z")
            host.kills("Z")
            eventually(lambda number=number: len(host.deaths("Z")) == number, 30, f"death {number}")  # type: ignore[misc]
            assert host.get("Z", "WORKER") != "DEAD" or host.ca.get(host.pv("Z", "OK")).severity == 2
        waits = [float(re.findall(r"after ([\d.]+) s$", text)[0]) for text in host.deaths("Z")]
        assert waits == [0.1, 0.2, 0.4, 0.8, 0.8, 0.8]
        host.ready("Z")
        assert host.pids() == {"D": pid, "Z": host.pids()["Z"]}
        host.kills("D")
        eventually(lambda: host.deaths("D"), 30, "its death")
        host.ready("D")
        host.kills("D")
        host.wait("D", "PROC_STATE", "FAIL")
        assert "2 times in 60 s; not started again. See the log" in host.get("D", "WHY")
        assert "D: is reset; a new worker starts" in host.ctrl("--ifo", host.ifo, "reset-failed")
        host.ready()
