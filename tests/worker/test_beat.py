"""The beat page: what is read is always one moment of the writer, dead or alive."""

from __future__ import annotations

import mmap
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from guardian.enums import Call
from guardian.worker.beat import Beat, BeatReader, BeatWriter, create_page
from tests.support import REPO, eventually


@pytest.fixture
def page() -> Iterator[int]:
    fd = create_page()
    yield fd
    os.close(fd)


@pytest.fixture
def reader(page: int) -> Iterator[BeatReader]:
    reader = BeatReader(page)
    yield reader
    reader.close()


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_an_empty_page_reads_as_nothing(reader: BeatReader):
    assert reader.read() == Beat()


def test_a_call_from_begin_to_end(page: int, reader: BeatReader):
    clock = Clock()
    writer = BeatWriter(page, clock=clock)
    writer.cycle()
    assert writer.begin(Call.MAIN, 7) == 1
    clock.now = 100.25
    beat = reader.read()
    assert beat == Beat(cycle=1, call=1, method=Call.MAIN, entry=7, call_start_s=100.0)
    assert beat.busy_s(clock.now) == 0.25
    assert writer.end() == 0.25
    assert reader.read() == Beat(cycle=1, call=1, method=None, entry=7, call_start_s=100.0, last_duration_s=0.25)
    assert reader.read().busy_s(clock.now) == 0.0
    assert writer.begin(Call.RUN, 8) == 2
    assert reader.read().method is Call.RUN
    writer.close()


def test_end_without_a_call_changes_nothing(page: int, reader: BeatReader):
    clock = Clock()
    writer = BeatWriter(page, clock=clock)
    writer.begin(Call.RUN, 1)
    clock.now = 101.0
    writer.end()
    clock.now = 200.0
    assert writer.end() == 1.0  # the interrupt came between the end of the method and its end()
    assert reader.read().last_duration_s == 1.0
    writer.close()


def test_dropped_lines_are_counted_at_once(page: int, reader: BeatReader):
    writer = BeatWriter(page)
    writer.drop()
    writer.drop(5)
    assert reader.read().dropped == 6
    writer.close()


def test_a_torn_record_hides_behind_the_one_before(page: int, reader: BeatReader):
    writer = BeatWriter(page)
    for _ in range(10):
        writer.cycle()
    with mmap.mmap(page, mmap.PAGESIZE) as memory:
        newest = memory[:]
        for slot in (0, 128):  # each slot in turn, torn at each byte: one of the two is always whole
            for byte in range(60):
                memory[slot + byte] ^= 0xFF
                assert reader.read().cycle in (9, 10)
                memory[:] = newest
        assert reader.read().cycle == 10
        memory[:] = bytes([0x5A]) * len(memory)  # nothing whole left: the last known, and no endless wait
        assert reader.read().cycle == 10
    writer.close()


def test_nobody_can_cut_the_page_off(page: int):
    with pytest.raises(PermissionError):
        os.ftruncate(page, 0)


def test_cost_of_a_write(page: int, reader: BeatReader):
    writer = BeatWriter(page)
    rounds = 5000

    def cost_us() -> float:
        start = time.perf_counter()
        for _ in range(rounds):
            writer.begin(Call.RUN, 1)
            writer.end()
        return (time.perf_counter() - start) / rounds / 2 * 1e6

    best = min(cost_us() for _ in range(5))
    print(f"a write costs {best:.2f} us")
    assert best < 10  # about 1 us on an idle machine
    writer.close()


WRITER = """
import sys
from guardian.enums import Call
from guardian.worker.beat import BeatWriter
clock = iter(range(1, 10**12))
writer = BeatWriter(int(sys.argv[1]), clock=lambda: float(next(clock)))
while True:  # call n begins at 2n - 1 in entry n, and lasts 1
    call = writer._call + 1
    writer.begin(Call.RUN, call)
    writer.end()
"""


@pytest.mark.proc
def test_reading_a_writer_at_full_speed_until_it_is_killed(page: int, reader: BeatReader):
    child = subprocess.Popen([sys.executable, "-c", WRITER, str(page)], pass_fds=(page,), cwd=REPO)
    try:
        eventually(lambda: reader.read().call > 0, what="the child writes")
        calls = [_checked(reader.read()) for _ in range(20_000)]
        assert calls == sorted(calls)
        assert calls[-1] > calls[0]
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait(30)
    last = _checked(reader.read())
    assert last >= calls[-1]
    assert _checked(reader.read()) == last
    print(f"read 20000 times while {last} calls were written")


def _checked(beat: Beat) -> int:
    assert beat.entry == beat.call
    assert beat.call_start_s == 2 * beat.call - 1
    assert beat.last_duration_s == (1.0 if beat.call > 1 or beat.method is None else 0.0)
    return beat.call
