"""What code has set, as the host keeps it: for the next worker, for the disk, for the PVs (R21)."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from guardian.core.events import Differences, Setpoints
from guardian.core.setpoints import MOST, MOST_BYTES, NAME_LENGTH, Difference, Setpoint, packed
from guardian.enums import Severity, Worker
from guardian.host import store
from guardian.host.settings import DamagedError, Saved, Settings, decode, encode, resume
from guardian.host.store import Store
from guardian.worker import link
from guardian.worker.link import Load
from tests.host.fake_worker import FACTS
from tests.host.house import House, house


def point(channel: str = "X1:GAIN", value: str = "3.0", **more: Any) -> Setpoint:
    return Setpoint(channel=channel, name=channel.partition(":")[2], value=value, at=1.7e9, **more)


def gone_wrong(channel: str = "X1:GAIN") -> Differences:
    return Differences(count=1, first=(Difference(channel=channel, set=3.0, now=5.0, at=1.7e9, since=1.7e9 + 60),))


async def shows(home: House, row: str, value: Any) -> None:
    await home.until(lambda: home.face["SUS"][row] == value, f"{row} to be {value}, it is {home.face['SUS'][row]}")


async def test_what_was_set_goes_to_the_next_worker_and_over_a_restart_of_the_host(tmp_path: Path) -> None:
    points = (point(), point("X1:SWITCH", "1", label="ON"), point("X1:ODD", "NaN", since=1.7e9 + 5, mask=3))
    async with house(tmp_path) as home:
        node = await home.aligned()
        home.worker.say(Setpoints(points=points[:2]), Setpoints(points=points[2:]), Setpoints(gone=("X1:NEVER",)))
        await shows(home, "SPM_TOTAL", 3)
        told = json.loads(home.face["SUS"]["SPM_SETPOINTS"])
        assert told["setpoints"][0] == {"channel": "X1:GAIN", "set": 3.0, "at": 1.7e9} and told["left_off"] == 0
        home.worker.die(sig=9)
        await home.reached(node, lambda v: v.worker is Worker.DEAD)
        await home.settled(node)
        assert home.worker.commands(Load)[0].setpoints == points
        home.worker.say(Setpoints(gone=("X1:SWITCH",)))  # and the host ends before it has looked at it
        await home.until(lambda: len(node._memory.points) == 2)
    async with house(tmp_path) as home:
        await home.aligned()
        assert home.worker.commands(Load)[0].setpoints == (points[0], points[2])
        assert home.face.seen("SUS", "SPM_TOTAL")[0] == 2, "they are shown from the first moment on"


async def test_what_a_check_loads_gets_no_set_points(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        await home.aligned()
        home.worker.say(Setpoints(points=(point(),)))
        await shows(home, "SPM_TOTAL", 1)
        home.face.put("SUS", "LOAD", 1)
        await home.until(lambda: len(home.spawner.workers) == 2)
        check = home.spawner.workers[1]
        await home.until(lambda: check.commands(Load))
        assert check.commands(Load)[0].check and check.commands(Load)[0].setpoints == ()


async def test_a_worker_that_is_gone_has_no_say(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        node = await home.aligned()
        home.worker.say(Setpoints(points=(point(),)), gen=99)
        home.worker.say(gone_wrong(), gen=99)
        home.worker.say(Setpoints(points=(point("X1:B"),)))
        await home.until(lambda: node._memory.points)
        assert node._memory.points == (point("X1:B"),)


async def test_differences_are_shown_while_the_monitor_is_on(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        node = await home.aligned()
        home.worker.say(Setpoints(points=(point(),)), gone_wrong())
        await shows(home, "SPM_TOTAL", 1)
        assert home.face["SUS"]["SPM_CHANGED"] == 0
        home.face.put("SUS", "SPM_MONITOR", 1)
        assert home.face["SUS"]["SPM_MONITOR"], "a switch is shown when it is taken"
        await shows(home, "SPM_CHANGED", 1)
        told = json.loads(home.face["SUS"]["SPM_DIFFS"])
        assert told == {
            "changed": [{"channel": "X1:GAIN", "set": 3.0, "is": 5.0, "since": 1.7e9 + 60, "at": 1.7e9}],
            "left_off": 0,
        }
        home.face.put("SUS", "OP", "STOP")
        await home.until(lambda: home.face.severities["SUS"]["SPM_CHANGED"] == Severity.INVALID, "it to be INVALID")
        home.face.put("SUS", "OP", "EXEC")
        await home.settled(node)
        await home.until(lambda: home.face.severities["SUS"]["SPM_CHANGED"] == Severity.NO_ALARM, "it to be known")
        assert home.face["SUS"]["SPM_CHANGED"] == 1, "what was seen last stands until the new worker has looked"
        home.face.put("SUS", "SPM_MONITOR", 0)
        await shows(home, "SPM_CHANGED", 0)
        assert home.face["SUS"]["SPM_DIFFS"] == '{"changed":[],"left_off":0}'


async def test_the_switches_are_settings(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        await home.aligned()
        home.face.put("SUS", "SPM_NOTIFY", 1)
        await home.stored("SUS", spm_monitor=None, spm_notify=True)
        (record,) = await home.journal(kind="spm")
        assert record["text"].startswith("SPM_NOTIFY on by tester@")
    async with house(tmp_path) as home:
        home.spawner.facts = replace(FACTS, ca_monitor=True)
        await home.aligned()
        assert (home.face["SUS"]["SPM_MONITOR"], home.face["SUS"]["SPM_NOTIFY"]) == (True, True)
        home.face.put("SUS", "LOAD", 1)
        await shows(home, "SPM_NOTIFY", False)
        await home.stored("SUS", spm_monitor=None, spm_notify=None)


async def test_a_ramp_does_not_write_the_disk_at_its_own_pace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    write = store.write_atomic

    def counted(path: Path, data: bytes, *, durable: bool) -> None:
        if path.name.startswith("SUS.json"):
            written.append(path.name)
        write(path, data, durable=durable)

    monkeypatch.setattr(store, "write_atomic", counted)
    async with house(tmp_path) as home:
        await home.aligned()
        await home.until(lambda: written)
        written.clear()
        began = time.monotonic()
        for turn in range(160):  # ten seconds of one
            home.worker.say(Setpoints(points=tuple(point(f"X1:A{n}", f"{turn}") for n in range(100))))
            points = home.host._nodes["SUS"]._memory
            await home.until(
                lambda points=points, turn=turn: points.points[-1:] and points.points[-1].value == f"{turn}"
            )
        took_s = time.monotonic() - began
        assert len(written) <= 2 * (took_s + 2), f"{len(written)} files in {took_s:.1f} s"


# --- the settings file ------------------------------------------------------------------------------------------------


def saved(settings: Settings) -> Saved:
    return Saved(settings=settings, session="abc")


def test_set_points_are_stored_a_line_each_and_read_back() -> None:
    points = (point(value="NaN"), point("X1:T", '"\\u00b5 \\" \\\\"', label="µ", mask=7, since=1.0, module=True))
    data = encode(saved(Settings(setpoints=points, spm_monitor=False)))
    assert decode(data).settings == Settings(setpoints=points, spm_monitor=False)
    assert sum("channel" in line for line in data.decode().splitlines()) == 2
    assert decode(encode(saved(Settings()))).settings == Settings()


GOOD = {"channel": "A", "name": "A", "value": "3", "label": "", "mask": 0, "module": False, "at": 0, "since": 0}


@pytest.mark.parametrize(
    "change",
    [
        {"setpoints": {}},
        {"setpoints": [3]},
        {"setpoints": [{"channel": "X1:A"}]},
        {"setpoints": [{**GOOD, "value": 3.0}]},
        {"setpoints": [{**GOOD, "value": "[" * 100_000}]},
        {"setpoints": [{**GOOD, "mask": 2**70}]},
        {"setpoints": [{**GOOD, "name": "\ud800"}]},
        {"spm_monitor": 1},
    ],
)
def test_set_points_that_are_none_are_damage(change: dict[str, Any]) -> None:
    values = json.loads(encode(saved(Settings())))
    with pytest.raises(DamagedError, match=next(iter(change))):
        decode(json.dumps({**values, **change}).encode())


def test_a_file_of_an_older_version_has_none() -> None:
    values = json.loads(encode(saved(Settings())))
    for name in ("setpoints", "spm_monitor", "spm_notify"):
        del values[name]
    assert decode(json.dumps(values).encode()).settings == Settings()


def test_as_many_as_there_may_be_fit_into_the_file(tmp_path: Path) -> None:
    value = packed('"' * ((MOST_BYTES - 2) // 2))  # which is escaped, and escaped once more
    full = tuple(point(f"X1:{n:04}".ljust(NAME_LENGTH, "\1"), value, label='"' * 25) for n in range(MOST))
    kept = Store(tmp_path)
    try:
        kept.save("SUS", Settings(setpoints=full))
        assert kept.flush(60)
        assert (tmp_path / "SUS.json").stat().st_size < store._SIZE_MAX
    finally:
        kept.close()
    other = Store(tmp_path)
    try:
        found, warnings = other.load("SUS")
        assert found is not None and found.setpoints == full and warnings == []
        assert len(link.encode(1, Load(node="SUS", setpoints=full))) < link.LINE_BYTES
    finally:
        other.close()


def test_they_go_the_way_of_the_other_settings() -> None:
    stored = Settings(setpoints=(point(),), spm_monitor=True, alive_at=1000.0)
    assert resume(stored, 1010.0)[0] == stored
    for how in ({"fresh": True}, {"policy": "request"}, {"resume_within_s": 5.0}):
        started = resume(stored, 1010.0, **how)[0]  # type: ignore[arg-type]
        assert (started.setpoints, started.spm_monitor) == ((), None), how
    assert resume(stored, 1e9, policy="hold")[0].setpoints == stored.setpoints
