"""In which states nodes were: bands that join without a gap, cut where the time ends, and sums of all of them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from guardian.console.history import PARTS, Bands
from guardian.core.stays import Stay
from tests.console.consoling import GuardianConsole
from tests.console.ovens import played, records
from tests.support import eventually
from tests.system.hosting import Guardhost

pytestmark = [pytest.mark.ca, pytest.mark.proc]
BEGIN = 1.79e9


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guardhost]:
    with played(tmp_path_factory.mktemp("hi")) as host:
        yield host


@pytest.fixture(scope="module")
def console(house: Guardhost) -> Iterator[GuardianConsole]:
    with GuardianConsole(house) as one:
        one.wait("/api/about", lambda about: about["nodes"] == 2)
        yield one


def test_the_history_of_a_node_is_that_of_its_entries_up_to_now(house: Guardhost, console: GuardianConsole) -> None:
    entries = [one for one in records(house) if one["kind"] == "enter" and one["node"] == "OVEN"]
    begin = entries[0]["stamp"]
    told = console.told(f"/api/history?node=OVEN&node=LAMP&since={begin!r}&until={entries[-1]['stamp']!r}")
    bands = told["nodes"]["OVEN"]
    assert bands[0]["begin"] == begin and bands[-1]["end"] == entries[-1]["stamp"]
    assert all(one["end"] == following["begin"] for one, following in pairwise(bands))
    times = told["times"]["OVEN"]
    assert set(times) == {"INIT", "COLD", "WARM", "HOT", "BAD"} and told["counts"]["OVEN"]["COLD"] == 2
    assert sum(times.values()) == pytest.approx(entries[-1]["stamp"] - begin)
    now = console.told(f"/api/history?node=OVEN&since={begin!r}")
    last = now["nodes"]["OVEN"][-1]
    assert (last["state"], last["end"]) == ("DOWN", now["until"]) and now["until"] == now["now"]
    assert not told["more"] and told["says"] == []


def test_a_stay_that_began_before_the_time_is_cut_there(house: Guardhost, console: GuardianConsole) -> None:
    entered = [one["stamp"] for one in records(house) if one["kind"] == "enter" and one["node"] == "LAMP"][-1]
    eventually(lambda: time.time() > entered + 2, 30, "that time to be over")
    told = console.told(f"/api/history?node=LAMP&since={entered + 0.5!r}&until={entered + 1.5!r}")
    assert told["nodes"]["LAMP"] == [{"state": "IDLE", "begin": entered + 0.5, "end": entered + 1.5}]
    assert told["times"]["LAMP"] == {"IDLE": pytest.approx(1.0)}


def test_patterns_are_those_of_nodes_that_the_console_knows(console: GuardianConsole) -> None:
    assert list(console.told("/api/history?node=*")["nodes"]) == ["LAMP", "OVEN"]
    assert console.get("/api/history").error.startswith("say of which nodes")
    assert console.get("/api/history?node=X*").error.startswith("say of which nodes")
    assert (
        "60 are shown together at most"
        in console.get(f"/api/history?node={','.join(f'N{n}' for n in range(61))}").error
    )
    assert "in the future" in console.get("/api/history?node=OVEN&since=9000000000").error
    told = console.told("/api/history?node=NOBODY")
    assert told["nodes"] == {"NOBODY": []} and "no host lists such a node" in told["says"][0]


def test_a_node_that_changes_all_the_time_has_bands_as_many_as_a_screen_shows_and_sums_of_all() -> None:
    shortest = 86400 / PARTS
    bands = Bands(shortest)
    for n in range(86400):
        bands.add(Stay(state="AB"[n % 2], begin=BEGIN + n, end=BEGIN + n + 1))
    assert len(bands.bands) <= PARTS * 1.1 and bands.times == {"A": 43200, "B": 43200}
    assert bands.bands[0]["begin"] == BEGIN and bands.bands[-1]["end"] == BEGIN + 86400
    assert sum(one.get("count", 1) for one in bands.bands) == 86400
    assert {one["state"] for one in bands.bands} == {""}


def test_a_month_of_a_busy_node_is_answered_in_parts_that_fit_together(tmp_path: Path, house: Guardhost) -> None:
    state = tmp_path / "state"
    state.mkdir()
    enter = next(one for one in records(house) if one["kind"] == "enter")
    count, step = 20_000, 130.0
    lines = [
        json.dumps({**enter, "node": "OVEN", "state": f"S{n % 7}", "stamp": BEGIN + n * step, "id": n})
        for n in range(count)
    ]
    (state / "journal.jsonl").write_text("\n".join([*lines, ""]))
    with GuardianConsole(house, options=("--state-dir", str(state))) as console:
        console.wait("/api/about", lambda about: about["nodes"] == 2)
        since, until = BEGIN + 1000.5, BEGIN + (count - 10) * step
        times: dict[str, float] = {}
        answers = 0
        while since < until:
            told = console.told(f"/api/history?node=OVEN&since={since!r}&until={until!r}")
            assert told["until"] > since and len(told["nodes"]["OVEN"]) < 2 * PARTS
            for name, seconds in told["times"]["OVEN"].items():
                times[name] = times.get(name, 0.0) + seconds
            since, answers = told["until"], answers + 1
            if not told["more"]:
                break
        assert sum(times.values()) == pytest.approx(until - BEGIN - 1000.5) and answers < 20
