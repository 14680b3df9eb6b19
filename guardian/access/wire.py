"""Values on the wire: between Python and the bytes of Channel Access, both ways. Pure.

A channel has a native *kind* (one of seven) and a greatest length. What is read comes in the TIME form of its kind:
alarm status and severity (2 x int16), seconds and nanoseconds (2 x uint32), padding, values; all in host byte order,
because libca has converted it. Keeping the bytes and decoding when user code asks costs the CA thread next to nothing:
most monitor events of a fast channel are never looked at.

What user code sees: int for SHORT, LONG, CHAR and ENUM, float for FLOAT and DOUBLE, str for STRING, a numpy array for
everything with more than one element. CHAR is unsigned on the wire; 64-bit and unsigned 32-bit fields of an IOC arrive
as DOUBLE. Text is UTF-8, or Latin-1 if it is not (old databases write their degrees and microns so).

What cannot be represented is refused in words (`EzcaError`), never cut: a text over 39 bytes or with a NUL in it, a
number out of range, an array that is too long. A fraction written to an integer channel loses its fractional part, as
with ``caput``.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from guardian.errors import EzcaError

#: Bytes of a CA string, of which one is the terminator, and of an enum label.
STRING_SIZE = 40
LABEL_SIZE = 26
#: Offsets from a kind to its TIME and its GR (labels, precision) form.
TIME = 14
GR = 21
#: What to copy of a GR form: of an enum all 16 labels, else up to the precision.
GR_ENUM_SIZE = 6 + 16 * LABEL_SIZE
GR_NUMBER_SIZE = 8


class Kind(IntEnum):
    """Native type of a channel, numbered as DBF in db_access.h."""

    STRING = 0
    SHORT = 1
    FLOAT = 2
    ENUM = 3
    CHAR = 4
    LONG = 5
    DOUBLE = 6


#: Where the values of the TIME form begin (dbr_value_offset in db_access.h).
_VALUE_AT = {
    Kind.STRING: 12,
    Kind.SHORT: 14,
    Kind.FLOAT: 12,
    Kind.ENUM: 14,
    Kind.CHAR: 15,
    Kind.LONG: 12,
    Kind.DOUBLE: 16,
}
_FORMATS = {Kind.SHORT: "h", Kind.FLOAT: "f", Kind.ENUM: "H", Kind.CHAR: "B", Kind.LONG: "i", Kind.DOUBLE: "d"}
_SIZES = {Kind.STRING: STRING_SIZE} | {kind: struct.calcsize(form) for kind, form in _FORMATS.items()}
_FRACTIONAL = frozenset({Kind.FLOAT, Kind.DOUBLE})
#: What may be written; CHAR takes signed and unsigned bytes.
_RANGES = {
    Kind.SHORT: (-(2**15), 2**15 - 1),
    Kind.ENUM: (0, 2**16 - 1),
    Kind.CHAR: (-(2**7), 2**8 - 1),
    Kind.LONG: (-(2**31), 2**31 - 1),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What kind of channel it is. ``length`` is the greatest number of elements; over 1 it is an array."""

    kind: Kind
    length: int

    @property
    def is_array(self) -> bool:
        return self.length > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One value as it came. ``order`` counts arrivals on this channel, ``stamp`` is the server's (s, ns)."""

    order: int
    kind: Kind
    count: int
    raw: bytes

    @property
    def stamp(self) -> tuple[int, int]:
        seconds, nanoseconds = struct.unpack_from("=II", self.raw, 4)
        return seconds, nanoseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """Something to write: `count` elements of `kind`."""

    kind: Kind
    count: int
    raw: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the server says about a channel besides its value."""

    labels: tuple[str, ...] = ()
    precision: int | None = None


def time_size(kind: Kind, count: int) -> int:
    """Bytes of `count` values in the TIME form."""
    return _VALUE_AT[kind] + _SIZES[kind] * count


def equal(one: Sample, other: Sample) -> bool:
    """Whether two have the same values, whatever their times and alarms."""
    at = _VALUE_AT[one.kind]
    return one.kind is other.kind and one.count == other.count and one.raw[at:] == other.raw[at:]


def text_of(raw: bytes) -> str:
    """The text in a fixed-size field: up to the first NUL."""
    raw = raw.split(b"\0", 1)[0]
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def decode(data: Sample | Payload, is_array: bool) -> Any:
    """The Python value of what came, or of what is about to be written."""
    offset = _VALUE_AT[data.kind] if isinstance(data, Sample) else 0
    if data.kind is Kind.STRING:
        texts = [text_of(data.raw[at : at + STRING_SIZE]) for at in range(offset, len(data.raw), STRING_SIZE)]
        return np.array(texts, dtype=str) if is_array else texts[0]
    form = _FORMATS[data.kind]
    if is_array:
        return np.frombuffer(data.raw, form, data.count, offset).copy()
    return struct.unpack_from(form, data.raw, offset)[0]


def sample_text(sample: Sample) -> str:
    """A value as text without asking for labels: a string, a long string, or a number."""
    offset = _VALUE_AT[sample.kind]
    if sample.kind in (Kind.STRING, Kind.CHAR):
        return text_of(sample.raw[offset : offset + (STRING_SIZE if sample.kind is Kind.STRING else sample.count)])
    if not sample.count:  # an empty array
        return ""
    return str(struct.unpack_from(_FORMATS[sample.kind], sample.raw, offset)[0])


def decode_facts(kind: Kind, raw: bytes) -> Facts:
    """Labels of an ENUM, precision of a FLOAT or DOUBLE, out of the GR form."""
    if kind is Kind.ENUM:
        (used,) = struct.unpack_from("=h", raw, 4)
        return Facts(
            labels=tuple(text_of(raw[at : at + LABEL_SIZE]) for at in range(6, 6 + used * LABEL_SIZE, LABEL_SIZE))
        )
    (precision,) = struct.unpack_from("=h", raw, 4)
    return Facts(precision=precision)


def as_text(value: Any, shape: Shape, facts: Facts) -> str:
    """What ``as_string=True`` gives: the label, the long string, the number with the channel's precision."""
    if shape.kind is Kind.CHAR and shape.is_array:
        return text_of(bytes(value))
    if shape.is_array:
        return str(value)
    if shape.kind is Kind.ENUM and value < len(facts.labels):
        return facts.labels[int(value)]
    if shape.kind in _FRACTIONAL and facts.precision is not None and facts.precision >= 0 and math.isfinite(value):
        return f"{value:.{facts.precision}f}"
    return str(value)


def same(one: Any, other: Any) -> bool:
    """Whether two decoded values are the same; NaN equals NaN, what follows a long string's NUL does not count."""
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        if one.dtype == np.uint8 and other.dtype == np.uint8:
            return one.tobytes().rstrip(b"\0") == other.tobytes().rstrip(b"\0")
        return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return bool(one == other)


def encode_name(name: str) -> bytes:
    """The name of a channel as it is asked for.

    Raises
    ------
    EzcaError
        No channel can have it: a NUL would end it, and another channel would be meant.
    """
    try:
        raw = name.encode()
    except UnicodeEncodeError:
        raw = b""
    if not raw or b"\0" in raw:
        raise EzcaError(f"{name!r:.200} is not a channel name. A name is text, and not empty.")
    return raw


def encode(name: str, value: Any, shape: Shape, labels: Sequence[str] = ()) -> Payload:
    """What to send to write `value` to the channel `name`.

    Raises
    ------
    EzcaError
        The channel cannot hold the value; says what was asked, what the channel is, and what it takes.
    """
    if shape.is_array and isinstance(value, (str, bytes)) and shape.kind is Kind.CHAR:
        return _encode_long_string(name, value, shape)
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (list, tuple, range)):
        items = list(value)
        if not 1 <= len(items) <= shape.length:
            takes = f"1 to {shape.length} values" if shape.is_array else "one value"
            raise EzcaError(f"{name}: {len(items)} values were written, it takes {takes}. Write a matching number.")
    else:
        items = [value]
    if shape.kind is Kind.STRING:
        raw = b"".join(_encode_string(name, item) for item in items)
    else:
        numbers = [_number(name, item, shape.kind, labels) for item in items]
        if shape.kind is Kind.CHAR:
            numbers = [int(number) & 0xFF for number in numbers]
        try:
            raw = struct.pack(f"={len(numbers)}{_FORMATS[shape.kind]}", *numbers)
        except OverflowError:
            raise EzcaError(f"{name}: {_shown(value)} does not fit into a FLOAT. Write up to 3.4e38.") from None
    return Payload(kind=shape.kind, count=len(items), raw=raw)


def _encode_long_string(name: str, value: str | bytes, shape: Shape) -> Payload:
    raw = value if isinstance(value, bytes) else _bytes_of(name, value)
    if len(raw) > shape.length:
        raise EzcaError(
            f"{name}: {_shown(value)} has {len(raw)} bytes, the channel holds {shape.length}. Write a shorter text."
        )
    raw += b"\0" * (len(raw) < shape.length)
    return Payload(kind=Kind.CHAR, count=len(raw), raw=raw)


def _encode_string(name: str, value: Any) -> bytes:
    raw = _bytes_of(name, value if isinstance(value, bytes) else str(value))
    if len(raw) >= STRING_SIZE:
        raise EzcaError(
            f"{name}: {_shown(value)} has {len(raw)} bytes, a CA string holds {STRING_SIZE - 1}. "
            "Write a shorter text, or use the long form of the channel if it has one (NAME.VAL$)."
        )
    return raw.ljust(STRING_SIZE, b"\0")


def _bytes_of(name: str, text: str | bytes) -> bytes:
    """A text that arrives whole: a NUL is its end for whoever reads it."""
    try:
        raw = text if isinstance(text, bytes) else text.encode()
    except UnicodeEncodeError:
        raise EzcaError(
            f"{name}: {_shown(text)}: not all of it is text. Where is it from? A file name may have such bytes."
        ) from None
    if b"\0" in raw.rstrip(b"\0"):
        raise EzcaError(f"{name}: {_shown(text)} has a NUL in it, which would end it there. Write it without.")
    return raw


def _number(name: str, value: Any, kind: Kind, labels: Sequence[str]) -> int | float:
    """One element as the number that is sent."""
    if isinstance(value, bytes):
        value = text_of(value)
    if kind is Kind.ENUM and isinstance(value, str):
        if value in labels:
            return list(labels).index(value)
        if not value.strip().isdecimal():
            known = ", ".join(label for label in labels if label) or "none"
            raise EzcaError(f"{name}: {value!r} is not one of its labels. They are: {known}.")
    try:
        if kind in _FRACTIONAL:
            return float(value)
        number = int(value, 0) if isinstance(value, str) else int(value)
    except (TypeError, ValueError, OverflowError):
        raise EzcaError(f"{name}: {_shown(value)} is not a number, and the channel is a {kind.name}.") from None
    low, high = _RANGES[kind]
    if not low <= number <= high:
        raise EzcaError(f"{name}: {number} does not fit into a {kind.name}. Write a number from {low} to {high}.")
    return number


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
