"""The thread that writes files: nothing it was woken for is left lying, and who waits for it waits for no pause."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from guardian.host.files import Lane, Trouble
from tests.support import eventually

#: No test waits for so long.
LONG_S = 3600.0
#: Before which all of it is done.
PATIENCE_S = 30.0

Make = Callable[..., Lane]


@pytest.fixture
def lane() -> Iterator[Make]:
    """``lane(job, ...)``: a lane, closed after the test."""
    with ExitStack() as stack:

        def make(job: Callable[[], None], **how: Any) -> Lane:
            made = Lane("test", job, trouble=Trouble("it is not written", "Wait."), **how)
            stack.callback(made.close, PATIENCE_S)
            return made

        yield make


class Writing:
    """A job whose calls are counted; while the gate is shut, one that has begun goes on."""

    def __init__(self) -> None:
        self.begun = 0
        self.gate = threading.Event()
        self.gate.set()
        self.fault: OSError | None = None

    def __call__(self) -> None:
        self.begun += 1
        self.gate.wait()
        if self.fault is not None:
            raise self.fault


def test_who_waits_for_what_came_during_a_job_waits_for_no_pause(lane: Make) -> None:
    job = Writing()
    job.gate.clear()
    writer = lane(job, gap_s=LONG_S)
    writer.wake()
    assert not writer.wait_done(0.0)  # the first job may begin at once
    eventually(lambda: job.begun == 1, PATIENCE_S, "the first job to begin")
    writer.wake()
    threading.Timer(0.2, job.gate.set).start()
    assert writer.wait_done(PATIENCE_S)
    assert job.begun == 2


def test_who_has_waited_for_nothing_makes_nobody_hurry(lane: Make) -> None:
    job = Writing()
    writer = lane(job, gap_s=LONG_S)
    assert writer.wait_done(0.0)
    for number in (1, 2):
        writer.wake()
        eventually(lambda: job.begun == 1, PATIENCE_S, "the first job")
        time.sleep(0.2)
        assert job.begun == 1, f"what came as number {number} made a job begin in the pause"
    assert writer.wait_done(PATIENCE_S) and job.begun == 2


def test_who_waits_for_a_job_that_has_begun_makes_the_next_one_no_sooner(lane: Make) -> None:
    job = Writing()
    job.gate.clear()
    writer = lane(job, gap_s=LONG_S)
    writer.wake()
    eventually(lambda: job.begun == 1, PATIENCE_S, "the first job to begin")
    threading.Timer(0.2, job.gate.set).start()
    assert writer.wait_done(PATIENCE_S)
    writer.wake()
    time.sleep(0.3)
    assert job.begun == 1


def test_what_is_wanted_soon_takes_along_what_gathers(lane: Make) -> None:
    job = Writing()
    writer = lane(job, gap_s=LONG_S)
    writer.wake(soon=True)
    eventually(lambda: job.begun == 1, PATIENCE_S, "the first job")
    done = threading.Event()
    writer.wake()
    writer.then(done.set)
    time.sleep(0.2)
    assert job.begun == 1
    writer.wake(soon=True)
    assert done.wait(PATIENCE_S) and job.begun == 2


def test_a_disk_that_fails_is_not_tried_again_sooner_because_something_is_wanted_soon(lane: Make) -> None:
    job = Writing()
    job.fault = OSError(28, "No space left on device")
    writer = lane(job, retry_s=(LONG_S, LONG_S))
    writer.wake(soon=True)
    eventually(writer.trouble.text, PATIENCE_S, "the first job to fail")
    for _ in range(20):
        writer.wake(soon=True)
        time.sleep(0.01)
    assert job.begun == 1


def test_a_job_that_fails_is_not_tried_again_at_once_because_somebody_waits(lane: Make) -> None:
    job = Writing()
    job.fault = OSError(28, "No space left on device")
    writer = lane(job, retry_s=(LONG_S, LONG_S))
    writer.wake()
    assert not writer.wait_done(1.0)
    assert 1 <= job.begun <= 2
    job.fault = None
    assert writer.wait_done(PATIENCE_S)


@pytest.mark.parametrize("gap_s", [0.0, 0.001])
def test_whenever_it_is_woken_a_job_begins_behind_it(lane: Make, gap_s: float) -> None:
    asked, seen, done = [0], [0], [0]

    def job() -> None:
        seen[0] = asked[0]

    writer = lane(job, gap_s=gap_s)

    def call(number: int) -> Callable[[], None]:
        def note() -> None:
            assert seen[0] >= number
            done[0] += 1

        return note

    for number in range(1, 3001):
        asked[0] = number
        writer.wake()
        writer.then(call(number))
        if number % 50 == 0:  # nobody wakes it meanwhile, nor makes it hurry
            eventually(lambda number=number: seen[0] == number, PATIENCE_S, f"what was asked as number {number}")
    assert writer.wait_done(PATIENCE_S)
    eventually(lambda: done[0] == 3000, PATIENCE_S, "all calls behind it")


def test_what_gathers_is_written_when_it_is_closed(lane: Make) -> None:
    job = Writing()
    writer = lane(job, gap_s=LONG_S)
    writer.wake()
    eventually(lambda: job.begun == 1, PATIENCE_S, "the first job")
    writer.wake()
    began = time.monotonic()
    assert writer.close(PATIENCE_S)
    assert job.begun == 2 and time.monotonic() - began < PATIENCE_S
