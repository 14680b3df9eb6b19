"""Set points: what counts as a change, and what is told of it."""

from __future__ import annotations

import json
import math
import struct
import sys
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from guardian.core import setpoints
from guardian.core.documents import DIFFERENCES_BYTES, SETPOINTS_BYTES, differences, read_rows
from guardian.core.documents import setpoints as document
from guardian.core.setpoints import (
    MOST,
    MOST_BYTES,
    MOST_NOTICES,
    MOST_TOLD,
    SHOWN,
    Difference,
    Setpoint,
    is_again,
    is_setting,
    notices,
    packed,
    same,
    shown,
    unpacked,
    why_too_long,
)

floats = st.floats(allow_nan=True, allow_infinity=True)
ordinary = st.floats(min_value=1e-30, max_value=1e30) | st.floats(min_value=-1e30, max_value=-1e-30)
longs = st.integers(-(2**31), 2**31 - 1)
values = (
    floats | longs | st.text(max_size=39) | st.lists(floats, max_size=9) | st.lists(st.text(max_size=5), max_size=4)
)


@given(values)
def test_what_is_there_as_it_was_set_is_the_same(value: Any) -> None:
    assert same(value, value)


@given(values)
def test_a_value_is_the_same_after_it_was_kept(value: Any) -> None:
    assert same(value, unpacked(packed(value)))


@given(ordinary, st.integers(-4, 4))
def test_the_last_bits_of_a_double_do_not_count(value: float, ulps: int) -> None:
    found = value
    for _ in range(abs(ulps)):
        found = math.nextafter(found, math.copysign(math.inf, ulps))
    assert same(value, found) and same(found, value)


@given(st.floats(width=32, allow_nan=False) | ordinary)
def test_what_single_precision_makes_of_a_value_is_no_change(value: float) -> None:
    assume(abs(value) < 3e38)
    assert same(value, struct.unpack("f", struct.pack("f", value))[0])


@given(ordinary, st.floats(min_value=1e-6, max_value=1e6), st.booleans())
@example(1.0, 1e-6, False)
def test_what_a_hand_can_turn_counts(value: float, by: float, down: bool) -> None:
    found = value * (1 - by if down else 1 + by)
    assert not same(value, found) or abs(found) <= setpoints.NOTHING


@given(st.floats(min_value=1e6, max_value=1e9))
def test_one_hertz_of_a_radio_frequency_counts(value: float) -> None:
    """Single precision is coarser than that, and forgives only what it makes of this very set point."""
    single = struct.unpack("f", struct.pack("f", value))[0]
    assume(abs(value + 1 - single) > 1e-3)
    assert not same(value, value + 1)


@given(longs, longs)
def test_integers_count_exactly(one: int, other: int) -> None:
    assert same(one, other) == (one == other)


@given(st.text(), st.text())
def test_texts_count_exactly(one: str, other: str) -> None:
    assert same(one, other) == (one == other)


@pytest.mark.parametrize(
    ("expected", "found", "is_same"),
    [
        (0.0, 5e-17, True),  # what is left of a ramp to zero
        (0.1 + 0.2 - 0.3, 0.0, True),
        (0.0, 1e-12, False),
        (0, 0.0, True),
        (3, 3.0, True),
        (True, 1, True),
        (math.nan, math.nan, True),
        (math.nan, 1.0, False),
        (1.0, math.nan, False),
        (math.inf, math.inf, True),
        (math.inf, -math.inf, False),
        (1e300, math.inf, False),
        (3.5e38, math.inf, False),
        ("ON", 1, False),  # the channel is of another kind now
        ("1", 1, False),
        ([1.0, 2.0], [1.0, 2.0], True),
        ([1.0, 2.0], [1.0, 2.0, 0.0, 0.0], True),  # a server that shows all that it has room for
        ([1.0, 2.0], [1.0], False),
        ([1.0, 2.0], [1.0, 2.5], False),
        ([1.0, math.nan], [1.0, math.nan], True),
        ([0.1], [struct.unpack("f", struct.pack("f", 0.1))[0]], True),
        ([], [], True),
        (2.0, [2.0], True),  # grown to an array
        (["a", "b"], ["a", "c"], False),
        (sys.float_info.max, sys.float_info.max, True),
    ],
)
def test_cases(expected: Any, found: Any, is_same: bool) -> None:
    assert same(expected, found) is is_same


@given(longs, longs, st.integers(1, 2**31 - 1))
def test_with_a_mask_only_its_bits_count(expected: int, found: int, mask: int) -> None:
    assert same(expected, found, mask=mask) == (expected & mask == found & mask)


@pytest.mark.parametrize(
    ("channel", "is_one"),
    [
        ("X1:SUS-GAIN", True),
        ("X1:SUS-FILT_RSET", False),
        ("X1:SUS-DAMP_LOAD_MATRIX", False),
        ("X1:SUS-RSET_GAIN", True),
        ("X1:GRD-SUS_REQUEST", False),
        ("GRD-SUS_REQUEST", False),
        ("X1:SUS-GRD-GAIN", True),
    ],
)
def test_what_is_pulsed_or_asked_is_no_setting(channel: str, is_one: bool) -> None:
    assert is_setting(channel) is is_one


def test_the_same_again_is_no_new_set_point_for_a_minute() -> None:
    first = Setpoint(channel="X1:A", name="A", value="3.0", at=1000.0)
    again = Setpoint(channel="X1:A", name="A", value="3.0", at=1059.0)
    assert is_again(first, again)
    for other in (
        Setpoint(channel="X1:A", name="A", value="3.0", at=1061.0),
        Setpoint(channel="X1:A", name="A", value="3.0", at=900.0),  # the clock was set back
        Setpoint(channel="X1:A", name="A", value="4.0", at=1001.0),
        Setpoint(channel="X1:A", name=":A", value="3.0", at=1001.0),
        Setpoint(channel="X1:A", name="A", value="3.0", mask=1, at=1001.0),
    ):
        assert not is_again(first, other)
    assert not is_again(None, again)
    assert not is_again(Setpoint(channel="X1:A", name="A", value="3.0", at=1000.0, module=True), again)


@given(values)
def test_what_is_shown_is_short_and_JSON_of_any_program(value: Any) -> None:
    text = shown(value)
    assert len(str(text)) <= SHOWN + 30
    json.dumps(text, allow_nan=False)


def test_a_value_that_is_too_long_says_so() -> None:
    assert not why_too_long("x" * (MOST_BYTES - 2))
    assert str(MOST_BYTES) in why_too_long("x" * MOST_BYTES)
    assert why_too_long([1.0] * MOST_BYTES)


def test_the_documents_say_what_they_leave_off() -> None:
    points = [
        Setpoint(channel=f"X1:{'A' * 60}{n}", name="A", value=packed("v" * 50), at=1.7e9 + n) for n in range(MOST)
    ]
    text = document(points)
    rows, left = read_rows(text, "setpoints")
    assert len(text.encode()) <= SETPOINTS_BYTES and len(rows) + left == MOST and left > 0
    few, left = read_rows(document(points[:3]), "setpoints")
    assert [row["set"] for row in few] == ["v" * 50] * 3 and left == 0
    changed = [
        Difference(channel=point.channel, set="v" * SHOWN, now=float(n), at=1.7e9, since=1.7e9 + 1)
        for n, point in enumerate(points[:MOST_TOLD])
    ]
    text = differences(1000, changed)
    rows, left = read_rows(text, "changed")
    assert len(text.encode()) <= DIFFERENCES_BYTES and len(rows) + left == 1000
    assert rows[0] == {"channel": points[0].channel, "set": "v" * SHOWN, "is": 0.0, "since": 1.7e9 + 1, "at": 1.7e9}


def test_names_are_texts_whoever_wrote_the_document() -> None:
    text = '{"changed": [{"channel": 3}, {"channel": "X1:A"}], "left_off": 0}'
    assert [row["channel"] for row in read_rows(text, "changed")[0]] == ["3", "X1:A"]


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", '{"changed": 3, "left_off": 0}', '{"changed": [{}], "left_off": 0}'),
        '{"changed": [], "left_off": Infinity}',
    ],
)
def test_what_is_no_such_document_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="it is no changed"):
        read_rows(text, "changed")


def test_the_operator_is_told_of_the_first_ones_and_how_many_more() -> None:
    found = [Difference(channel=f"X1:A{n}", set=3.0, now=5.0, at=0.0, since=1_700_000_000.0) for n in range(20)]
    texts = notices(found, 40)
    assert texts[0] == "X1:A0 is 5, set to 3 (since 22:13:20Z)"
    assert len(texts) == MOST_NOTICES + 1 and texts[-1].startswith("35 more channels")
    assert notices([], 0) == ()
    dead = Difference(channel="X1:A", set="ON", now=setpoints.DEAD, at=0.0, since=0.0)
    assert notices([dead], 1) == ("X1:A does not answer, set to ON (since 00:00:00Z)",)
