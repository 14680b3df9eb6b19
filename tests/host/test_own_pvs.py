"""The host's own PVs: its name, what they show, how often, and what is told of its troubles."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from guardian.core.ailments import Ailment
from guardian.core.names import why_not_host
from guardian.enums import ProcessState, Severity
from guardian.errors import ExpectedError, RefusedError
from guardian.host import files, hostname
from guardian.host import gauge as gauge_module
from guardian.host import host as host_module
from guardian.host.claim import parse
from guardian.host.gauge import Gauge
from guardian.host.locks import Locks
from guardian.host.site import Site, read_site
from guardian.host.troubles import Troubles
from tests.host.dict_face import TESTER
from tests.host.house import house


@pytest.fixture(autouse=True)
def _locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUARD_LOCK_DIR", str(tmp_path / "locks"))


# --- its name


async def test_a_host_is_called_as_its_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "ctrl7.lab.example")
    async with house(tmp_path) as home:
        assert home.host.name == home.face.host_name == "ctrl7"
        assert home.face.host["PROC_NAME"] == "X1:HOST_ctrl7"


async def test_a_site_file_may_say_what_a_host_is_called(tmp_path: Path) -> None:
    async with house(tmp_path, host="CORNER") as home:
        await home.aligned()
        claim = parse(home.face["SUS"]["HOST"])
        assert claim is not None and claim.host == home.face.host_name == "CORNER"


async def test_the_second_host_of_a_machine_has_a_number_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir(), (tmp_path / "two").mkdir(), (tmp_path / "three").mkdir()
    async with house(tmp_path / "one", host="a") as one, house(tmp_path / "two", host="a") as two:
        assert (one.host.name, two.host.name) == ("a", "a-2")
        line = await two.logged("another host on this machine is called a; this one is a-2")
        assert "X1:GRD-HOST_a-2_OK" in line
        async with house(tmp_path / "three", host="a", ifo="Y1") as other:
            assert other.host.name == "a"
    async with house(tmp_path / "two", host="a") as two:
        assert two.host.name == "a"  # it is free again


@pytest.mark.parametrize("name", ["", "a b", "a.b", "-a", "x" * 31, "\u00e4", "a:b"])
def test_names_that_a_host_cannot_have(name: str, tmp_path: Path) -> None:
    assert why_not_host(name)
    (tmp_path / "site.toml").write_text(f'nodes = ["SUS"]\nhost = "{name}"\n')
    with pytest.raises(ExpectedError, match="host"):
        read_site(tmp_path / "site.toml")


@pytest.mark.parametrize(
    ("machine", "name"), [("a.b.c", "a"), ("\u00e4", "machine"), ("x" * 64, "x" * 26), ("a(1)", "a-1")]
)
def test_the_name_of_any_machine_can_be_that_of_a_host(
    machine: str, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: machine)
    locks = Locks(tmp_path / "locks")
    assert hostname.take(Site(), locks, "me") == name
    assert hostname.take(Site(), Locks(tmp_path / "locks"), "me too") == f"{name}-2"
    assert why_not_host(f"{name}-999") is None
    locks.close()


# --- what it shows


async def test_what_a_host_shows_of_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_module, "TICK_S", 0.02)
    async with house(tmp_path) as home:
        host = home.face.host
        assert host["PROC_STATE"] == ProcessState.LOADCFG
        await home.aligned()
        assert host["PROC_STATE"] == ProcessState.READY
        await home.until(lambda: host["HEARTBEAT"] > 2 and host["NODES_CNT"] == 1, "the counter to move")
        assert (host["OK"], host["WHY"], host["PROCESS_ID"], host["PARENT_ID"]) == (True, "", os.getpid(), os.getppid())
        assert 0 < host["FD_CNT"] < host["FD_MAX"] and host["FD_FREE"] == host["FD_MAX"] - host["FD_CNT"]
        assert 1e6 < host["MEM_USED"] < host["MEM_MAX"] > host["MEM_FREE"] > 0
        assert host["RECORD_CNT"] == len(home.face["SUS"])
        assert host["STARTTOD"] <= host["TOD"]
        await home.until(lambda: host["NODES_NOT_OK"] == (not home.face["SUS"]["OK"]), "the count of nodes")
        names = {thread["name"]: thread["state"] for thread in json.loads(host["THREADS"])["threads"]}
        lanes = ("settings", "settings-sync", "journal", "journal-sync", "durations", "archive", "edits")
        assert names == dict.fromkeys(lanes, "ALIVE")


async def test_nobody_can_write_to_a_host(tmp_path: Path) -> None:
    async with house(tmp_path, host="a") as home:
        with pytest.raises(RefusedError, match="OK is of the host, and cannot be written"):
            home.face.put("HOST_a", "OK", 1, TESTER)
        record = (await home.journal(kind="write"))[-1]
        assert (record["pv"], record["taken"]) == ("X1:GRD-HOST_a_OK", False)


async def test_of_an_idle_host_only_what_tells_the_time_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three monitors a second, and now and then one of what is measured."""
    monkeypatch.setattr(host_module, "TICK_S", 0.01)
    async with house(tmp_path) as home:
        await home.aligned()
        await asyncio.sleep(0.2)
        before = len(home.face.host_posts)
        start = home.face.host["HEARTBEAT"]
        await home.until(lambda: home.face.host["HEARTBEAT"] - start > 50, "50 beats")
        counts = Counter(name for name, _ in home.face.host_posts[before:])
        assert counts["HEARTBEAT"] > 50
        assert sum(counts.values()) - counts["HEARTBEAT"] - counts["TOD"] - counts["UPTIME"] <= 10, counts


async def test_a_look_at_itself_takes_the_loop_no_time() -> None:
    gauge = Gauge()
    gauge.look()
    begun = time.perf_counter()
    for _ in range(100):
        gauge.look()
    assert (time.perf_counter() - begun) / 100 < 0.005


async def test_where_the_kernel_does_not_count_descriptors_a_thread_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gauge_module, "_counted_by_kernel", lambda: 0)
    monkeypatch.setattr(host_module, "TICK_S", 0.02)
    async with house(tmp_path) as home:
        await home.until(lambda: 3 < home.face.host["FD_CNT"] < home.face.host["FD_MAX"], "a count")


# --- its troubles


def ailment(what: str = "disk", severity: Severity = Severity.MINOR, text: str = "it is full") -> Ailment:
    return Ailment(what=what, severity=severity, text=text)


class Told:
    """Troubles of which a test says what they are."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.now: list[Ailment] = []
        self.troubles = Troubles(lambda text, level: self.lines.append((level, text)))
        self.troubles.ask(self.ask)

    def ask(self) -> Iterable[Ailment]:
        return self.now

    def look(self, *now: Ailment) -> list[str]:
        """The lines that are new."""
        self.now, before = list(now), len(self.lines)
        self.troubles.look(1_764_072_000.0)
        return [level for level, _ in self.lines[before:]]


def test_a_trouble_is_told_once_and_once_when_it_is_over() -> None:
    told = Told()
    assert told.look() == []
    assert told.look(ailment()) == ["WARNING"]
    assert told.look(ailment(text="it is still full, 3 lines wait")) == []
    assert told.troubles.now[0].text == "it is still full, 3 lines wait (since 2025-11-25 12:00:00Z)"
    assert told.look() == ["INFO"]
    assert told.lines[-1][1].startswith("disk: well again, after ")
    assert told.troubles.now == ()


def test_a_trouble_that_grows_worse_is_told_again() -> None:
    told = Told()
    told.look(ailment())
    assert told.look(ailment(severity=Severity.MAJOR)) == ["ERROR"]
    assert told.look(ailment()) == []
    assert told.look(ailment(severity=Severity.MAJOR)) == []  # as bad as it was told before


def test_the_worst_trouble_comes_first() -> None:
    told = Told()
    told.look(ailment("a"), ailment("b", Severity.MAJOR), ailment("c"))
    assert [one.what for one in told.troubles.now] == ["b", "a", "c"]


async def test_a_disk_that_hangs_is_told_while_it_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No error comes from one: an fsync that never ends."""
    monkeypatch.setattr(host_module, "TICK_S", 0.02)
    monkeypatch.setattr(files, "HANGS_S", 0.1)
    answers = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hang(_fd: int) -> None:
        asyncio.run_coroutine_threadsafe(answers.wait(), loop).result(60)

    async with house(tmp_path) as home:
        await home.aligned()
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", hang)
            home.face.put("SUS", "REQUEST", "SAFE")
            await home.until(lambda: "wait for a disk" in home.face.host["WHY"], "the host to tell")
            assert (home.face.host["OK"], home.face.host_severities["OK"]) == (False, Severity.MAJOR)
            late = [t["name"] for t in json.loads(home.face.host["THREADS"])["threads"] if t["state"] == "LATE"]
            assert set(late) & {"settings-sync", "journal-sync"}
            await home.logged("HOST ERROR", "wait for a disk that does not answer")
            answers.set()
        await home.until(lambda: home.face.host["OK"], "the host to be well")


async def test_a_fault_of_ours_with_one_node_stops_no_round_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_module, "TICK_S", 0.02)
    async with house(tmp_path, host="a") as home:
        await home.aligned()
        other = await home.host.add("OTHER")
        monkeypatch.setattr(home.host["SUS"], "tick", lambda now: 1 / 0)
        await home.until(lambda: not home.face.host["OK"], "OK False")
        assert "what this host does for SUS once a second went wrong (ZeroDivisionError" in home.face.host["WHY"]
        beat, heard = home.face.host["HEARTBEAT"], home.face["OTHER"]["HEARTBEAT"]
        await home.until(lambda: home.face.host["HEARTBEAT"] > beat + 3, "the host to go on")
        await home.until(lambda: home.face["OTHER"]["HEARTBEAT"] > heard, "the other node to go on")
        assert other.view.worker is not None
        monkeypatch.undo()
        await home.until(lambda: home.face.host["OK"], "OK True")
        await home.logged("round of SUS: well again")
