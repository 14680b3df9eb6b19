"""What of a node survives its worker and its host: settings, counters, indices (R20, R21)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from guardian.core.events import (
    Notifications,
)
from guardian.core.graph import StateInfo, SystemFacts, assign_indices
from guardian.enums import LoadStatus, Mode, Op, Status, Worker
from guardian.worker.link import Load
from tests.core.driver import system
from tests.host.dict_face import ANNA
from tests.host.fake_worker import FACTS
from tests.host.house import house


async def test_settings_are_kept_and_restored(tmp_path: Path) -> None:
    """R21: and the log says by whom."""
    async with house(tmp_path) as home:
        await home.aligned()
        for row, value in (("REQUEST", "SAFE"), ("MANAGER", "IMC"), ("MODE", "MANUAL")):
            home.face.put("SUS", row, value, ANNA)
        await home.stored("SUS", request="SAFE", mode="MANUAL", request_by=str(ANNA), mode_by=str(ANNA))
        last = home.face.events("SUS")[-1]["id"]
    async with house(tmp_path) as home:
        node = await home.host.add("SUS")
        await home.reached(node, lambda v: v.status is Status.DONE or v.status is Status.RUN)
        pv = home.face["SUS"]
        assert (pv["REQUEST"], pv["MODE"], pv["MANAGER"], pv["REQUEST_ID"]) == ("SAFE", Mode.MANUAL, "IMC", 1)
        assert pv["REQUEST_BY"] == str(ANNA)
        assert pv["STATE"] == "INIT"  # a restored MANUAL enters nothing
        assert home.face.events("SUS")[0]["id"] > last
        await home.logged("restored after", f"REQUEST SAFE (set by {ANNA} at")


async def test_a_node_stored_as_stop_loads_once_and_ends_its_worker(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        await home.aligned()
        home.face.put("SUS", "OP", "STOP", ANNA)
    async with house(tmp_path) as home:
        node = await home.host.add("SUS")
        await home.reached(node, lambda v: v.worker is Worker.STOP)
        assert (node.view.op, node.view.load_status) == (Op.STOP, LoadStatus.DONE)
        assert home.face["SUS"]["STATES_N"] == len(FACTS.states)


@pytest.mark.parametrize(
    ("changes", "request_", "mode"),
    [
        ({"fresh": True}, "ALIGNED", Mode.AUTO),
        ({"on_start": "request"}, "ALIGNED", Mode.AUTO),
        ({"on_start": "hold"}, "NONE", Mode.MANAGED),
        ({"resume_within_s": -1.0}, "ALIGNED", Mode.AUTO),
        ({}, "SAFE", Mode.MANAGED),
    ],
)
async def test_what_a_node_starts_with_is_the_sites_choice(
    tmp_path: Path, changes: dict[str, Any], request_: str, mode: Mode
) -> None:
    async with house(tmp_path) as home:
        await home.aligned()
        home.face.put("SUS", "REQUEST", "SAFE")
        home.face.put("SUS", "MODE", "MANAGED")
    async with house(tmp_path, **changes) as home:
        node = await home.host.add("SUS")
        await home.reached(node, lambda v: v.load_status is LoadStatus.DONE)
        assert (node.view.request, node.view.mode) == (request_, mode)
        assert node.view.request_id >= 1  # never falls


async def test_a_restored_request_that_is_gone_becomes_none(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        node = await home.aligned()
        home.face.put("SUS", "REQUEST", "SLOW")
        await home.settled(node, "SLOW")
    async with house(tmp_path) as home:
        home.spawner.facts = system("INIT>SAFE SAFE>DAMPED", goto="SAFE", request="DAMPED")
        node = await home.host.add("SUS")
        await home.reached(node, lambda v: v.load_status is LoadStatus.DONE)
        assert home.face["SUS"]["REQUEST"] == "NONE"
        await home.logged("REQUEST SLOW is no state any more")
        await home.stored("SUS", request="NONE")


async def test_automatic_indices_are_remembered(tmp_path: Path) -> None:
    """R20: over a restart of the worker and of the host; a load that failed does not count."""
    indices = {s.name: s.index for s in FACTS.states if s.index is not None and s.index < -1}
    async with house(tmp_path) as home:
        node = await home.aligned()
        home.worker.die(sig=9)
        await home.reached(node, lambda v: v.worker is Worker.DEAD)
        await home.settled(node)
        assert home.worker.commands(Load)[0].indices == indices
    async with house(tmp_path) as home:
        twins = tuple(StateInfo(name=name, index=-50) for name in ("A", "B"))
        home.spawner.facts = SystemFacts(states=twins, edges=())
        node = await home.host.add("SUS")
        await home.reached(node, lambda v: v.worker is Worker.STOP)
        assert node.view.load_status is LoadStatus.ERROR
        fresh = (StateInfo(name="NEW"), StateInfo(name="INIT"))
        home.spawner.facts = SystemFacts(states=assign_indices(fresh, indices), edges=())
        home.face.put("SUS", "OP", "EXEC")
        await home.reached(node, lambda v: v.load_status is LoadStatus.DONE)
        assert home.worker.commands(Load)[0].indices == indices
        await home.stored("SUS", indices={**indices, "NEW": min(indices.values()) - 1})


async def test_event_ids_never_fall(tmp_path: Path) -> None:
    """They are saved in blocks ahead of use: so also after kill -9, when nothing can be saved any more."""
    async with house(tmp_path) as home:
        node = await home.aligned()
        saved = await home.stored("SUS")
        home.worker.say(*(Notifications(entry=1, texts=(str(i),)) for i in range(300)))
        await home.reached(node, lambda v: v.notifications == ("299",))
        assert json.loads(home.face["SUS"]["SUMMARY"])["id"] < saved["event_id"]
