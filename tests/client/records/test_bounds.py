"""Answers in bounded steps: wherever one ends, the next goes on; none is missed and none comes twice."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from guardian.client.records.find_events import EventsAsked, find_events
from guardian.client.records.find_lines import LinesAsked, find_lines
from guardian.client.records.journals import Journals
from guardian.client.records.stays import Stays
from guardian.client.records.within import MOST_SKIPPED, Before, Bound
from guardian.errors import ExpectedError
from guardian.host.logline import LogLine

BEGIN = 1.79e9


def host(folder: Path, number: int, count: int, *, gap_s: float = 1.0, seed: int = 0) -> Path:
    """A state directory with a journal and a log of one node. Some have one time, some are out of order."""
    chance = random.Random(seed)
    node, state = f"N{number}", folder / f"host{number}"
    (state / "logs").mkdir(parents=True)
    records, lines = [], []
    for at in range(count):
        stamp = round(BEGIN + at // 3 * gap_s, 6)
        records.append(
            {"id": at, "node": node, "stamp": stamp, "kind": "enter", "state": f"S{at % 5}", "text": "x" * 300}
        )
        late = stamp - chance.choice((0, 0, 0, 4.5))
        lines.append(f"{LogLine(stamp_us=round(late * 1e6), node=node, text=f'line {at} ' + 'y' * 300)}\n")
    half = count // 2
    for name, part in (("journal.jsonl.20261128T000000Z", records[:half]), ("journal.jsonl", records[half:])):
        (state / name).write_text("".join(f"{json.dumps(one)}\n" for one in part))
    (state / "logs" / f"{node}.log.20261128T000000Z").write_text("".join(lines[:half]))
    (state / "logs" / f"{node}.log").write_text("".join(lines[half:]))
    return state


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("hosts")
    return [host(folder, 1, 3000, seed=1), host(folder, 2, 2000, gap_s=1.7, seed=2), host(folder, 3, 0)]


def records_of(folders: list[Path], most: int, most_bytes: int) -> list[tuple[float, str, int]]:
    """All of them, answer by answer."""
    found, before = [], None
    while True:
        journals = Journals(folders, pytest.fail)
        page = find_events(journals, EventsAsked(most=most, before=before), Bound(60, most_bytes))
        journals.close()
        assert len(page.found) <= most
        found += [(one["stamp"], one["node"], one["id"]) for one in page.found]
        if page.before is None:
            return found
        before = Before.parse(str(page.before))


@pytest.mark.parametrize("most_bytes", [1, 300_000, 10**9])
@pytest.mark.parametrize("most", [90, 700])
def test_records_come_once_each_however_early_an_answer_ends(folders: list[Path], most: int, most_bytes: int) -> None:
    found = records_of(folders, most, most_bytes)
    assert len(found) == len(set(found)) == 5000
    assert [one[0] for one in found] == sorted((one[0] for one in found), reverse=True)


@pytest.mark.parametrize("most_bytes", [1, 10**9])
@pytest.mark.parametrize("most", [1, 3, 4])
def test_records_of_one_time_are_told_apart(tmp_path: Path, most: int, most_bytes: int) -> None:
    records = [{"id": n, "node": "N3", "stamp": BEGIN + n // 4, "kind": "x"} for n in range(23)]
    (tmp_path / "journal.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in records))
    assert [one[2] for one in records_of([tmp_path], most, most_bytes)] == [*range(22, -1, -1)]


@pytest.mark.parametrize("most_bytes", [1, 600_000, 10**9])
@pytest.mark.parametrize("most", [90, 700])
def test_lines_come_once_each_and_in_order_though_they_are_not_in_the_files(
    folders: list[Path], most: int, most_bytes: int
) -> None:
    found, before = [], None
    while True:
        lines = find_lines(folders[:2], LinesAsked(most=most, before=before), Bound(60, most_bytes))
        assert lines.said == [] and len(lines.page.found) <= most
        found += [(one["stamp"], one["node"], one["text"]) for one in lines.page.found]
        if lines.page.before is None:
            break
        before = Before.parse(str(lines.page.before))
    assert len(found) == len(set(found)) == 5000
    assert [one[0] for one in found] == sorted((one[0] for one in found), reverse=True)


def test_stays_in_parts_have_the_sums_of_the_whole(folders: list[Path]) -> None:
    def sums(most_bytes: int | None) -> tuple[dict[tuple[str, str], float], int]:
        found: dict[tuple[str, str], float] = {}
        since, parts = BEGIN + 10.5, 0
        while True:
            journals = Journals(folders[:2], pytest.fail)
            bound = None if most_bytes is None else Bound(60, most_bytes)
            stays = Stays(journals, ["N1", "N2"], since=since, until=BEGIN + 950, now=BEGIN + 9000, bound=bound)
            for node, stay in stays:
                found[node, stay.state] = found.get((node, stay.state), 0) + stay.seconds
            journals.close()
            parts += 1
            if stays.reached is None:
                return found, parts
            assert stays.reached > since
            since = stays.reached

    whole, one = sums(None)
    parted, many = sums(200_000)
    assert one == 1 and many > 2 and set(whole) == set(parted)
    assert all(parted[key] == pytest.approx(whole[key]) for key in whole)


def test_a_search_that_nobody_waits_for_any_more_ends_at_its_next_block(folders: list[Path]) -> None:
    bound = Bound(60, 10**12)
    bound.stopped.set()
    journals = Journals(folders[:2], pytest.fail)
    page = find_events(journals, EventsAsked(text="nothing like it"), bound)
    journals.close()
    assert page.found == [] and page.before is not None and page.before.stamp > BEGIN + 800


@pytest.mark.parametrize("text", ["", "x", "nan", "inf", "1~x", "1~-1", "1e300"])
def test_a_place_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ExpectedError, match="is no place"):
        Before.parse(text)


def test_a_place_that_is_behind_more_than_anybody_should_keep_is_refused() -> None:
    assert Before.parse(f"1~{MOST_SKIPPED}").skip == MOST_SKIPPED
    with pytest.raises(ExpectedError, match="10001 of one time, and 10000 can be"):
        Before.parse(f"1~{MOST_SKIPPED + 1}")
