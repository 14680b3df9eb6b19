"""A journal is put aside when it is large, and never more is kept than allowed; no record is lost or torn over it."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from guardian.host.history import Query, Reading
from guardian.host.journal import Journal
from guardian.host.rotation import Bounds, aside, taken
from tests.support import REPO, Child, eventually

SMALL = Bounds(file_bytes=10_000, total_bytes=100_000)


def record(number: int) -> dict[str, Any]:
    return {"id": number, "node": "SUS_MC1", "stamp": 1e9 + number, "kind": "enter", "text": "x" * (number % 100)}


def numbers(path: Path) -> list[int]:
    """The ids of all that is kept, in order; none of it is damaged."""
    found = []
    for file in (*aside(path), *([path] if path.exists() else [])):  # killed between a rename and the next file
        reading = Reading(file)
        found += [one["id"] for one in reading]
        assert reading.skipped == 0, file
    return found


def fill(journal: Journal, begin: int, end: int) -> None:
    for number in range(begin, end):
        journal.append(record(number))
    assert journal.flush(30), journal.trouble()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.jsonl"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 300 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "none", place], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"cannot mount a small file system here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_files_are_put_aside_and_the_oldest_removed_before_there_is_more_than_allowed(path: Path) -> None:
    journal, most = Journal(path, bounds=SMALL), 0
    for begin in range(0, 3000, 50):
        fill(journal, begin, begin + 50)
        most = max(most, taken(path))
    assert journal.close(30)
    found = numbers(path)
    assert found == list(range(found[0], 3000)) and found[0] > 0
    assert SMALL.total_bytes / 2 < most <= SMALL.total_bytes
    assert len(aside(path)) > 5 and max(one.stat().st_size for one in aside(path)) < 2 * SMALL.file_bytes
    assert (journal.warnings, journal.trouble()) == ([], None)


def test_a_large_journal_of_an_older_version_is_put_aside_whole_and_goes_when_the_next_is_full(path: Path) -> None:
    path.parent.mkdir()
    with path.open("wb") as file:
        file.write(b'{"id":1,"node":"OLD","stamp":1.0,"kind":"enter"}\n')
        file.truncate(2_000_000_000)  # zeros: a file with a hole, which takes no room
        file.seek(0, os.SEEK_END)
        file.write(b"\n")
    begun = time.monotonic()
    journal = Journal(path, bounds=SMALL)
    assert "2000 MB" in journal.warnings[0] and "Copy it" in journal.warnings[0]
    fill(journal, 0, 1)
    (old,) = aside(path)
    assert old.stat().st_size == 2_000_000_001 and path.stat().st_size < 1000
    assert time.monotonic() - begun < 20
    fill(journal, 1, 50)
    assert old.exists()
    fill(journal, 50, 200)
    assert journal.close(30)
    assert not old.exists() and taken(path) <= SMALL.total_bytes
    assert numbers(path) == list(range(200)), "and no other file has its name"


def test_less_is_kept_at_once_when_less_is_allowed(path: Path) -> None:
    journal = Journal(path, bounds=SMALL)
    fill(journal, 0, 600)
    assert journal.close(30)
    before = taken(path)
    journal = Journal(path, bounds=Bounds(file_bytes=10_000, total_bytes=30_000))
    assert journal.flush(30) and journal.close(30)
    assert taken(path) <= 30_000 < before


WRITER = """
import sys
from pathlib import Path
from guardian.host.journal import Journal
from guardian.host.rotation import Bounds
journal = Journal(Path(sys.argv[1]), bounds=Bounds(file_bytes=3000, total_bytes=10**9))
print("warnings", journal.warnings, flush=True)
number = int(sys.argv[2])
while True:
    number += 1
    journal.append({"id": number, "node": "A", "stamp": 0, "kind": "x" * (number % 100)})
    if number % 10 == 0 and journal.flush(60, durable=False):
        print(f"kept {number}.", flush=True)
"""


@pytest.mark.proc
def test_kill_9_in_the_middle_of_it_loses_and_tears_nothing(path: Path) -> None:
    number = 0
    for _ in range(6):
        with Child([sys.executable, "-c", WRITER, path, str(number)], cwd=REPO) as child:
            child.wait_for(r"kept \d+\.", 60)
            time.sleep(random.uniform(0, 0.1))  # the moment of death is the point of the test
            child.kill9()
            told = [int(word[:-1]) for word in child.output.split() if word.endswith(".")]
        found = numbers(path)
        assert found == list(range(1, len(found) + 1)) and len(found) >= told[-1] > number
        number = len(found)
    assert len(aside(path)) > 6


@pytest.mark.parametrize("anew", [False, True], ids=["a clock that is set", "a machine that starts with another clock"])
def test_a_clock_that_was_far_behind_hides_nothing_from_who_asks_for_a_time(path: Path, anew: bool) -> None:
    now, number, wanted = [0.0], 0, dict[int, float]()
    journal = Journal(path, clock=lambda: now[0])
    for begin in (1.7e9, 1000.0, 1.7e9 + 7000):
        for second in range(4000):
            now[0] = begin + second
            journal.append({"id": number, "node": "A", "stamp": now[0], "kind": "enter", "text": "x" * 100})
            wanted[number] = now[0]
            number += 1
        assert journal.flush(30)
        if anew:
            assert journal.close(30)
            journal = Journal(path, clock=lambda: now[0])
    assert journal.close(30)
    assert len(aside(path)) == 1
    for since in (1.7e9, 1.7e9 + 3000, 1.7e9 + 8000):
        found = [one["id"] for file in (*aside(path), path) for one in Reading(file, Query(since=since))]
        assert found == [number for number, stamp in wanted.items() if stamp >= since]


@pytest.mark.proc
def test_on_a_full_disk_no_line_is_torn_over_two_files(small_disk: Path) -> None:
    path = small_disk / "journal.jsonl"
    journal = Journal(path, bounds=Bounds(file_bytes=20_000, total_bytes=250_000), retry_s=(0.01, 0.05))
    fill(journal, 0, 100)
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 240_000)
    for number in range(100, 1000):
        journal.append(record(number))
    assert "ENOSPC" in eventually(journal.trouble, 30, "the full disk is told")
    assert numbers_so_far(path) == list(range(len(numbers_so_far(path))))
    filler.unlink()
    assert journal.close(30), journal.trouble()
    assert numbers(path) == list(range(numbers(path)[0], 1000)) and journal.trouble() is None


def numbers_so_far(path: Path) -> list[int]:
    """The same while the last line may be torn."""
    return [one["id"] for file in (*aside(path), path) for one in Reading(file)]


def test_who_has_taken_the_place_of_a_journal_that_was_moved_away_is_told(path: Path) -> None:
    journal = Journal(path, retry_s=(0.01, 0.05))
    fill(journal, 0, 3)
    path.rename(path.with_name("elsewhere"))
    other = Journal(path)
    journal.append(record(3))
    assert "is not written since" in eventually(journal.trouble, 30, "it is told")
    assert "another process writes it, stop that one (EBUSY)" in str(journal.trouble())
    assert other.close()
    eventually(lambda: journal.trouble() is None, 30, "it is written again")
    assert journal.close() and [one["id"] for one in Reading(path)] == [3]


def test_a_file_that_cannot_be_put_aside_grows_on_and_that_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*args: object) -> Path:
        return path.parent / "no such folder" / "journal.jsonl"

    monkeypatch.setattr("guardian.host.journal.next_name", nowhere)
    monkeypatch.setattr("guardian.host.journal._AGAIN_S", 0.0)
    journal = Journal(path, bounds=SMALL)
    fill(journal, 0, 300)
    assert numbers(path) == list(range(300)) and aside(path) == []
    ailment = journal.ailment()
    assert ailment is not None and "is not kept within its bounds since" in ailment.text and "ENOENT" in ailment.text
    monkeypatch.undo()
    fill(journal, 300, 600)
    assert journal.trouble() is None and journal.ailment() is None and len(aside(path)) > 1
    assert journal.close(30) and numbers(path) == list(range(600))


def test_what_cannot_be_removed_is_told_and_the_rest_is_kept_within_bounds(path: Path) -> None:
    stays = path.with_name("journal.jsonl.20200101T000000Z")
    stays.mkdir(parents=True)
    with (stays / "large").open("wb") as file:
        file.write(bytes(1))
    journal = Journal(path, bounds=Bounds(file_bytes=3000, total_bytes=7000))  # a folder has 4096 bytes
    fill(journal, 0, 300)
    told = journal.trouble()
    assert told is not None and "not kept within its bounds" in told and "Is a directory" in told
    assert path.stat().st_size > 3000 and numbers_of(path) == list(range(300))
    (stays / "large").unlink()
    stays.rmdir()
    assert journal.close(30)


def numbers_of(file: Path) -> list[int]:
    return [one["id"] for one in Reading(file)]


@pytest.mark.proc
def test_logrotate_beside_it_harms_nothing(path: Path) -> None:
    """It moves the file away and makes a new one, as ``create`` says, and packs the old one later."""
    journal = Journal(path, bounds=SMALL)
    fill(journal, 0, 50)
    path.rename(path.with_name("journal.jsonl.1"))
    path.touch()
    fill(journal, 50, 1000)
    assert journal.close(30)
    assert numbers_of(path.with_name("journal.jsonl.1")) == list(range(50))
    found = numbers(path)
    assert found == list(range(found[0], 1000)) and len(aside(path)) > 3
    assert path.with_name("journal.jsonl.1").exists(), "what is no work of ours is left alone"


def test_a_file_that_was_cut_by_copytruncate_goes_on(path: Path) -> None:
    journal = Journal(path, bounds=SMALL)
    fill(journal, 0, 50)
    os.truncate(path, 0)
    fill(journal, 50, 90)
    assert journal.close(30)
    assert numbers(path) == list(range(50, 90))


def test_files_that_are_removed_by_a_person_are_not_missed(path: Path) -> None:
    journal = Journal(path, bounds=SMALL)
    fill(journal, 0, 500)
    for one in (*aside(path), path):
        one.unlink()
    fill(journal, 500, 1000)
    assert journal.close(30) and journal.trouble() is None
    found = numbers(path)
    assert found == list(range(found[0], 1000)) and found[0] >= 500
