"""The journal keeps whole lines through kill -9, torn ends, full and slow disks, and says what it lost."""

from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from guardian.errors import ExpectedError
from guardian.host import journal as journal_module
from guardian.host.history import Query, Reading, read, record_of
from guardian.host.journal import Journal
from guardian.host.rotation import aside
from tests.support import REPO, Child, eventually


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log" / "journal.jsonl"


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", place], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"cannot mount a small file system here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def record(number: int, node: str = "SUS_MC1", **more: Any) -> dict[str, Any]:
    return {"id": number, "node": node, "stamp": 1e9 + number, "kind": "request", "by": "anna", **more}


def ids(path: Path) -> list[int]:
    return [found["id"] for file in (*aside(path), path) for found in read(file)]


def written(path: Path, count: int) -> bytes:
    """A journal with `count` records, and its bytes."""
    journal = Journal(path)
    for number in range(count):
        journal.append(record(number, text="µ\n\u2028" * (number % 3)))
    assert journal.close(30)
    return path.read_bytes()


LONG = 5000  #: records, of which most are not read when only the last are asked for


@pytest.fixture(scope="module")
def long_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal of a megabyte with a record every 100 s, damaged here and there, its clock set back for a while."""
    path = tmp_path_factory.mktemp("long") / "journal.jsonl"
    dice = random.Random(1)
    with path.open("wb") as file:
        for number in range(LONG):
            back = 3000.0 if 2000 <= number < 2100 else 0.0
            one = record(number, text="x" * dice.randrange(300)) | {"stamp": 1e9 + 100.0 * number - back}
            file.write(json.dumps(one).encode() + b"\n")
            if not number % 997:
                file.write(dice.choice([b"\xff" * 100_000, b"{", b"\n\n[1]", b'{"stamp": "late"}']) + b"\n")
    return path


@hypothesis_settings(max_examples=30)
@given(st.integers(-10, LONG + 10))
def test_the_last_of_a_long_journal_are_found_without_reading_all(long_file: Path, since: int) -> None:
    wanted = 1e9 + 100.0 * since
    whole = [one["id"] for one in read(long_file) if type(one.get("stamp")) is float and one["stamp"] >= wanted]
    assert [one["id"] for one in read(long_file, since=wanted)] == whole


def test_what_is_asked_for_at_the_end_of_a_long_journal_costs_little(long_file: Path) -> None:
    reading = Reading(long_file, Query(since=1e9 + 100.0 * (LONG - 1)))
    assert [one["id"] for one in reading] == [LONG - 1] and reading.skipped == 0
    packed = long_file.with_suffix(".jsonl.gz")
    packed.write_bytes(gzip.compress(long_file.read_bytes()))
    assert [one["id"] for one in read(packed, since=1e9 + 100.0 * (LONG - 1))] == [LONG - 1]


def test_records_come_back_in_order(path: Path) -> None:
    journal = Journal(path)
    mine = record(1)
    journal.append(mine)
    mine["id"] = 99  # what was appended is what was true then
    journal.append(record(2, "SUS_MC2"))
    journal.append(record(3))
    assert journal.flush(30)
    assert list(read(path)) == [record(1), record(2, "SUS_MC2"), record(3)]
    assert [found["id"] for found in read(path, node="SUS_MC1")] == [1, 3]
    assert [found["id"] for found in read(path, since=1e9 + 2)] == [2, 3]
    assert journal.close(30)
    assert (journal.warnings, journal.trouble()) == ([], None)
    assert len(path.read_bytes().splitlines()) == 3


def test_what_json_cannot_say_is_written_all_the_same(path: Path) -> None:
    circle: dict[str, Any] = {}
    circle["me"] = circle
    journal = Journal(path)
    for number, value in enumerate([{1, 2}, float("nan"), circle, {(1, 2): 3}, b"x", Path("/x")]):
        journal.append(record(number, value=value))
    journal.append(record(6) | {"stamp": float("inf")})
    assert journal.close(30)
    assert ids(path) == list(range(7))
    for line in path.read_bytes().splitlines():
        json.loads(line, parse_constant=pytest.fail)


def test_a_file_torn_at_each_byte_is_mended_on_opening(path: Path) -> None:
    whole = written(path, 3)
    ends = [number + 1 for number, byte in enumerate(whole) if byte == 10]
    for length in range(ends[0], len(whole)):
        for rest in (b"", b"\0\0\0"):
            path.write_bytes(whole[:length] + rest)
            complete = sum(end <= length for end in ends)
            if not rest and length + 1 in ends:
                complete += 1  # all but the newline: nothing is lost
            assert len(ids(path)) >= complete - 1  # a reader needs no mending
            journal = Journal(path)
            journal.append(record(7))
            assert journal.close(30)
            reading = Reading(path)
            assert [found["id"] for found in reading] == [*range(complete), 7]
            assert reading.skipped == 0
            torn = whole[:length].rpartition(b"\n")[2] + rest
            if torn and not (not rest and length + 1 in ends):
                assert "moved to" in journal.warnings[0]
                (aside,) = path.parent.glob("*.damaged-*")
                assert aside.read_bytes() == torn
                aside.unlink()
            assert not list(path.parent.glob("*.damaged-*"))


def test_a_large_torn_end_is_moved_whole(path: Path) -> None:
    whole = written(path, 2)
    torn = os.urandom(5_000_000).replace(b"\n", b"x")
    path.write_bytes(whole + torn)
    reading = Reading(path)
    assert [found["id"] for found in reading] == [0, 1]
    assert reading.skipped == 1
    journal = Journal(path)
    assert journal.close(30)
    assert path.read_bytes() == whole
    (aside,) = path.parent.glob("*.damaged-*")
    assert aside.read_bytes() == torn and aside.name in journal.warnings[0]


def test_a_torn_end_that_cannot_be_moved_is_sealed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.parent.mkdir()
    path.write_bytes(b'{"id": 1}\n{"id": ')

    def refuse(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(journal_module, "_copy", refuse)
    journal = Journal(path)
    journal.append(record(2))
    assert journal.close(30)
    assert "could not be moved aside (No space" in journal.warnings[0]
    reading = Reading(path)
    assert ([found["id"] for found in reading], reading.skipped) == ([1, 2], 1)


#: What is no record; an object is one, also without fields.
noise = (
    st.binary(max_size=40)
    .map(lambda data: data.replace(b"\n", b"") + b"\n")
    .filter(lambda line: record_of(line) is None)
)


@given(st.lists(st.one_of(st.integers(0, 10**6), noise), max_size=20))
def test_a_reader_finds_its_feet_after_every_damage(tmp_path_factory: pytest.TempPathFactory, lines: list[Any]) -> None:
    path = tmp_path_factory.mktemp("j") / "journal"
    path.write_bytes(b"".join(b'{"id": %d}\n' % line if isinstance(line, int) else line for line in lines))
    reading = Reading(path)
    assert [found["id"] for found in reading] == [line for line in lines if isinstance(line, int)]
    assert reading.skipped == sum(isinstance(line, bytes) and bool(line.strip()) for line in lines)


def test_a_line_of_megabytes_in_the_middle_is_one_damage(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b'{"id": 1}\n' + b"[" * 9_000_000 + b'\n{"id": 2}\n' + b"7\n")
    reading = Reading(path)
    assert ([found["id"] for found in reading], reading.skipped) == ([1, 2], 2)


def test_a_file_that_is_moved_away_or_removed_is_begun_anew(path: Path) -> None:
    journal = Journal(path)
    journal.append(record(1))
    assert journal.flush(30, durable=False)
    path.rename(path.with_name("journal.1"))
    journal.append(record(2))
    assert journal.flush(30)
    assert (ids(path.with_name("journal.1")), ids(path)) == ([1], [2])
    path.unlink()
    path.parent.joinpath("journal.1").unlink()
    path.parent.rmdir()
    journal.append(record(3))
    assert journal.close(30)
    assert ids(path) == [3]


def test_one_process_writes_a_journal(path: Path) -> None:
    journal = Journal(path)
    with pytest.raises(ExpectedError, match="another process"):
        Journal(path)
    assert journal.close(30)
    assert Journal(path).close(30)


WRITER = """
import sys
from pathlib import Path
from guardian.host.journal import Journal
journal = Journal(Path(sys.argv[1]))
print("warnings", journal.warnings, flush=True)
number = int(sys.argv[2])
while True:
    number += 1
    journal.append({"id": number, "node": "A", "stamp": 0, "kind": "x" * (number % 5000)})
    if number % 10 == 0 and journal.flush(60, durable=number % 100 == 0):
        print(f"kept {number}.", flush=True)
"""


@pytest.mark.proc
def test_kill_9_loses_nothing_that_was_handed_over(path: Path) -> None:
    number = 0
    for _ in range(5):
        with Child([sys.executable, "-c", WRITER, path, str(number)], cwd=REPO) as child:
            child.wait_for(r"kept \d+\.", 60)
            time.sleep(random.uniform(0, 0.1))  # the moment of death is the point of the test
            child.kill9()
            told = [int(word[:-1]) for word in child.output.split() if word.endswith(".")]
        found = ids(path)
        assert found == list(range(1, len(found) + 1))
        assert len(found) >= told[-1] > number
        number = len(found)


LIMITED = """
import resource, sys, time
from pathlib import Path
from guardian.host.history import Reading, read
from guardian.host.journal import Journal
path = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
journal = Journal(path, retry_s=(0.01, 0.05), limit_bytes=5000)
for number in range(200):
    journal.append({"id": number, "node": "A", "stamp": 0, "kind": "event"})
while journal.trouble() is None:
    time.sleep(0.01)
print(journal.trouble())
assert path.stat().st_size == 1000 and not path.read_bytes().endswith(b"\\n"), "expected a torn line"
before = [record["id"] for record in read(path)]
print("before", len(before))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert journal.flush(60), journal.trouble()
journal.append({"id": 1000, "node": "A", "stamp": 0, "kind": "event"})
assert journal.close(60) and journal.trouble() is None
reading = Reading(path)
records = list(reading)
kinds = [record["kind"] for record in records]
dropped = records[-2]
kept = len(records) - 2
assert kinds == ["event"] * kept + ["dropped", "event"], kinds
assert [record["id"] for record in records] == [*range(kept), 0, 1000]
assert dropped["count"] == 200 - kept and 0 < dropped["since"] <= dropped["until"], dropped
assert reading.skipped == 0
print(f"kept {kept}, dropped {dropped['count']}")
print("all is well")
"""


@pytest.mark.proc
def test_a_short_write_is_completed_and_what_was_dropped_is_counted(path: Path) -> None:
    with Child([sys.executable, "-c", LIMITED, path], cwd=REPO) as child:
        child.wait_for("all is well", 60)
        assert "EFBIG" in child.output


@pytest.mark.proc
def test_a_full_disk_is_told_and_the_journal_goes_on_later(tiny_disk: Path) -> None:
    path = tiny_disk / "journal"
    journal = Journal(path, retry_s=(0.01, 0.05))
    journal.append(record(0))
    assert journal.flush(30)
    (tiny_disk / "filler").write_bytes(b"x" * 20_000)
    for number in range(1, 2000):
        journal.append(record(number))
    text = eventually(journal.trouble, what="the full disk is told")
    assert "ENOSPC" in text and str(path) in text
    begun = time.perf_counter()
    journal.append(record(2000))
    assert time.perf_counter() - begun < 1
    assert ids(path) == list(range(len(ids(path))))
    subprocess.run(["mount", "-o", "remount,size=1m", tiny_disk], check=True)
    assert journal.close(30)
    assert journal.trouble() is None
    assert ids(path) == list(range(2001))


def test_a_device_that_is_always_full(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.symlink_to("/dev/full")
    journal = Journal(path, retry_s=(0.01, 0.05), limit_bytes=1000)
    for number in range(1000):
        journal.append(record(number))
    assert "ENOSPC" in eventually(journal.trouble, what="the full device is told")
    assert not journal.close(30)
    still_open = [link for link in Path("/proc/self/fd").iterdir() if os.path.realpath(link) == "/dev/full"]
    assert still_open == []


def test_a_directory_that_cannot_be_is_told_until_it_can(path: Path) -> None:
    path.parent.write_text("in the way")
    journal = Journal(path, retry_s=(0.01, 0.05))
    journal.append(record(1))
    assert "not written since" in eventually(journal.trouble, what="the file in the way is told")
    path.parent.unlink()
    assert journal.close(30)
    assert (ids(path), journal.trouble()) == ([1], None)


def test_a_slow_disk_delays_neither_the_loop_nor_the_kernel(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    stuck = threading.Event()

    def fsync(fd: int) -> None:
        stuck.set()
        assert go_on.wait(60)

    monkeypatch.setattr(journal_module.os, "fsync", fsync)
    journal = Journal(path)
    try:
        journal.append(record(0))
        assert stuck.wait(30)
        spent = []
        for number in range(1, 1000):
            begun = time.perf_counter()
            journal.append(record(number))
            spent.append(time.perf_counter() - begun)
        print(f"append: median {sorted(spent)[500] * 1e6:.0f} us, worst {max(spent) * 1e6:.0f} us")
        assert sorted(spent)[500] < 1e-3
        assert journal.flush(30, durable=False)  # kill -9 would lose nothing, although the disk hangs
        assert ids(path) == list(range(1000))
        assert not journal.flush(0.05)
        assert not journal.close(0.05)
    finally:
        go_on.set()
    eventually(lambda: not any(thread.name == "journal-sync" for thread in threading.enumerate()))


def test_a_pipe_nobody_reads_does_not_hold_up_append(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    journal = Journal(path, limit_bytes=100_000)
    begun = time.perf_counter()
    for number in range(3000):
        journal.append(record(number))
    assert time.perf_counter() - begun < 5
    data = b""
    deadline = time.monotonic() + 30
    while not (b'"dropped"' in data and data.endswith(b"\n")) and time.monotonic() < deadline:
        try:
            data += os.read(reader, 65536)
        except BlockingIOError:
            time.sleep(0.01)
    assert journal.close(30)
    os.close(reader)
    records = [json.loads(line) for line in data.splitlines()]
    assert [found["id"] for found in records[:-1]] == list(range(len(records) - 1))
    assert records[-1]["count"] == 3000 - len(records) + 1
