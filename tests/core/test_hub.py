"""The rules by which a hub judges, on a clock of the test."""

from __future__ import annotations

from dataclasses import replace

import pytest

from guardian.core import hub as core
from guardian.core.heartbeat import Heartbeat
from guardian.core.hub import Roll
from guardian.enums import ProcessState, Pulse
from guardian.errors import ExosError

FIRST = Heartbeat(name="camera", beat=1, host="ctrl7", pid=10, run="a", seq=1, period_s=1.0, stall_s=3.0)


class World:
    """A roll and its clock; `changes` has what was told."""

    def __init__(self) -> None:
        self.roll = Roll()
        self.now = 1000.0
        self.changes: list[core.Change] = []
        self.last = FIRST

    def look_for(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.now += self.roll.look_s
            self.changes += self.roll.look(self.now)

    def send(self, **fields) -> None:
        self.last = replace(self.last, **{"seq": self.last.seq + 1, **fields})
        self.changes += self.roll.receive(self.last, self.now)

    def beat_for(self, periods: int, *, moves: bool = True) -> None:
        for _ in range(periods):
            self.send(beat=self.last.beat + moves)
            self.look_for(1.0)

    @property
    def told(self) -> list[str]:
        return [change.pulse.name for change in self.changes]


@pytest.fixture
def world() -> World:
    return World()


def test_one_that_beats_is_told_once(world):
    world.beat_for(100)
    assert world.told == ["BEATING"]
    assert world.changes[0].before is None
    assert "pid 10 on ctrl7" in world.changes[0].sentence
    assert world.roll.pulses == {"camera": Pulse.BEATING}


def test_one_that_sends_no_more_is_silent_after_three_periods_and_beats_again(world):
    world.beat_for(5)
    world.look_for(1.5)
    assert world.told == ["BEATING"]
    world.look_for(1)
    assert world.told == ["BEATING", "SILENT"]
    assert "no heartbeat for 3" in world.changes[-1].sentence
    world.look_for(100)
    world.beat_for(3)
    assert world.told == ["BEATING", "SILENT", "BEATING"]
    assert "BEATING again, after 10" in world.changes[-1].sentence and "of silence" in world.changes[-1].sentence


def test_one_whose_counter_stands_has_stalled_though_heartbeats_come(world):
    world.beat_for(5)
    world.beat_for(1, moves=False)
    assert world.told == ["BEATING"]
    world.beat_for(2, moves=False)
    assert world.told == ["BEATING", "STALLED"]
    assert "has stood at 6 for 3" in world.changes[-1].sentence
    world.beat_for(3)
    assert world.told == ["BEATING", "STALLED", "BEATING"]
    assert "of standing still" in world.changes[-1].sentence


def test_it_may_promise_to_stand_longer(world):
    world.last = replace(FIRST, stall_s=60.0)
    world.beat_for(50, moves=False)
    assert world.told == ["BEATING"]


def test_one_that_was_stopped_and_goes_on_comes_back_as_beating_not_as_stalled(world):
    world.beat_for(3)
    world.look_for(10)
    world.send()  # the thread that sends is quicker than the loop
    world.look_for(0.5)
    world.beat_for(3)
    assert world.told == ["BEATING", "SILENT", "BEATING"]


def test_another_process_is_restarted_until_it_beats(world):
    world.beat_for(3)
    world.send(pid=11, run="b", beat=0, seq=1, uptime_s=0.5)
    assert world.told == ["BEATING", "RESTARTED"]
    assert "pid 11 on ctrl7 has taken the place of pid 10" in world.changes[-1].sentence
    world.look_for(1)
    world.send()
    assert world.told == ["BEATING", "RESTARTED"]
    world.beat_for(2)
    assert world.told == ["BEATING", "RESTARTED", "BEATING"]


def test_one_that_was_killed_and_started_again_is_silent_then_restarted(world):
    world.beat_for(3)
    world.look_for(5)
    world.send(pid=11, run="b", beat=0, seq=1)
    world.look_for(1)
    world.beat_for(2)
    assert world.told == ["BEATING", "SILENT", "RESTARTED", "BEATING"]


def test_a_restarted_one_that_never_beats_has_stalled(world):
    world.beat_for(3)
    world.send(pid=11, run="b", beat=0, seq=1)
    world.look_for(1)
    world.beat_for(6, moves=False)
    assert world.told == ["BEATING", "RESTARTED", "STALLED"]


def test_the_same_pid_with_less_uptime_is_another_process(world):
    world.last = replace(FIRST, run="", uptime_s=100.0)
    world.beat_for(2)
    world.send(uptime_s=1.0, beat=0, seq=1)
    assert world.told == ["BEATING", "RESTARTED"]


def test_late_mail_changes_nothing(world):
    world.beat_for(5)
    old = world.last
    world.send(pid=11, run="b", beat=0, seq=1)
    world.changes += world.roll.receive(old, world.now)
    world.beat_for(5)
    assert world.told == ["BEATING", "RESTARTED", "BEATING"]
    world.changes += world.roll.receive(replace(world.last, seq=2, beat=0), world.now)
    assert world.roll.heartbeats["camera"] == world.last


def test_two_programs_of_one_name_are_told_once_and_never_chase_each_other(world):
    world.beat_for(2)
    first = world.last
    world.send(pid=11, host="ctrl8", run="b", beat=0, seq=1)
    for number in range(1, 20):
        world.look_for(0.5)
        world.send(beat=number)
        world.changes += world.roll.receive(replace(first, seq=first.seq + number, beat=100 + number), world.now)
        world.look_for(0.5)
    assert world.told == ["BEATING", "RESTARTED", "BEATING", "BEATING"]
    assert "two programs" in world.changes[-1].sentence
    assert "pid 11 on ctrl8 and pid 10 on ctrl7" in world.changes[-1].sentence
    world.look_for(10)  # the second one ends
    world.changes += world.roll.receive(replace(first, seq=99, beat=500), world.now)
    assert world.told[-2:] == ["SILENT", "RESTARTED"]


def test_one_that_says_that_it_stops_is_no_alarm_later(world):
    world.beat_for(3)
    world.send(state=ProcessState.STOPPED)
    world.look_for(1000)
    assert world.told == ["BEATING", "STOPPED"]
    world.send(pid=12, run="c", seq=1, beat=0, state=ProcessState.READY)
    world.look_for(0.5)
    world.beat_for(1)
    assert world.told == ["BEATING", "STOPPED", "RESTARTED", "BEATING"]


def test_one_that_says_that_it_has_failed_is_believed(world):
    world.beat_for(3)
    world.send(state=ProcessState.FAIL, late=("reader",))
    assert world.told == ["BEATING", "FAILED"]
    assert "reader" in world.changes[-1].sentence


def test_one_that_says_that_it_is_stopped_and_stands_has_stalled(world):
    """A node that was stopped, of a host that hangs."""
    world.beat_for(3)
    world.send(state=ProcessState.STOPPED)
    world.look_for(1)
    world.beat_for(3)
    assert world.told == ["BEATING", "STOPPED"]
    world.beat_for(5, moves=False)
    assert world.told == ["BEATING", "STOPPED", "STALLED"]
    world.beat_for(3)
    assert world.told == ["BEATING", "STOPPED", "STALLED", "STOPPED"]


def test_a_last_word_is_no_stall_though_nothing_moves_any_more(world):
    world.last = replace(FIRST, stall_s=0.5)
    world.send(beat=7)
    world.send(state=ProcessState.STOPPED)
    world.look_for(100)
    assert world.told == ["BEATING", "STOPPED"]


def test_a_hub_that_was_stopped_for_an_hour_finds_nobody_late(world):
    world.beat_for(10)
    world.now += 3600
    world.changes += world.roll.look(world.now)
    world.beat_for(10)
    assert world.told == ["BEATING"]


def test_an_expected_one_that_never_came_is_silent(world):
    world.roll.expect("camera", 3.0)
    world.look_for(2.5)
    assert world.told == [] and world.roll.pulses == {"camera": None}
    world.look_for(1)
    assert world.told == ["SILENT"] and "it is expected" in world.changes[0].sentence
    world.beat_for(2)
    assert world.told == ["SILENT", "BEATING"]


def test_one_that_is_forgotten_is_not_told(world):
    world.beat_for(2)
    world.roll.forget("camera")
    world.look_for(100)
    assert world.told == ["BEATING"] and world.roll.pulses == {}


def test_a_hub_has_room_for_so_many(world, monkeypatch):
    monkeypatch.setattr(core, "MOST", 3)
    for number in range(3):
        world.roll.receive(replace(FIRST, name=f"p{number}"), world.now)
    with pytest.raises(ExosError, match="3 processes already"):
        world.roll.receive(FIRST, world.now)
    with pytest.raises(ExosError, match="3 processes already"):
        world.roll.expect("other", 1.0)


def test_it_looks_as_often_as_the_shortest_period_wants(world):
    assert world.roll.look_s == 1.0
    world.roll.receive(FIRST, world.now)
    assert world.roll.look_s == 0.25
    world.roll.receive(replace(FIRST, name="fast", period_s=0.05), world.now)
    assert world.roll.look_s == 0.05
