"""In which states a node was, from its journal: over restarts and deaths of hosts, and cut at the ends."""

from __future__ import annotations

from typing import Any

from guardian.core.stays import stays


def enter(stamp: float, state: str) -> dict[str, Any]:
    return {"kind": "enter", "stamp": stamp, "state": state, "status": "ENTER"}


def other(stamp: float, kind: str, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "stamp": stamp, "state": "X", "status": "RUN", **more}


def told(records: list[dict[str, Any]], **how: Any) -> list[tuple[str, float, float]]:
    how = {"begin": 0.0, "end": 1000.0, **how}
    return [(stay.state, stay.begin, stay.end) for stay in stays(records, **how)]


STARTS = {"status": "INIT"}


def test_a_stay_ends_with_the_next_and_the_last_one_when_the_host_was_seen_last() -> None:
    records = [enter(10, "A"), enter(30, "B"), other(40, "notify")]
    assert told(records) == [("A", 10, 30), ("B", 30, 40)]
    assert told(records, alive=[1000.0 - 1]) == [("A", 10, 30), ("B", 30, 999)]
    assert told(records, alive=[5.0]) == [("A", 10, 30), ("B", 30, 40)]
    assert told(records, alive=[5.0, 2000.0]) == [("A", 10, 30), ("B", 30, 1000)], "the run at 10 lived up to 2000"
    assert told(records, alive=[50.0, 2000.0]) == [("A", 10, 30), ("B", 30, 50)], "the run at 10 lived up to 50"


def test_a_host_that_ended_and_one_that_was_killed() -> None:
    ended = [enter(10, "A"), other(50, "end"), other(80, "worker", **STARTS), enter(81, "INIT"), enter(82, "A")]
    assert told(ended, alive=[999.0]) == [("A", 10, 50), ("INIT", 81, 82), ("A", 82, 999)]
    killed = [record for record in ended if record["kind"] != "end"]
    assert told(killed, alive=[70.0, 500.0])[0] == ("A", 10, 70)
    assert [stay for stay in told(killed) if stay[0] == "A"] == [], (
        "nothing tells that it was there any longer than at 10"
    )


def test_a_worker_that_is_started_again_ends_no_stay() -> None:
    assert told([enter(10, "A"), other(20, "worker"), other(30, "worker"), enter(40, "B")])[0] == ("A", 10, 40)


def test_stays_are_cut_where_the_time_begins_and_ends() -> None:
    records = [enter(10, "A"), enter(300, "B"), enter(900, "C")]
    assert told(records, begin=100.0, end=500.0) == [("A", 100, 300), ("B", 300, 500)]
