"""Encoding and decoding of values, without a network."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from guardian.access import wire
from guardian.access.wire import Facts, Kind, Sample, Shape
from guardian.errors import EzcaError

DOUBLE = Shape(kind=Kind.DOUBLE, length=1)
ENUM = Shape(kind=Kind.ENUM, length=1)


def written(value, shape, labels=()):
    """What a reader gets who reads back what `value` is sent as."""
    return wire.decode(wire.encode("X1:A", value, shape, labels), shape.is_array)


@given(st.floats(allow_nan=False))
def test_doubles_arrive_unchanged(value: float) -> None:
    assert written(value, DOUBLE) == value


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=20))
def test_longs_arrive_unchanged(values: list[int]) -> None:
    assert list(written(values, Shape(kind=Kind.LONG, length=20))) == values


def why_not(text: str, most: int) -> str:
    """What is said of a text that no channel of so many bytes can hold, "" of one that it can."""
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        return "not all of it is text"
    if "\0" in text.rstrip("\0"):
        return "NUL"
    return f"{most}" if len(text.encode()) > most else ""


@given(st.text(max_size=60))
@example("two\0words")
@example("\udc80")
@example("padded\0\0")
@example("too long, and\0with a NUL: that is said first")
def test_a_string_arrives_whole_or_is_refused(text: str) -> None:
    shape = Shape(kind=Kind.STRING, length=1)
    if why := why_not(text, 39):
        with pytest.raises(EzcaError, match=f"^X1:A: .*{why}"):
            written(text, shape)
    else:
        assert written(text, shape) == text.rstrip("\0")


@given(st.text(max_size=40))
@example("two\0words")
@example("\udc80")
@example("padded\0\0")
def test_a_long_string_arrives_whole_or_is_refused(text: str) -> None:
    shape = Shape(kind=Kind.CHAR, length=60)
    if why := why_not(text, 60):
        with pytest.raises(EzcaError, match=f"^X1:A: .*{why}"):
            written(text, shape)
    else:
        assert wire.as_text(written(text, shape), shape, Facts()) == text.rstrip("\0")


def test_bytes_of_a_long_string_are_written_as_they_are() -> None:
    shape = Shape(kind=Kind.CHAR, length=10)
    assert bytes(written(b"a\0\xff", shape)) == b"a\0\xff\0"
    with pytest.raises(EzcaError, match="NUL"):
        written(b"a\0b", Shape(kind=Kind.STRING, length=1))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Kind.SHORT, 32768),
        (Kind.LONG, -(2**31) - 1),
        (Kind.CHAR, 256),
        (Kind.ENUM, -1),
        (Kind.LONG, math.nan),
        (Kind.LONG, math.inf),
        (Kind.LONG, "1.5"),
        (Kind.LONG, None),
        (Kind.FLOAT, 1e300),
        (Kind.DOUBLE, object()),
        (Kind.DOUBLE, []),
        (Kind.DOUBLE, [[1]]),
    ],
)
def test_what_a_channel_cannot_hold_is_refused_by_name(kind: Kind, value: object) -> None:
    with pytest.raises(EzcaError, match=r"^X1:A: "):
        wire.encode("X1:A", value, Shape(kind=kind, length=1))


def test_labels() -> None:
    labels = ("OFF", "ON", "", "3")
    assert [written(value, ENUM, labels) for value in ("ON", b"OFF", "2", "3", 1.0, np.int16(1))] == [1, 0, 2, 3, 1, 1]
    with pytest.raises(EzcaError, match=r"'ONN' is not one of its labels. They are: OFF, ON, 3\."):
        written("ONN", ENUM, labels)


def test_facts() -> None:
    raw = struct.pack("=hhh", 0, 0, 2) + b"OFF".ljust(26, b"\0") + b"x" * 26 + bytes(14 * 26)
    assert wire.decode_facts(Kind.ENUM, raw) == Facts(labels=("OFF", "x" * 26))
    assert wire.decode_facts(Kind.DOUBLE, struct.pack("=hhhh", 0, 0, 3, 0)) == Facts(precision=3)


def test_as_text() -> None:
    facts = Facts(labels=("OFF",), precision=2)
    assert wire.as_text(0, ENUM, facts) == "OFF"
    assert wire.as_text(5, ENUM, facts) == "5"
    assert wire.as_text(1.239, DOUBLE, facts) == "1.24"
    assert wire.as_text(math.nan, DOUBLE, facts) == "nan"
    assert wire.text_of(b"20 \xb0C\0rest") == "20 °C"


def test_stamp() -> None:
    raw = struct.pack("=hhIIid", 0, 0, 11, 22, 0, 1.5)
    sample = Sample(order=1, kind=Kind.DOUBLE, count=1, raw=raw)
    assert sample.stamp == (11, 22) and wire.decode(sample, False) == 1.5 and len(raw) == wire.time_size(Kind.DOUBLE, 1)


def test_same() -> None:
    assert wire.same(math.nan, math.nan) and wire.same(1, 1.0) and not wire.same(1.0, math.nan)
    assert wire.same(np.array([1.0, math.nan]), np.array([1.0, math.nan]))
    assert wire.same(np.frombuffer(b"abc\0\0", np.uint8), np.frombuffer(b"abc\0", np.uint8))
    assert not wire.same(np.array([1, 2]), np.array([1, 2, 3]))


@pytest.mark.parametrize("value", [1.5, 7, "a text"])
def test_two_events_are_equal_whatever_their_times_and_alarms(value: object) -> None:
    kind = {float: Kind.DOUBLE, int: Kind.LONG, str: Kind.STRING}[type(value)]
    head = {Kind.DOUBLE: "=hhIIi", Kind.LONG: "=hhII", Kind.STRING: "=hhII"}[kind]

    def event(order: int, what: object) -> Sample:
        raw = wire.encode("X1:A", what, Shape(kind=kind, length=1)).raw
        times = (order, 0, order, 1, *((0,) if kind is Kind.DOUBLE else ()))
        return Sample(order=order, kind=kind, count=1, raw=struct.pack(head, *times) + raw)

    assert wire.equal(event(1, value), event(2, value))
    assert not wire.equal(event(1, value), event(2, 8 if kind is not Kind.STRING else "another text"))


def test_an_array_that_has_become_longer_is_another_one() -> None:
    one = Sample(order=1, kind=Kind.LONG, count=1, raw=b"\0" * 16)
    assert not wire.equal(one, Sample(order=2, kind=Kind.LONG, count=2, raw=b"\0" * 20))
