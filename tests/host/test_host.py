"""A host and its nodes: they come and go while the others run, files may be at fault, and nothing grows."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from guardian.core.events import Leave, Stop
from guardian.enums import Status, Worker
from guardian.errors import ExpectedError, InternalError
from guardian.host import host as host_module
from guardian.host import node as node_module
from guardian.host.spawner import Event, Spawner, Started
from guardian.worker.link import Load
from tests.host.dict_face import ANNA
from tests.host.house import House, house
from tests.support.procs import alive


@pytest.fixture
async def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(host_module, "TICK_S", 0.02)
    async with house(tmp_path) as made:
        yield made


async def test_nodes_come_and_go_while_others_run(home: House) -> None:
    first = await home.host.add("SUS")
    await home.settled(first)
    worker, count = home.worker, len(home.face.batches("SUS"))
    second = await home.host.add("IMC")
    await home.settled(second)
    assert (list(home.host), len(home.host), "IMC" in home.host) == (["SUS", "IMC"], 2, True)
    await home.host.remove("IMC")
    assert (list(home.host), list(home.face.values)) == (["SUS"], ["SUS"])
    assert worker.alive and worker.entry == 4
    steps = [batch for batch in home.face.batches("SUS")[count:] if any(post.row == "SUMMARY" for post in batch)]
    assert steps == []  # the other one noticed nothing
    with pytest.raises(ExpectedError, match="does not run in this host; it runs SUS"):
        await home.host.remove("IMC")


async def test_the_host_shows_which_nodes_it_runs(home: House) -> None:
    await home.host.add_all(("SUS", "IMC"))
    assert home.face.nodes == [["SUS", "IMC"]]
    leaving = asyncio.create_task(home.host.remove("SUS"))
    await home.until(lambda: "SUS" not in home.face.values)
    assert home.face.nodes[1:] == [["IMC"]]  # as soon as its PVs are gone
    await leaving
    await home.host.add("SUS")
    await home.host.remove("IMC")
    await home.host.remove("SUS")
    assert home.face.nodes[2:] == [["IMC", "SUS"], ["SUS"], []]
    await home.host.stop()
    assert home.face.nodes[-1] is None


async def test_a_node_is_there_once(home: House) -> None:
    await home.host.add("SUS")
    with pytest.raises(ExpectedError, match="SUS runs already"):
        await home.host.add("SUS")
    for name in ("sus", "", "HOST_A", "S" * 31, "A.B"):
        with pytest.raises(ExpectedError, match="no name for a node"):
            await home.host.add(name)
    assert len(home.spawner.workers) == 1


async def test_two_nodes_never_share_a_pv(home: House) -> None:
    await home.host.add("M")
    with pytest.raises(ExpectedError, match="M_LOAD: its PV X1:GRD-M_LOAD_STATUS is one of M already"):
        await home.host.add("M_LOAD")
    assert list(home.host) == ["M"]
    await home.host.remove("M")
    await home.settled(await home.host.add("M_LOAD"))


async def test_a_node_that_cannot_be_shown_is_not_there(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def no(*_args: object) -> None:
        raise InternalError("served already")

    with monkeypatch.context() as patch:
        patch.setattr(home.face, "open", no)
        with pytest.raises(InternalError):
            await home.host.add("SUS")
    assert list(home.host) == []
    await home.settled(await home.host.add("SUS"))


async def test_a_node_removed_and_added_again_has_its_settings(home: House) -> None:
    await home.settled(await home.host.add("SUS"))
    home.face.put("SUS", "REQUEST", "SAFE", ANNA)
    await home.host.remove("SUS")
    again = await home.host.add("SUS")
    await home.settled(again, "SAFE")
    assert home.face["SUS"]["REQUEST_BY"] == str(ANNA)


@pytest.mark.parametrize("moment", ["unborn", "loading", "leaving", "stopped", "dead"])
async def test_a_node_can_be_removed_at_any_moment(home: House, moment: str) -> None:
    node = await home.host.add("SUS")
    if moment == "loading":
        home.spawner.mute = {Load}
        await home.until(lambda: home.worker.commands(Load), "Load")
    elif moment != "unborn":
        await home.settled(node)
        if moment == "leaving":
            home.spawner.mute = {Leave}
            home.face.put("SUS", "REQUEST", "SAFE")
        elif moment == "stopped":
            home.face.put("SUS", "OP", "STOP")
            await home.reached(node, lambda v: v.worker is Worker.STOP)
        elif moment == "dead":
            home.worker.die(sig=11)
            await home.reached(node, lambda v: v.worker is Worker.DEAD)
    await asyncio.wait_for(home.host.remove("SUS"), 20)
    assert home.spawner.alive() == [] and len(home.spawner.workers) == 1
    assert len(home.host) == 0


async def test_a_worker_that_hangs_is_killed_when_its_node_goes(home: House) -> None:
    await home.settled(await home.host.add("SUS"))
    home.spawner.mute = {Stop}
    await asyncio.wait_for(home.host.remove("SUS"), 20)
    assert home.spawner.kills == [("SUS#1", 9)]


async def test_the_last_kill_of_a_node_does_not_hit_the_next_of_its_name(home: House) -> None:
    """Both have a worker SUS#1; the first one ended by itself, well before it was due to be killed."""
    await home.settled(await home.host.add("SUS"))
    await home.host.remove("SUS")
    node = await home.host.add("SUS")
    await home.settled(node)
    await asyncio.sleep(home.site.limits.stop_timeout_s * 1.5)  # until the old kill would have been due
    assert home.spawner.kills == []
    assert node.view.worker is Worker.RUN and home.spawner.alive() == ["SUS#1"]


async def test_two_may_remove_the_same_node_and_the_others_beat_on(home: House) -> None:
    for name in ("SUS", "IMC"):
        await home.settled(await home.host.add(name))
    home.spawner.hold = True  # the worker's end is not told yet
    going = [asyncio.create_task(home.host.remove("SUS")) for _ in range(2)]
    await home.until(lambda: home.host["SUS"].leaving, "leaving")
    beats = len(home.face.seen("IMC", "HEARTBEAT"))
    await home.until(lambda: len(home.face.seen("IMC", "HEARTBEAT")) > beats + 2, "the heart of IMC")
    with pytest.raises(ExpectedError, match="SUS is being removed; try again"):
        await home.host.add("SUS")
    home.spawner.release()
    await asyncio.wait_for(asyncio.gather(*going), 20)
    assert list(home.host) == ["IMC"]


async def test_who_waits_for_a_node_that_leaves_is_told(home: House) -> None:
    node = await home.host.add("SUS")
    waiter = asyncio.create_task(node.wait_for(lambda v: v.state == "NOWHERE"))
    await home.settled(node)
    await home.host.remove("SUS")
    with pytest.raises(ExpectedError, match="SUS has left the host"):
        await waiter


async def test_a_worker_that_cannot_be_killed_is_told_and_can_be_removed_later(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_module, "END_S", 0.3)
    await home.settled(await home.host.add("SUS"))
    home.spawner.mute, home.spawner.unkillable = {Stop}, True
    with pytest.raises(ExpectedError, match="SUS: its worker was killed and is not gone"):
        await home.host.remove("SUS")
    assert "SUS" in home.host
    home.spawner.unkillable = False
    home.worker.die(sig=9)
    await home.host.remove("SUS")
    assert "SUS" not in home.host


async def test_the_end_of_a_host_waits_for_nobody_in_vain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_module, "END_S", 0.3)
    async with house(tmp_path) as home:
        for name in ("SUS", "IMC"):
            await home.settled(await home.host.add(name))
        home.spawner.mute, home.spawner.unkillable = {Stop}, True
        await asyncio.wait_for(home.host.stop(), 20)
        await home.logged("HOST", "ERROR", "SUS: its worker was killed and is not gone")
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith(("settings", "journal"))]


async def test_a_directory_has_one_host(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        second = House(tmp_path)
        with pytest.raises(ExpectedError, match=r"journal .* is being written by another process"):
            await second.host.start()
        await second.host.stop()
        second.sink.close()
        await home.settled(await home.host.add("SUS"))


async def test_a_state_directory_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/none")):
        made = House(tmp_path, state_dir=place)
        with pytest.raises(ExpectedError, match="give another with --state-dir"):
            await made.host.start()
        await made.host.stop()
        made.sink.close()


async def test_files_that_cannot_be_written_stop_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory where the journal and the settings should be: as good as a full or read-only disk, also for root."""
    monkeypatch.setattr(host_module, "TICK_S", 0.02)
    (tmp_path / "state" / "journal.jsonl").mkdir(parents=True)
    (tmp_path / "state" / "SUS.json").mkdir()
    (tmp_path / "state" / "SUS.json" / "full").write_text("")
    (tmp_path / "state" / "SUS.json.tmp").mkdir()
    async with house(tmp_path) as home:
        await home.settled(await home.host.add("SUS"))
        await home.logged("HOST ERROR", "journal", "is not written since")
        await home.logged("HOST ERROR", "settings", "are not written since")
        (tmp_path / "state" / "journal.jsonl").rmdir()
        await home.logged("HOST journal: well again")
        assert await home.journal(kind="enter", least=4)
        (tmp_path / "state" / "SUS.json.tmp").rmdir()
        await home.stored("SUS", op="EXEC")


async def test_damaged_settings_are_put_aside_and_told(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "SUS.json").write_text('{"format": 1, "op": "FLY"}')
    async with house(tmp_path) as home:
        await home.settled(await home.host.add("SUS"))
        await home.logged("SUS", "WARNING", "op is", "moved to")


async def test_a_journal_torn_by_a_crash_is_mended_and_told(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "journal.jsonl").write_text('{"id": 1, "node": "SUS"}\n{"id": 2, "no')
    async with house(tmp_path) as home:
        await home.settled(await home.host.add("SUS"))
        await home.logged("HOST WARNING", "no record")
        assert await home.journal(kind="enter", least=4)


async def test_vitals_once_a_tick(home: House) -> None:
    await home.settled(await home.host.add("SUS"))
    await home.until(lambda: len(set(home.face.seen("SUS", "HEARTBEAT"))) > 2, "a heartbeat")


async def test_nothing_grows_over_two_hundred_rounds(home: House) -> None:
    """Descriptors, tasks, threads and timers, while another node runs on."""
    await home.settled(await home.host.add("IMC"))
    loop = asyncio.get_running_loop()

    def held() -> tuple[int, int, int]:
        return len(os.listdir("/proc/self/fd")), len(asyncio.all_tasks()), threading.active_count()

    async def one_round() -> None:
        node = await home.host.add("SUS")
        await home.reached(node, lambda v: v.status is Status.DONE)
        await home.host.remove("SUS")
        home.face.posts.clear()
        home.spawner.workers[:] = [w for w in home.spawner.workers if w.alive]

    for _ in range(20):
        await one_round()
    gc.collect()
    before = held()
    for _ in range(180):
        await one_round()
    gc.collect()
    await home.until(lambda: all(now <= was for now, was in zip(held(), before, strict=True)), f"{before} or less")
    live = [timer for timer in loop._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
    assert len(live) < 5, live
    assert home.host["IMC"].view.worker is Worker.RUN


# --- the real parts


MODULE = """
import time
from guardian import GuardState

request = nominal = 'AT_WORK'

class AT_REST(GuardState):
    goto = True

class AT_WORK(GuardState):
    pass

class ASLEEP(GuardState):
    def run(self):
        print('good night', flush=True)
        time.sleep(3600)

edges = [('INIT', 'AT_REST'), ('AT_REST', 'AT_WORK'), ('AT_WORK', 'ASLEEP')]
"""


@pytest.mark.proc
async def test_a_real_worker_from_birth_to_kill_9_and_stop(tmp_path: Path) -> None:
    (tmp_path / "REAL.py").write_text(MODULE)
    pids: list[int] = []

    def spawner(told: Callable[[Event], None]) -> Spawner:
        def tell(event: Event) -> None:
            if isinstance(event, Started):
                pids.append(event.pid)
            told(event)

        return Spawner(on_event=tell)

    async with house(tmp_path, paths=(str(tmp_path),), make_spawner=spawner) as home:
        node = await home.host.add("REAL")
        await home.settled(node, "AT_WORK")
        home.face.put("REAL", "REQUEST", "AT_REST", ANNA)
        await home.settled(node, "AT_REST")

        os.kill(pids[-1], signal.SIGKILL)
        begun = time.monotonic()
        await home.reached(node, lambda v: v.worker is Worker.DEAD)
        assert time.monotonic() - begun < 5
        assert "killed by SIGKILL" in home.face["REAL"]["WHY"]
        count = len(home.face.seen("REAL", "STATE"))
        await home.settled(node, "AT_REST")
        assert home.face.seen("REAL", "STATE")[count:] == ["INIT", "AT_REST"]
        assert home.face["REAL"]["REQUEST_BY"] == str(ANNA)

        home.face.put("REAL", "REQUEST", "ASLEEP")
        await home.logged("[ASLEEP.run] good night")
        await home.until(lambda: home.face["REAL"]["EXECTIME"] > 0, "EXECTIME while it sleeps")
        home.face.put("REAL", "OP", "STOP")
        await home.reached(node, lambda v: v.worker is Worker.STOP)
        assert (home.face["REAL"]["STATE"], home.face["REAL"]["KILLS"]) == ("ASLEEP", 0)  # it woke, nobody was killed
        home.face.put("REAL", "REQUEST", "AT_WORK")
        home.face.put("REAL", "OP", "EXEC")
        await home.settled(node, "AT_WORK")
    assert len(pids) == 3
    assert not any(alive(pid) for pid in pids)


@pytest.mark.proc
@pytest.mark.parametrize("text", ["import time; time.sleep(3600)", "import os; os._exit(7)", ""])
async def test_a_host_that_is_refused_while_it_preloads_leaves_no_process(tmp_path: Path, text: str) -> None:
    (tmp_path / "preloaded.py").write_text(f"{text}\n")
    made: list[Spawner] = []

    def make(told: Callable[[Event], None]) -> Spawner:
        made.append(Spawner(preload=["preloaded"], env={"PYTHONPATH": str(tmp_path)}, on_event=told))
        return made[0]

    async with house(tmp_path, start=False, make_spawner=make) as home:
        home.host.preload()
        pid = await home.until(lambda: made[0].pid, "the process that preloads")
        began = time.monotonic()
        await home.host.stop()
        assert time.monotonic() - began < 20
        assert not alive(pid)


async def test_a_host_that_ends_while_it_shows_its_nodes_starts_no_worker(tmp_path: Path) -> None:
    names = [f"N{number}" for number in range(50)]
    async with house(tmp_path) as home:
        assert not home.host.reserve(names)
        assert not await home.host.claim(names)
        showing = asyncio.create_task(home.host.put_up(names))
        await home.until(lambda: "N3" in home.host, "some nodes")
        showing.cancel()
        await asyncio.wait([showing])
        assert 4 <= len(home.host) < len(names)
        await home.host.stop()
        assert home.spawner.workers == []


async def test_a_host_that_is_refused_before_it_has_begun_to_preload_ends_at_once(tmp_path: Path) -> None:
    async with house(tmp_path, start=False, make_spawner=lambda told: Spawner(on_event=told)) as home:
        home.host.preload()
        await home.host.stop()
