"""One host a node: who has it, who steps back, and what is said; the network is a list of what it answers."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from guardian.core.interface import BY_NAME
from guardian.enums import Mode, Worker
from guardian.errors import ExpectedError
from guardian.host import claims as claims_module
from guardian.host.claim import Claim, parse
from guardian.host.face import Elsewhere
from tests.host.house import House, house

OTHER = Claim(machine="far", pid=77, user="anna", port=5064, dir="/var/x", since=1.0e9, id="aa", runs=True)
WHERE = "10.0.0.5:5064"
YOUNGER = replace(OTHER, since=9.0e9, runs=False)


def seen(claim: Claim | None, where: str = WHERE, node: str = "SUS") -> dict[str, list[Elsewhere]]:
    """What the network answers when this is there."""
    return {node: [Elsewhere(where, None if claim is None else claim.text)]}


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as made:
        yield made


def shown(home: House, node: str = "SUS") -> dict[str, Any]:
    value: dict[str, Any] = json.loads(home.face[node]["HOST"])
    return value


async def test_a_node_is_claimed_before_anybody_is_asked_and_runs_after(home: House) -> None:
    node = await home.aligned()
    ((asked, claimed),) = home.face.looks
    assert asked == ("SUS",) and json.loads(claimed["SUS"])["runs"] is False
    now = shown(home)
    assert now == {**json.loads(claimed["SUS"]), "runs": True}
    assert (now["machine"], now["pid"], now["port"]) == (os.uname().nodename, os.getpid(), home.face.port)
    assert Path(now["dir"]) == home.site.state_dir and now["since"] <= node.view.stamp
    assert [value for value in home.face.seen("SUS", "HOST")] == [
        home.face["SUS"]["HOST"]
    ]  # told once, not every second


async def test_all_nodes_of_a_start_are_asked_for_in_one_go(home: House) -> None:
    assert await home.host.add_all(["SUS", "IMC", "PSL"]) == {}
    ((asked, claimed),) = home.face.looks
    assert asked == ("SUS", "IMC", "PSL") and set(claimed) == set(asked)
    for name in asked:
        await home.settled(home.host[name])
    assert len({shown(home, name)["id"] for name in asked}) == 1


async def test_a_node_that_runs_elsewhere_is_refused_in_one_line(home: House) -> None:
    home.face.others = [seen(OTHER)]
    with pytest.raises(ExpectedError) as refused:
        await home.host.add("SUS")
    assert str(refused.value) == (
        "SUS is not started: another host runs it, process 77 of anna on far, port 5064, since 2001-09-09 01:46:40Z, "
        "found at 10.0.0.5:5064; remove it there first (guardctrl --state-dir /var/x destroy SUS), or give this one "
        "another name"
    )
    assert (len(home.host), home.face.posts, home.face.claims) == (0, [], {})
    assert home.spawner.workers == [] and not list(home.site.state_dir.glob("SUS*"))
    home.face.others = [{}]
    await home.aligned()  # the other one has gone


async def test_the_other_nodes_of_the_host_run(home: House) -> None:
    home.face.others = [seen(OTHER, node="IMC")]
    refused = await home.host.add_all(["SUS", "IMC", "PSL"])
    assert list(refused) == ["IMC"] and "IMC is not started: another host runs it" in refused["IMC"]
    assert list(home.host) == ["SUS", "PSL"]
    for name in ("SUS", "PSL"):
        await home.settled(home.host[name])


async def test_an_older_claim_wins_and_a_younger_one_is_waited_for(home: House) -> None:
    home.face.others = [seen(replace(OTHER, runs=False))]
    with pytest.raises(ExpectedError, match="another host runs it, process 77"):
        await home.host.add("SUS")
    assert len(home.face.looks) == 1
    home.face.others = [seen(YOUNGER), seen(YOUNGER), {}]
    await home.aligned()
    assert len(home.face.looks) == 4
    await home.host.remove("SUS")
    home.face.others = [seen(YOUNGER), seen(replace(YOUNGER, runs=True))]  # it had not seen ours
    with pytest.raises(ExpectedError, match="another host runs it"):
        await home.host.add("SUS")


async def test_of_claims_of_one_moment_the_smaller_id_wins(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims_module.time, "time", lambda: 5.0e8)
    home.face.others = [seen(replace(OTHER, since=5.0e8, id="", runs=False))]
    with pytest.raises(ExpectedError, match="another host runs it"):
        await home.host.add("SUS")
    home.face.others = [seen(replace(OTHER, since=5.0e8, id="z", runs=False)), {}]
    await home.host.add("SUS")


async def test_only_the_undecided_are_asked_for_again(home: House) -> None:
    home.face.others = [{**seen(YOUNGER), **seen(OTHER, node="IMC")}, {}]
    assert list(await home.host.add_all(["SUS", "IMC", "PSL"])) == ["IMC"]
    assert [asked for asked, _ in home.face.looks] == [("SUS", "IMC", "PSL"), ("SUS",)]
    assert set(home.face.looks[1][1]) == {"SUS", "PSL"}


async def test_a_claim_that_never_comes_true_has_it_in_the_end(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims_module, "PATIENCE_S", 0.0)
    home.face.others = [seen(YOUNGER)]
    with pytest.raises(ExpectedError, match="another host runs it"):
        await home.host.add("SUS")


async def test_a_stranger_with_this_name_is_refused_and_named(home: House) -> None:
    garbage = ["", "[]", "3", "null", '{"machine": 1}', json.dumps({**json.loads(OTHER.text), "pid": "x"}), "[" * 9999]
    for text in (None, *garbage):
        home.face.others = [{"SUS": [Elsewhere(WHERE, text)]}]
        with pytest.raises(
            ExpectedError, match=r"SUS is not started: 10\.0\.0\.5:5064 serves X1:GRD-SUS_STATE too, and is"
        ):
            await home.host.add("SUS")


async def test_our_own_claim_found_at_any_address_is_ours(home: House) -> None:
    async def mirror(nodes: Any) -> Any:
        return {name: [Elsewhere(f"10.0.0.{i}:1", home.face.claims[name]) for i in range(3)] for name in nodes}

    home.face.elsewhere = mirror  # type: ignore[method-assign]
    await home.aligned()


async def test_a_fault_in_asking_is_told_and_keeps_nobody_from_running(home: House) -> None:
    async def fails(_: Any) -> Any:
        raise ZeroDivisionError("odd")

    home.face.elsewhere = fails  # type: ignore[method-assign]
    await home.aligned()
    await home.logged("WARNING", "nobody could be asked whether another host runs SUS: ZeroDivisionError")


async def test_a_node_that_is_being_added_is_not_added_twice(home: House) -> None:
    gate = asyncio.Event()

    async def slow(_: Any) -> Any:
        await gate.wait()
        return {}

    home.face.elsewhere = slow  # type: ignore[method-assign]
    first = asyncio.create_task(home.host.add("M"))
    await home.until(lambda: home.face.claims, "the claim")
    with pytest.raises(ExpectedError, match="M is being added already"):
        await home.host.add("M")
    with pytest.raises(ExpectedError, match="M_LOAD: its PV X1:GRD-M_LOAD_STATUS is one of M already"):
        await home.host.add_all(["SUS", "M_LOAD"])
    assert set(home.face.claims) == {"M"}
    gate.set()
    await home.settled(await first)
    await home.settled(await home.host.add("SUS"))  # what was refused left nothing behind


async def test_who_asks_for_a_node_and_goes_leaves_no_claim(home: House) -> None:
    """guardctrl is told to end while its host asks the network."""

    async def never(_: Any) -> Any:
        await asyncio.Event().wait()

    real, home.face.elsewhere = home.face.elsewhere, never  # type: ignore[method-assign]
    first = asyncio.create_task(home.host.add("SUS"))
    await home.until(lambda: home.face.claims, "the claim")
    first.cancel()
    await asyncio.wait([first])
    assert home.face.claims == {} and len(home.host) == 0
    home.face.elsewhere = real  # type: ignore[method-assign]
    await home.aligned()


async def test_a_write_to_a_node_that_is_shown_begins_it(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many nodes all are shown before the first one begins."""
    real = home.face.open

    def opened(node: str, *rest: Any) -> None:
        real(node, *rest)
        if node == "IMC":
            assert home.face["SUS"]["WORKER"] == Worker.INIT and home.spawner.workers == []
            home.face.put("SUS", "MODE", int(Mode.MANUAL))
            assert [worker.key for worker in home.spawner.workers] == ["SUS#1"]

    monkeypatch.setattr(home.face, "open", opened)
    await home.host.add_all(["SUS", "IMC"])
    await home.reached(home.host["SUS"], lambda v: v.worker is Worker.RUN and v.mode is Mode.MANUAL)
    await home.settled(home.host["IMC"])
    assert [worker.key for worker in home.spawner.workers] == ["SUS#1", "IMC#1"]


# --- the lock


async def test_two_hosts_of_one_machine_meet_at_the_lock(home: House, tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    await home.aligned()
    async with house(tmp_path / "second") as second:
        with pytest.raises(ExpectedError) as refused:
            await second.host.add("SUS")
        text = str(refused.value)
        assert text.startswith(f"SUS is not started: another host on this machine runs it, process {os.getpid()} of ")
        assert f"--state-dir {home.site.state_dir} destroy SUS" in text and "GUARD_LOCK_DIR" in text
        assert second.face.looks == []  # nobody else had to be asked
        await second.settled(await second.host.add("IMC"))
        await home.host.remove("SUS")
        await second.settled(await second.host.add("SUS"))
        with pytest.raises(ExpectedError, match="another host on this machine"):
            await home.host.add("SUS")
    await home.aligned()


async def test_the_lock_is_that_of_the_pvs_not_of_the_node(home: House, tmp_path: Path) -> None:
    await home.aligned()
    for number, other in enumerate(({"ifo": "Y1"}, {"pv": "LAB:{node}:{name}"})):
        (tmp_path / str(number)).mkdir()
        async with house(tmp_path / str(number), **other) as second:
            await second.settled(await second.host.add("SUS"))
    (tmp_path / "same").mkdir()
    async with house(tmp_path / "same", ifo="", pv="X1:GRD-{node}_{name}") as same:
        with pytest.raises(ExpectedError, match="another host on this machine"):
            await same.host.add("SUS")


async def test_a_lock_file_without_words_is_told_too(home: House, tmp_path: Path) -> None:
    await home.aligned()
    file = home.host._locks.path("X1:GRD-SUS_STATE")
    file.write_text("")
    (tmp_path / "second").mkdir()
    async with house(tmp_path / "second") as second:
        with pytest.raises(ExpectedError, match=f"held by a process that does not say who it is; `fuser {file}` finds"):
            await second.host.add("SUS")


async def test_without_a_folder_for_locks_the_node_runs_and_a_warning_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GUARD_LOCK_DIR", str(tmp_path / "file"))
    async with house(tmp_path) as made:
        await made.aligned()
        await made.settled(await made.host.add("IMC"))
        await made.logged("WARNING", f"locks in {tmp_path / 'file'} cannot be used")
        lines = [line for line in made.log_file.read_text().splitlines() if "locks in" in line]
        assert len(lines) == 1 and "GUARD_LOCK_DIR" in lines[0]


# --- later


@pytest.fixture
async def looking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    """A host that asks again all the time."""
    monkeypatch.setattr(claims_module, "FIRST_LOOK_S", 0.01)
    monkeypatch.setattr(claims_module, "LOOK_S", 0.01)
    async with house(tmp_path) as made:
        yield made


async def test_of_two_that_run_a_node_the_younger_takes_it_down(looking: House) -> None:
    home = looking
    await home.aligned()
    await home.settled(await home.host.add("IMC"))
    ends: list[str] = []
    home.host._on_ousted = ends.append
    home.face.others = [seen(OTHER)]
    await home.until(lambda: "SUS" not in home.host, "SUS to go")
    line = await home.logged("SUS", "ERROR", "is taken down: an older host runs it too, process 77 of anna on far")
    assert re.search(r"found at 10\.0\.0\.5:5064; remove it there first", line)
    assert list(home.host) == ["IMC"] and ends == [] and len(home.spawner.alive()) == 1
    home.face.others = [seen(OTHER, node="IMC")]
    await home.until(lambda: ends, "the last node")
    assert ends[0].startswith("IMC is taken down") and home.spawner.alive() == []
    home.face.others = [{}]
    await home.aligned()  # and its lock is free


async def test_of_two_that_run_a_node_the_older_stays(looking: House) -> None:
    home = looking
    await home.aligned()
    for other in (YOUNGER, replace(YOUNGER, runs=True), replace(OTHER, runs=False)):
        home.face.others = [seen(other)]
        looks = len(home.face.looks)
        await home.until(lambda looks=looks: len(home.face.looks) > looks + 2, "some looks")
    assert list(home.host) == ["SUS"]


async def test_a_stranger_that_comes_later_stops_nobody(looking: House) -> None:
    home = looking
    await home.aligned()
    home.face.others = [seen(None)]
    await home.until(lambda: len(home.face.looks) > 10, "some looks")
    await home.logged(
        "WARNING", "SUS runs, but clients may find another one: 10.0.0.5:5064 serves X1:GRD-SUS_STATE too"
    )
    assert home.log_file.read_text().count("clients may find another one") == 1 and list(home.host) == ["SUS"]


def test_a_claim_fits_its_pv_and_its_words_come_back() -> None:
    assert parse(OTHER.text) == OTHER
    long = replace(OTHER, dir="/\N{SNOWMAN}" * 4000, machine="m" * 4000, user='"' * 4000)
    assert len(long.text.encode()) <= BY_NAME["HOST"].size
    assert (back := parse(long.text)) is not None and back.dir.endswith("...") and back.age == OTHER.age
