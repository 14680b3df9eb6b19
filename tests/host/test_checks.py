"""The processes that check new code (R11): whatever becomes of them, the node hears one answer and keeps running."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from guardian.core.events import Checked, GiveUp, GiveUpCheck, LoadFailed
from guardian.enums import LoadStatus, Worker
from guardian.host import node as node_file
from guardian.host.checks import MOST_AT_ONCE
from guardian.host.node import Node
from guardian.worker.interrupt import DUMP_SIGNAL
from guardian.worker.link import Load
from tests.core.driver import system
from tests.host.fake_worker import FACTS, FakeWorker
from tests.host.house import House, house


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as made:
        yield made


async def checking(home: House) -> tuple[Node, FakeWorker]:
    """A node in ALIGNED with a check under way that says nothing."""
    node = await home.aligned()
    home.spawner.mute.add(Load)
    home.face.put("SUS", "LOAD", 1)
    await home.reached(node, lambda v: v.load_status is LoadStatus.INPROGRESS)
    await home.until(lambda: home.worker.heard, "the order to the check")
    assert home.worker.key == "SUS#check1" and home.worker.heard[0].check
    return node, home.worker


async def test_R11_a_load_goes_through_a_check_to_the_exchange(home: House) -> None:
    node = await home.aligned()
    home.spawner.facts = system("INIT>SAFE SAFE>DAMPED DAMPED>MORE MORE>ALIGNED", request="ALIGNED", nominal="ALIGNED")
    home.face.put("SUS", "LOAD", 1)
    await home.reached(node, lambda v: v.load_status is LoadStatus.DONE and v.graph is not None and "MORE" in v.graph)
    seen = home.face.seen("SUS", "LOAD_STATUS")[-4:]
    assert seen == [LoadStatus.REQUEST, LoadStatus.INPROGRESS, LoadStatus.SET, LoadStatus.DONE]
    assert "MORE" in home.face["SUS"]["STATES"] and home.face["SUS"]["LOAD"] == 0
    assert home.spawner.kills == [] and home.spawner.alive() == ["SUS#1"]


async def test_R11_a_check_that_dies_is_an_answer(home: House) -> None:
    node, check = await checking(home)
    check.die(sig=signal.SIGSEGV)
    view = await home.reached(node, lambda v: v.load_status is LoadStatus.ERROR)
    assert "killed by SIGSEGV" in view.message and "old code runs on" in view.message and view.worker is Worker.RUN
    assert home.spawner.alive() == ["SUS#1"]


async def test_R11_a_check_that_takes_too_long_is_told_to_give_up(home: House) -> None:
    node, check = await checking(home)
    node._do(GiveUpCheck(number=1))
    await home.until(lambda: check.commands(GiveUp), "the word to the check")
    node._do(GiveUpCheck(number=99))  # one that is over
    node.feed(Checked(number=1, report=LoadFailed(reason="it was in SUS.py:3")))
    view = await home.reached(node, lambda v: v.load_status is LoadStatus.ERROR)
    assert "SUS.py:3" in view.message


async def test_R11_a_check_that_cannot_be_started_is_an_answer(home: House) -> None:
    node = await home.aligned()
    home.spawner.fail = "fork: Cannot allocate memory"
    home.face.put("SUS", "LOAD", 1)
    view = await home.reached(node, lambda v: v.load_status is LoadStatus.ERROR)
    assert "Cannot allocate memory" in view.message


async def test_R11_without_descriptors_a_load_fails_and_says_so(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    node = await home.aligned()

    def none_left(**_: Any) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(node_file, "WorkerHandle", none_left)
    home.face.put("SUS", "LOAD", 1)
    view = await home.reached(node, lambda v: v.load_status is LoadStatus.ERROR)
    assert "Too many open files" in view.message and "ulimit" in view.message


async def test_R11_a_check_that_nobody_waits_for_is_killed_and_its_word_does_not_count(home: House) -> None:
    node, check = await checking(home)
    home.spawner.hold = True
    home.face.put("SUS", "OP", "STOP")
    home.spawner.release()
    await home.reached(node, lambda v: v.worker is Worker.STOP)
    home.spawner.mute.clear()
    home.face.put("SUS", "OP", "EXEC")  # reads the code anyway
    await home.settled(node)
    await home.until(lambda: not check.alive, "the end of the check")
    assert ("SUS#check1", DUMP_SIGNAL) in home.spawner.kills  # its log says where it stood
    assert node.view.load_status is LoadStatus.DONE


async def test_R11_a_new_check_starts_while_the_killed_one_is_still_there(home: House) -> None:
    node, check = await checking(home)
    home.spawner.unkillable = True
    home.spawner.mute.clear()
    node.feed(Checked(number=1, report=LoadFailed(reason="gave up")))
    await home.reached(node, lambda v: v.load_status is LoadStatus.ERROR)
    assert check.alive
    home.face.put("SUS", "LOAD", 1)
    await home.reached(node, lambda v: v.load_status is LoadStatus.DONE)
    assert home.spawner.alive() == ["SUS#1", "SUS#check1"]
    check.die(sig=9)
    await home.until(lambda: not check.alive, "the end of the first check")
    assert home.spawner.alive() == ["SUS#1"]


async def test_a_node_leaves_only_when_its_check_is_gone(home: House) -> None:
    await checking(home)
    await home.host.remove("SUS")
    assert home.spawner.alive() == [] and "SUS" not in home.host


async def test_R20_a_check_keeps_the_numbers_that_were_given(home: House) -> None:
    home.spawner.facts = FACTS
    _, check = await checking(home)
    given = {s.name: s.index for s in FACTS.states if s.index is not None and s.index < -1}
    assert check.heard[0].indices == given


async def test_R11_only_so_many_checks_run_at_a_time_and_the_others_wait_in_REQUEST(home: House) -> None:
    names = [f"N{i:02d}" for i in range(MOST_AT_ONCE + 3)]
    nodes = [await home.host.add(name) for name in names]
    for node in nodes:
        await home.settled(node)
    home.spawner.mute.add(Load)
    for name in names:
        home.face.put(name, "LOAD", 1)
    checks = await home.until(lambda: [w for w in home.spawner.workers if "#check" in w.key and w.heard], "checks")
    await home.until(lambda: sum("#check" in key for key in home.spawner.alive()) == MOST_AT_ONCE, "all that may run")
    shown = [home.face[name]["LOAD_STATUS"] for name in names]
    assert shown.count(LoadStatus.INPROGRESS) == MOST_AT_ONCE and shown.count(LoadStatus.REQUEST) == 3
    waiting = names[shown.index(LoadStatus.REQUEST)]
    await home.host.remove(waiting)  # before its turn
    home.spawner.mute.clear()
    for check in [w for w in home.spawner.workers if "#check" in w.key and w.alive]:
        check.die(sig=9)
    left = [node for node in nodes if node.name != waiting]
    for node in left:
        await home.reached(node, lambda v: v.load_status in (LoadStatus.DONE, LoadStatus.ERROR))
    assert [n.view.load_status for n in left].count(LoadStatus.DONE) == 2
    assert checks and not any("#check" in key for key in home.spawner.alive())
