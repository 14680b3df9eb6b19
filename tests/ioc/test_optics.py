"""The physics of the plant, without a network: the story of the demo in model time, so in milliseconds."""

from __future__ import annotations

import itertools
import math
import random

import pytest

from ioc.optics import BEST_OFFSETS, CAVITY_ROWS, MIRROR_ROWS, STEP_S, OpticsTable


@pytest.fixture
def table() -> OpticsTable:
    return OpticsTable(noise=random.Random(1).random)


def go(table: OpticsTable, seconds: float) -> None:
    for _ in range(round(seconds / STEP_S)):
        table.step()


def damp(table: OpticsTable) -> None:
    for mirror in table.mirrors.values():
        mirror.damp_sw = 1


def align(table: OpticsTable) -> None:
    damp(table)
    for name, mirror in table.mirrors.items():
        mirror.align_offset, mirror.align_sw = BEST_OFFSETS[name], 1
    go(table, 8)


def lock(table: OpticsTable) -> None:
    align(table)
    table.cavity.lock_sw = 1
    go(table, 3)


def test_an_undamped_mirror_rings_and_the_loop_quiets_it(table):
    mirror = table.mirrors["MC1"]
    go(table, 2)
    assert mirror.motion > 5
    damp(table)
    go(table, 4)
    assert mirror.motion < 1


def test_the_resonance_is_where_it_should_be(table):
    table.seis = 0
    mirror = table.mirrors["MC1"]
    signs = []
    for _ in range(100):  # 10 s
        table.step()
        signs.append(mirror.angle > 0)
    crossings = sum(a != b for a, b in itertools.pairwise(signs))
    assert 0.6 < crossings / 2 / 10 < 0.8  # Hz


def test_the_angle_follows_the_offset_without_a_trip(table):
    damp(table)
    mirror = table.mirrors["MC2"]
    mirror.align_offset, mirror.align_sw = 100.0, 1
    go(table, 8)
    assert mirror.angle == pytest.approx(100, abs=2)
    assert mirror.wd_state == 0


def test_the_watchdog_trips_latches_and_is_reset_only_when_quiet(table):
    align(table)
    mirror = table.mirrors["MC2"]
    mirror.kick = 300.0
    go(table, 1)
    assert (mirror.wd_state, mirror.damp_sw, mirror.align_sw) == (1, 0, 0)
    mirror.damp_sw = mirror.wd_reset = 1
    go(table, STEP_S)
    assert (mirror.wd_state, mirror.damp_sw, mirror.wd_reset) == (1, 0, 0), "reset while it swings"
    go(table, 15)
    assert mirror.wd_state == 1, "it latches"
    mirror.wd_reset = 1
    go(table, STEP_S)
    assert (mirror.wd_state, mirror.damp_sw) == (0, 0), "reset when quiet, and nothing comes on by itself"


def test_an_earthquake_trips_every_mirror(table):
    align(table)
    table.seis = 100
    go(table, 10)
    assert [mirror.wd_state for mirror in table.mirrors.values()] == [1, 1, 1]


def test_the_cavity_flashes_when_aligned_and_locks_by_its_servo(table):
    go(table, 1)
    assert table.cavity.trans < 1
    align(table)
    assert 8 < table.cavity.trans < 11
    table.cavity.lock_sw = 1
    go(table, 0.5)
    assert table.cavity.locked == 0, "it takes a second"
    go(table, 3)
    assert table.cavity.locked == 1
    assert table.cavity.trans > 95


def test_it_does_not_catch_with_the_boost_on_or_misaligned(table):
    align(table)
    table.cavity.lock_sw = table.cavity.boost_sw = 1
    go(table, 5)
    assert table.cavity.locked == 0
    table.cavity.boost_sw = 0
    table.mirrors["MC3"].align_offset += 60
    go(table, 5)
    assert table.cavity.locked == 0


@pytest.mark.parametrize(("kick", "boost", "survives"), [(5, 0, True), (20, 0, False), (20, 1, True), (60, 1, False)])
def test_the_boost_holds_against_larger_kicks(table, kick, boost, survives):
    lock(table)
    table.cavity.boost_sw = boost
    table.cavity.kick = float(kick)
    go(table, STEP_S)
    assert bool(table.cavity.locked) is survives


def test_a_mirror_turned_away_loses_the_lock(table):
    lock(table)
    table.mirrors["MC3"].align_offset += 60
    go(table, 4)
    assert table.cavity.locked == 0


def test_it_stays_locked_for_ten_minutes(table):
    lock(table)
    for _ in range(6000):
        table.step()
        assert table.cavity.locked, "lost without a cause"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["align_offset", "damp_gain", "kick"])
def test_numbers_that_are_none_leave_the_model_finite(table, name, value):
    lock(table)
    setattr(table.mirrors["MC1"], name, value)
    table.cavity.kick = table.seis = value
    go(table, 2)
    assert all(math.isfinite(m.angle) and math.isfinite(m.motion) for m in table.mirrors.values())
    assert math.isfinite(table.cavity.trans)
    assert math.isfinite(table.cavity.err)


def test_the_largest_gain_is_stable(table):
    damp(table)
    mirror = table.mirrors["MC1"]
    mirror.damp_gain = 3.0
    go(table, 20)
    assert mirror.motion < 2


def test_every_row_fits_what_channel_access_can_carry(table):
    for _, row, part in table.channels():
        assert len(row.text) <= 40
        assert hasattr(part, row.name.lower())
        assert all(len(label) <= 25 for label in row.labels)
    assert len(list(table.channels())) == 3 * len(MIRROR_ROWS) + len(CAVITY_ROWS) + 1
