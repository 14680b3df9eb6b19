"""Whatever a client may write: what fits, what nearly fits, and bytes of any kind. For property tests."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass

from hypothesis import strategies as st

from guardian.core.interface import BY_NAME
from guardian.core.names import STRING_BYTES
from ioc.cas.packing import LAST_TYPE, PUT_ACKT, SIZES

STRING, SHORT, FLOAT, ENUM, CHAR, LONG, DOUBLE = range(7)
#: Bytes of status, time, units and limits before the values, of each of the types that clients know.
_HEADS = (
    *(0,) * 7, 4, 4, 4, 4, 5, 4, 8, 12, 14, 12, 14, 15, 12, 16, 4, 24, 40, 422, 19, 36, 64, 4, 28, 48, 422, 21, 44, 80,
)  # fmt: skip
_FORMATS = {SHORT: "h", FLOAT: "f", ENUM: "H", CHAR: "B", LONG: "i", DOUBLE: "d"}
WRITABLE = sorted(name for name, row in BY_NAME.items() if row.writable)
READ_ONLY = sorted(name for name, row in BY_NAME.items() if not row.writable)


@dataclass(frozen=True, slots=True)
class Write:
    """One write, as it goes over the wire. `notify`: with callback."""

    row: str
    data_type: int
    count: int
    payload: bytes
    notify: bool = True


def _pack(base: int, values: list[int | float]) -> bytes:
    return struct.pack(f">{len(values)}{_FORMATS[base]}", *values)


_STATES = ["SAFE", "DAMPED", "ALIGNED", "SLOW", "ISLAND", "INIT", "NONE", "NOWHERE"]
_LABELS = ["STOP", "PAUSE", "EXEC", "AUTO", "MANAGED", "MANUAL", "True", "False", "IFO"]
_DIGITS = ["0", "1", "2", "3", "-1", "1e3", "nan", "99999999999"]
WORDS = st.one_of(
    st.sampled_from(_STATES),
    st.sampled_from(_LABELS),
    st.sampled_from(_DIGITS),
    st.just(""),
    st.text(max_size=45),
)
STRINGS = st.one_of(
    WORDS.map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.binary(max_size=60),
    st.just(b"\xff\xfe"),
    st.just(b"S" * (STRING_BYTES + 1)),
)
_KEYS = st.sampled_from(["state", "id", "by", "person", "manager", "reason", "row", "value", "tomorrow"])
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=8,
)
COMMANDS = st.one_of(
    st.fixed_dictionaries({"state": WORDS}, optional={"id": WORDS, "person": WORDS, "manager": WORDS, "by": WORDS}).map(
        json.dumps
    ),
    st.fixed_dictionaries(
        {"row": st.sampled_from([*WRITABLE, "STATE", "?"]), "value": WORDS},
        optional={"person": WORDS, "reason": WORDS, "manager": WORDS},
    ).map(json.dumps),
    st.dictionaries(_KEYS, _JSON, max_size=5).map(json.dumps),
    _JSON.map(json.dumps),
    st.sampled_from(
        ['{"state": "SAFE"', "{", "[" * 900, '{"state": "SAFE", "state": 3}', '{"state": "\\ud800"}', "null"]
    ),
).map(lambda text: text.encode("utf-8", "surrogatepass"))
NUMBERS = st.one_of(
    st.sampled_from([0, 1, 2, 3, 4, -1, -2, 1.5, 255, 32767, -32768, 2**31 - 1, -(2**31)]),
    st.floats(width=32),
    st.integers(-(2**31), 2**31 - 1),
)
_RANGES = {SHORT: 2**16, ENUM: 2**16, CHAR: 2**8, LONG: 2**32}


def _number(base: int, value: float) -> int | float:
    """`value` as a client of C would put it into this type."""
    if base in (FLOAT, DOUBLE):
        return value
    whole = int(value) if value == value and abs(value) < 1e18 else 0
    size = _RANGES[base]
    whole %= size
    return whole - size if base in (SHORT, LONG) and whole >= size // 2 else whole


@st.composite
def numbers(draw: st.DrawFn) -> tuple[int, int, bytes]:
    base = draw(st.sampled_from([SHORT, FLOAT, ENUM, CHAR, LONG, DOUBLE]))
    values = draw(st.one_of(NUMBERS.map(lambda one: [one]), st.lists(NUMBERS, max_size=3)))
    return base, len(values), _pack(base, [_number(base, value) for value in values])


@st.composite
def strings(draw: st.DrawFn) -> tuple[int, int, bytes]:
    texts = draw(st.one_of(STRINGS.map(lambda one: [one]), st.lists(STRINGS, max_size=3)))
    if len(texts) == 1 and draw(st.booleans()):
        return STRING, 1, texts[0]  # a client may send a single one up to its end only
    return STRING, len(texts), b"".join(text[:40].ljust(40, b"\0") for text in texts)


@st.composite
def texts(draw: st.DrawFn) -> tuple[int, int, bytes]:
    text = draw(st.one_of(COMMANDS, STRINGS, st.binary(max_size=2000))) + draw(st.sampled_from([b"", b"\0", b"\0" * 9]))
    return CHAR, len(text), text


@st.composite
def values(draw: st.DrawFn) -> tuple[int, int, bytes]:
    """Of any type, with or without what clients may send before the values; huge, empty, or less than announced."""
    base, count, payload = draw(st.one_of(numbers(), strings(), texts()))
    kind = draw(st.sampled_from([0, 0, 0, 0, 7, 14, 21, 28]))
    payload = bytes(_HEADS[base + kind]) + payload if kind else payload
    lie = draw(st.sampled_from(["", "", "", "", "more", "none", "huge", "cut"]))
    if lie == "more":
        count = draw(st.sampled_from([count + 1, 1000, 2**16, 2**31, 2**32 - 1]))
    elif lie == "none":
        count = 0
    elif lie == "huge":
        size = SIZES[base]
        count = draw(st.integers(1000, 20_000))
        payload = (
            bytes(_HEADS[base + kind] if kind else 0) + draw(st.sampled_from([b"\0", b"A", b"\xff"])) * count * size
        )
    elif lie == "cut":
        payload = payload[: draw(st.integers(0, len(payload)))]
    return base + kind, count, payload


@st.composite
def writes(draw: st.DrawFn) -> Write:
    row = draw(st.one_of(st.sampled_from(WRITABLE), st.sampled_from(WRITABLE), st.sampled_from(sorted(BY_NAME))))
    if draw(st.integers(0, 9)):
        data_type, count, payload = draw(COMMAND_WRITES if row.endswith("_CMD") and draw(st.booleans()) else values())
    else:
        data_type = draw(st.one_of(st.integers(0, LAST_TYPE), st.integers(PUT_ACKT, LAST_TYPE + 8), st.just(65535)))
        count, payload = draw(st.sampled_from([0, 1, 2, 40, 2**31])), draw(st.binary(max_size=200))
    return Write(row, data_type, count, payload, draw(st.booleans()))


COMMAND_WRITES = COMMANDS.map(lambda text: (CHAR, len(text), text))
