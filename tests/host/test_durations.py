"""How long states take is kept over restarts; no disk and no damage keeps a node from anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from guardian.core.durations import Spans, StateTimes
from guardian.host import durations
from guardian.host.durations import Durations, decode, encode
from tests.host.house import House, house
from tests.support import eventually

ONE = {"LOCKED": StateTimes(done=Spans().and_one(1.5).and_one(2.5), stay=Spans().and_one(99.0))}
#: Thousands of states, each entered often.
FULL = Spans(count=50, total_s=617283.9, recent=(12345.678,) * 50)
MANY = {f"STATE_{number:05}": StateTimes(done=FULL, stay=FULL) for number in range(5000)}


def test_what_is_written_is_read_back() -> None:
    assert decode(encode(ONE)) == ONE and decode(encode({})) == {}
    assert decode(encode(MANY)) == MANY
    newer = json.loads(encode(ONE)) | {"format": 2, "more": 1}
    newer["states"]["LOCKED"]["mood"] = "good"
    assert decode(json.dumps(newer).encode()) == ONE


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 100,
        b"[]",
        b'{"states": 3}',
        b'{"states": {"A": {}}}',
        b'{"states": {"A": {"done": [1, 2, ["x"]], "stay": [0, 0, []]}}}',
        b'{"states": {"A": {"done": [1, NaN, []], "stay": [0, 0, []]}}}',
        b'{"states": {"A": {"done": [true, 1, []], "stay": [0, 0, []]}}}',
        b'{"states": {"A": {"done": [1, -1, []], "stay": [0, 0, []]}}}',
        b'{"states": {"A": {"done": [2, 1e308, [1e308, 1e308]], "stay": [0, 0, []]}}}',
        b"[" * 100_000,
        encode(ONE)[:-20],
    ],
)
def test_a_damaged_file_is_put_aside_and_told_and_never_refuses_to_start(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "SUS.json").write_bytes(data)
    told: list[tuple[str, str]] = []
    kept = Durations(tmp_path, warn=lambda node, text: told.append((node, text)))
    assert kept.of("SUS").snapshot() == {}
    assert kept.close(30)
    ((node, text),) = told
    assert node == "SUS" and "is damaged" in text and "it was moved to SUS.json.damaged-" in text
    assert [one.read_bytes() for one in tmp_path.glob("SUS.json.damaged-*")] == [data]


def test_a_node_of_thousands_of_states_is_known_after_a_restart(tmp_path: Path) -> None:
    (tmp_path / "SUS.json").write_bytes(encode(MANY))
    warned: list[str] = []
    kept = Durations(tmp_path, warn=lambda node, text: warned.append(text))
    assert kept.of("SUS").snapshot() == MANY and warned == []
    assert kept.close()


def test_a_folder_that_cannot_be_is_told_until_it_can(tmp_path: Path) -> None:
    place = tmp_path / "durations"
    place.write_text("in the way")
    kept = Durations(place, retry_s=(0.01, 0.05), gap_s=0.01)
    kept.of("SUS")._told()
    eventually(lambda: kept.ailment() is not None, 30, "the file in the way is told")
    ailment = kept.ailment()
    assert ailment is not None and "is not written in" in ailment.text and "(EEXIST)" in ailment.text
    place.unlink()
    assert kept.close(30) and kept.trouble() is None
    assert durations.read(place, "SUS") == {}


async def test_a_host_that_comes_back_knows_what_it_has_learnt(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        await home.aligned()
        told = await _shown(home, least=3)
        assert {"SAFE", "DAMPED", "ALIGNED"} <= told.keys() and told["DAMPED"]["done"]["count"] == 1
    stored = durations.read(tmp_path / "state" / "durations", "SUS")
    assert stored["ALIGNED"].done.count == 1 and stored["ALIGNED"].stay.count == 0
    async with house(tmp_path) as home:
        await home.aligned()
        first = json.loads(home.face.seen("SUS", "DURATIONS")[0])
        assert {row["state"] for row in first["states"]} >= {"SAFE", "DAMPED", "ALIGNED"}
    assert durations.read(tmp_path / "state" / "durations", "SUS")["ALIGNED"].done.count == 2


async def _shown(home: House, least: int) -> dict[str, Any]:
    def found() -> dict[str, Any]:
        rows = {row["state"]: row for row in json.loads(home.face["SUS"]["DURATIONS"])["states"]}
        return rows if sum(row["done"]["count"] > 0 for row in rows.values()) >= least else {}

    return await home.until(found, "DURATIONS")


async def test_a_node_at_rest_shows_nothing_anew_and_the_end_of_a_node_is_in_the_journal(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        node = await home.aligned()
        await _shown(home, least=3)
        before = len(home.face.seen("SUS", "DURATIONS"))
        for second in range(20):
            node.tick(1e9 + second)
        assert len(home.face.seen("SUS", "DURATIONS")) == before
        await home.host.remove("SUS")
        (end,) = await home.journal(kind="end", node="SUS")
        assert end["state"] == "ALIGNED" and end["id"] == 0
