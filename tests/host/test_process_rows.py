"""PROC_NAME, PROC_STATE, PROC_PID, PROC_SINCE and LAST_EXIT are true, at once and not at the next tick (R12)."""

from __future__ import annotations

import errno
import re
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from guardian.core.events import Stuck
from guardian.enums import Op, ProcessState, Restart, Severity, Worker
from guardian.errors import RefusedError
from guardian.host import host as hosts
from guardian.host.spawner import Exited
from tests.host.house import LIMITS, House, house

FAIL, STOPPED, STARTED, BOOTING = ProcessState.FAIL, ProcessState.STOPPED, ProcessState.STARTED, ProcessState.BOOTING
LOADCFG, READY = ProcessState.LOADCFG, ProcessState.READY


@pytest.fixture
async def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    """No tick comes to the help of what is not shown at once."""
    monkeypatch.setattr(hosts, "TICK_S", 3600.0)
    async with house(tmp_path, limits=replace(LIMITS, restarts=1)) as made:
        yield made


def shown(home: House, row: str = "PROC_STATE") -> list[Any]:
    return home.face.seen("SUS", row)


async def becomes(home: House, state: ProcessState) -> None:
    await home.until(lambda: home.face["SUS"]["PROC_STATE"] == state, f"PROC_STATE {state.name}")


async def test_a_start_runs_to_READY_and_a_stop_to_STOPPED(home: House) -> None:
    begun = time.time()
    await home.aligned()
    pv = home.face["SUS"]
    await becomes(home, READY)
    assert shown(home) == [STOPPED, STARTED, BOOTING, LOADCFG, READY]
    assert (pv["PROC_NAME"], pv["PROC_PID"], pv["LAST_EXIT"]) == ("X1:SUS", home.worker.pid, "")
    assert begun - 1 < pv["PROC_SINCE"] <= time.time()
    home.face.put("SUS", "OP", Op.STOP)
    await becomes(home, STOPPED)
    assert pv["PROC_PID"] == 0 and home.face.severities["SUS"]["PROC_STATE"] == Severity.NO_ALARM
    assert re.fullmatch(
        rf"\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\dZ exit code 0, pid {home.worker.pid}, after \d+\.\d s", pv["LAST_EXIT"]
    )


async def test_a_death_is_shown_with_pid_and_reason_and_stands_in_the_journal(home: House) -> None:
    node = await home.aligned()
    home.worker.die(sig=9)
    pid = home.worker.pid
    await home.reached(node, lambda v: v.worker is Worker.DEAD)
    assert f"worker died: killed by SIGKILL, pid {pid}, after " in home.face["SUS"]["WHY"]
    assert f"Z killed by SIGKILL, pid {pid}, after " in home.face["SUS"]["LAST_EXIT"]
    await becomes(home, READY)
    assert home.face["SUS"]["PROC_PID"] == home.worker.pid != pid
    assert home.face["SUS"]["RESTARTS"] == 1
    records = await home.journal(kind="worker", node="SUS")
    assert [r for r in records if f"killed by SIGKILL, pid {pid}, after" in r["text"] and r["worker"] == "DEAD"]


async def test_one_that_hung_says_so_in_LAST_EXIT(home: House) -> None:
    node = await home.aligned()
    node.feed(Stuck(gen=1, why="thread camera has not beaten for 2.6 s, promised every 2 s"))
    await home.until(lambda: home.face["SUS"]["LAST_EXIT"], "LAST_EXIT")
    words = r"thread camera has not beaten for 2\.6 s, promised every 2 s; killed by SIGKILL, pid \d+, after"
    assert re.search(words, home.face["SUS"]["LAST_EXIT"])
    await home.until(lambda: re.search(f"worker died: {words}", home.face["SUS"]["GRDMSG"]), "GRDMSG")


async def test_one_that_was_given_up_is_FAIL_and_an_alarm_until_it_is_reset(home: House) -> None:
    node = await home.aligned()
    home.face.put("SUS", "REQUEST", "DAMPED")
    await home.settled(node, "DAMPED")
    with pytest.raises(RefusedError, match="it has not failed"):
        home.face.put("SUS", "RESET_FAILED", 1)
    for gen in (1, 2):
        assert home.worker.gen == gen
        home.worker.die(sig=11)
        await home.reached(node, lambda v: v.worker is Worker.DEAD)
        await home.reached(node, lambda v: v.failed or v.worker is Worker.RUN)
    await becomes(home, FAIL)
    assert shown(home)[-1] == FAIL and STOPPED not in shown(home)[-2:]
    assert home.face.severities["SUS"]["PROC_STATE"] == home.face.severities["SUS"]["OK"] == Severity.MAJOR
    assert "2 times in 60 s; not started again" in home.face["SUS"]["WHY"]
    assert "`guardctrl reset-failed SUS`" in home.face["SUS"]["GRDMSG"]
    home.face.put("SUS", "RESET_FAILED", 1)
    await home.settled(node, "DAMPED")
    await becomes(home, READY)
    assert home.face.severities["SUS"]["PROC_STATE"] == Severity.NO_ALARM
    assert home.worker.gen == 3 and node.view.restarts == 1


async def test_STOP_takes_FAIL_back(tmp_path: Path) -> None:
    async with house(tmp_path, limits=replace(LIMITS, restart=Restart.NEVER)) as home:
        await home.aligned()
        home.worker.die(sig=9)
        await becomes(home, FAIL)
        home.face.put("SUS", "OP", Op.STOP)
        await becomes(home, STOPPED)


async def test_what_keeps_a_worker_from_being_made_is_no_fault_of_its_node(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No descriptors, no memory: tried again until there are, however often."""
    node = await home.aligned()

    def none_left(*_args: Any) -> Any:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(socket, "socketpair", none_left)
        home.worker.die(sig=9)
        await home.reached(node, lambda v: v.restarts >= 4)
        assert "not started: Too many open files" in home.face["SUS"]["LAST_EXIT"]
    home.spawner.fail = "fork: Cannot allocate memory"
    await home.reached(node, lambda v: v.restarts >= 6)
    home.spawner.fail = ""
    await home.settled(node)
    assert not node.view.failed


async def test_a_death_that_is_told_twice_is_one(home: House) -> None:
    node = await home.aligned()
    first = home.worker
    first.die(sig=9)
    await home.settled(node)
    event = Exited(key=first.key, pid=first.pid, code=None, signal=9, reason="killed by SIGKILL")
    node.on_spawner(event)
    await home.settled(node)
    assert home.worker.gen == 2 and node.view.restarts == 1 and home.face["SUS"]["PROC_STATE"] == READY
