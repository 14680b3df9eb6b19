"""What a host may suffer from, and the sentences about it."""

from __future__ import annotations

import pytest

from guardian.core import ailments
from guardian.core.ailments import JUMP_TOLD_S, WallClock
from guardian.core.when import span, utc
from guardian.enums import Severity

HOUR = 3600.0
NOON = 1_764_072_000.0


@pytest.mark.parametrize(
    ("used", "most", "severity"),
    [
        (20, 1024, None),
        (920, 1024, None),
        (923, 1024, Severity.MINOR),  # a tenth
        (60_000, 65_536, Severity.MINOR),
        (149, 200, None),
        (151, 200, Severity.MINOR),  # fifty
        (1, 0, Severity.MINOR),
    ],
)
def test_few_descriptors_are_a_minor_alarm(used: int, most: int, severity: Severity | None):
    found = ailments.descriptors(used, most)
    assert (found and found.severity) == severity


def test_what_failed_for_want_of_a_descriptor_is_a_major_alarm():
    found = ailments.descriptors(200, 200, "the worker of SUS could not be started")
    assert found is not None and found.severity is Severity.MAJOR
    assert found.text.startswith("200 of 200 descriptors are used up: the worker of SUS could not be started.")


@pytest.mark.parametrize(("free", "severity"), [(6e9, None), (4.9e9, Severity.MINOR), (1.9e9, Severity.MAJOR)])
def test_little_memory_is_an_alarm(free: float, severity: Severity | None):
    found = ailments.memory(free, 100e9)
    assert (found and found.severity) == severity


def test_memory_that_was_never_measured_is_no_alarm():
    assert ailments.memory(0.0, 0.0) is None


class Clocks:
    """A monotonic clock and a wall clock, looked at once a second."""

    def __init__(self) -> None:
        self.mono, self.wall, self.watch = 50.0, NOON, WallClock()
        self.watch.look(self.mono, self.wall)

    def passes(self, seconds: float, *, set_by: float = 0.0) -> float:
        """The last second of these has a clock that was set."""
        for _ in range(int(seconds) - 1):
            self.mono, self.wall = self.mono + 1, self.wall + 1
            assert self.watch.look(self.mono, self.wall) == 0.0
        self.mono, self.wall = self.mono + 1, self.wall + 1 + set_by
        return self.watch.look(self.mono, self.wall)

    @property
    def text(self) -> str:
        return self.watch.ailment.text if self.watch.ailment else ""


def test_a_clock_that_goes_as_time_does_is_well():
    clocks = Clocks()
    assert clocks.passes(5000) == 0.0
    assert clocks.passes(1, set_by=0.9) == 0.0  # a time service that slews
    assert clocks.text == ""


def test_a_clock_that_was_set_back_is_told_until_it_has_caught_up():
    clocks = Clocks()
    clocks.passes(10)
    assert clocks.passes(1, set_by=-HOUR) == -HOUR
    assert f"set back by 60 min: until it shows {utc(NOON + 10)} the stamps" in clocks.text
    assert clocks.watch.ailment is not None and clocks.watch.ailment.since == NOON + 11 - HOUR
    clocks.passes(HOUR - 2)
    assert clocks.text
    clocks.passes(1)
    assert clocks.text == ""


def test_a_clock_that_was_set_back_twice_has_to_catch_up_with_the_first_time():
    clocks = Clocks()
    clocks.passes(1, set_by=-HOUR)
    clocks.passes(100)
    clocks.passes(1, set_by=-HOUR)
    assert f"until it shows {utc(NOON)}" in clocks.text


def test_a_clock_that_was_set_right_again_is_well():
    clocks = Clocks()
    clocks.passes(1, set_by=-HOUR)
    assert clocks.passes(5, set_by=HOUR) == HOUR
    assert clocks.text == ""


def test_a_clock_that_was_set_right_and_then_some_was_set_forward():
    clocks = Clocks()
    clocks.passes(1, set_by=-HOUR)
    assert clocks.passes(5, set_by=3 * HOUR) == 3 * HOUR
    assert "set forward by 2 h" in clocks.text


def test_a_clock_that_was_set_forward_is_told_for_a_while():
    clocks = Clocks()
    clocks.passes(1, set_by=HOUR)
    assert "set forward by 60 min" in clocks.text
    clocks.passes(JUMP_TOLD_S)
    assert clocks.text
    clocks.passes(1)
    assert clocks.text == ""


def test_a_host_that_was_stopped_finds_its_clock_well():
    """SIGSTOP, or a machine that slept: both clocks have gone on."""
    clocks = Clocks()
    assert clocks.watch.look(clocks.mono + HOUR, clocks.wall + HOUR) == 0.0
    assert clocks.text == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.5, "0.5 s"), (90, "90 s"), (600, "10 min"), (9000, "2.5 h"), (9e5, "10.4 days"), (1e9, "11574 days")],
)
def test_times_for_people(seconds: float, text: str):
    assert span(seconds) == text
    assert utc(NOON) == "2025-11-25 12:00:00Z"
    assert utc(float("inf")) == "epoch inf"
