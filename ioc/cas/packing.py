"""A value as the bytes of a message, packed once for all who asked for it in the same way.

caproto converts each value to a ctypes structure and an array (17 us), makes a message of them for each subscriber
(another 23 us) and joins its parts. What is asked for again and again is a scalar with its alarm and its time, and that
is one call of :mod:`struct`. Units, limits and labels are filled in by caproto.

Conversions are those of a C IOC (``dbFastLinkConv.c``, ``dbConvert.c`` of EPICS base), which differ from caproto's:

* a number read as text has the digits of the PV's precision, an enum its label (or its number where it has none);
* a text read as a number is the number it spells, or cannot be had; as an enum it cannot be had;
* a number that is too large for the type that was asked for is what a C cast makes of it, rather than an error;
* who asks for more elements than there are gets zeros behind them.

Layouts: ``db_access.h`` of EPICS base; the ``dbr_sts_*`` and ``dbr_time_*`` structures with their padding.
"""

from __future__ import annotations

import ctypes
import math
import struct
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, TypeVar

import caproto as ca
import numpy as np

from ioc.cas.wire import padded

T = TypeVar("T")
TYPES = ca.ChannelType

STRING_BYTES = 40
#: Bytes of an element, by native type (DBR_STRING .. DBR_DOUBLE).
SIZES = (40, 2, 4, 2, 1, 4, 8)
_DTYPES = (None, ">i2", ">f4", ">u2", "u1", ">i4", ">f8")
_FORMATS = ("40s", "h", "f", "H", "B", "i", "d")
_STS_PADDING = ("", "", "", "", "x", "", "4x")
_TIME_PADDING = ("", "2x", "", "2x", "3x", "", "4x")
_STRING, _INT, _FLOAT, _ENUM, _CHAR, _LONG, _DOUBLE = range(7)
#: From here on: with status; with time; with units and limits; with control limits.
STS, _TIME, _GR, _CTRL = 7, 14, 21, 28
PUT_ACKT, STSACK_STRING, _CLASS_NAME = 35, 37, 38
LAST_TYPE = _CLASS_NAME

_heads = {STS + n: struct.Struct(f">hh{pad}") for n, pad in enumerate(_STS_PADDING)} | {
    _TIME + n: struct.Struct(f">hhII{pad}") for n, pad in enumerate(_TIME_PADDING)
}
_stsack = struct.Struct(">hhHH")
_elements = tuple(struct.Struct(f">{letter}") for letter in _FORMATS)


class Packed(NamedTuple):
    """A payload, padded, and how many elements it has."""

    payload: bytes
    elements: int


def run_now(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nothing; caproto has many of them.

    Raises
    ------
    RuntimeError : it does wait.
    """
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    coroutine.close()
    raise RuntimeError(f"{coroutine} was to end at once, but waits; please report it with the version of caproto")


def known_type(data_type: int) -> bool:
    """Whether values can be asked for as this type."""
    return 0 <= data_type < PUT_ACKT or data_type in (STSACK_STRING, _CLASS_NAME)


def base_type(data_type: int) -> int:
    """DBR_STRING .. DBR_DOUBLE: what the elements of this type are."""
    return data_type % 7 if data_type < PUT_ACKT else _STRING


def pack(
    data: ca.ChannelData,
    data_type: int,
    count: int = 0,
    *,
    long_string: bool = False,
    part: slice | None = None,
    stamp: ca.TimeStamp | None = None,
) -> Packed:
    """The present value of a channel as a payload.

    Parameters
    ----------
    data : the channel. data_type : DBR type, 0 to 38. count : elements; 0: as many as there are.
    long_string : the channel was asked for as ``NAME.$``, so a string is an array of characters that ends with a NUL.
    part : of the elements, None: all. stamp : instead of the channel's own.

    Raises
    ------
    Exception : the value cannot be had in this type; of many kinds.
    """
    if data_type == _CLASS_NAME:
        kind = data.reported_record_type  # a name; where a PV has the fields of a record, their class
        return Packed(_cut(_encoded(kind if isinstance(kind, str) else kind._record_type, data)), 1)
    base = base_type(data_type)
    elements, here = _elements_of(data, base, long_string)
    size = SIZES[base]
    if part is not None:
        elements = np.frombuffer(elements, f"V{size}")[part].tobytes()
        here = len(elements) // size
    if count and count != here:
        elements = elements[: count * size].ljust(count * size, b"\0")
        if long_string and base == _CHAR:
            elements = elements[:-1] + b"\0"
        here = count
    return Packed(padded(_head(data, data_type, stamp or data._data["timestamp"]) + elements), here)


def failed(data_type: int, count: int) -> Packed:
    """What is sent with the error where the value cannot be had: so many zeros, as a C IOC does."""
    size = ctypes.sizeof(ca.DBR_TYPES[TYPES(data_type)]) if data_type >= STS else 0
    if data_type < PUT_ACKT:
        size += count * SIZES[base_type(data_type)]
    return Packed(padded(bytes(size)), count)


# -- the head: alarm, time, limits -------------------------------------------------------------------------------------


def _head(data: Any, data_type: int, stamp: Any) -> bytes:
    if data_type < STS:
        return b""
    alarm = data.alarm._data
    if data_type < _TIME or data_type in (_GR + _STRING, _CTRL + _STRING):
        return _heads[STS + base_type(data_type)].pack(alarm["status"], alarm["severity"])
    if data_type < _GR:
        return _heads[data_type].pack(alarm["status"], alarm["severity"], stamp.secondsSinceEpoch, stamp.nanoSeconds)
    if data_type == STSACK_STRING:
        transient, acknowledge = alarm["must_acknowledge_transient"], alarm["severity_to_acknowledge"]
        return _stsack.pack(alarm["status"], alarm["severity"], transient, acknowledge)
    metadata = ca.DBR_TYPES[TYPES(data_type)]()
    data._read_metadata(metadata)
    metadata.status, metadata.severity = alarm["status"], alarm["severity"]
    return bytes(metadata)


# -- the elements ------------------------------------------------------------------------------------------------------


def _elements_of(data: Any, base: int, long_string: bool) -> tuple[bytes, int]:
    value, have = data._data["value"], int(data.data_type)
    if long_string and have == _STRING and base == _CHAR:
        text = _encoded(value[0] if isinstance(value, list | tuple) else value, data)
        return text + b"\0", len(text) + 1
    return _FROM[have](data, value, base)


def _from_number(data: Any, value: Any, base: int) -> tuple[bytes, int]:
    if isinstance(value, int | float):  # the case that matters
        if base == _STRING:
            return _text_of(data, value), 1
        try:
            return _elements[base].pack(value), 1
        except (struct.error, OverflowError):
            pass  # beyond the type that was asked for
        value = (value,)
    values = value if hasattr(value, "__len__") else (value,)
    if base == _STRING:
        return b"".join(_text_of(data, one) for one in values), len(values)
    with np.errstate(all="ignore"):
        whole = np.asarray(values)
        if whole.dtype.kind == "f" and base in (_INT, _ENUM, _CHAR, _LONG):
            # As C does on x86: through 32 bits, of which the lower ones are taken; what does not fit is INT_MIN.
            fits = (whole > -(2.0**31) - 1) & (whole < 2.0**31)
            whole = np.where(fits, whole, -(2.0**31)).astype(np.int64)
        return whole.astype(_DTYPES[base]).tobytes(), len(values)


def _from_enum(data: Any, value: Any, base: int) -> tuple[bytes, int]:
    labels = data._data["enum_strings"]
    if isinstance(value, list | tuple):  # arrays of enums are not a thing; of one, it is that one
        value = value[0]
    number = labels.index(value) if value in labels else int(value)
    if base == _STRING:
        text = labels[number] if 0 <= number < len(labels) else str(number)
        return _cut(text.encode(data.string_encoding)), 1
    return _elements[base].pack(number), 1


def _from_string(data: Any, value: Any, base: int) -> tuple[bytes, int]:
    values = value if isinstance(value, list | tuple) else (value,)
    if base == _STRING:
        return b"".join(_cut(_encoded(one, data)) for one in values), len(values)
    if base == _ENUM and data.max_length == 1:
        raise ValueError("a text is no enum")  # those of an array that spell numbers are
    numbers = [_number_in(_encoded(one, data)) for one in values]
    return _from_number(data, numbers if len(numbers) != 1 else numbers[0], base)


def _from_char(data: Any, value: Any, base: int) -> tuple[bytes, int]:
    if isinstance(value, np.ndarray):
        raw = value.tobytes()
    elif isinstance(value, str):
        raw = _encoded(value, data)
    elif isinstance(value, int):
        raw = bytes((value & 0xFF,))
    else:
        raw = bytes(value)
    if base == _CHAR:
        return raw, len(raw)
    if base == _STRING:
        if isinstance(data, ca.ChannelChar):  # a text that is kept as characters
            return _cut(raw.split(b"\0", 1)[0]), 1
        return b"".join(_cut(str(one).encode()) for one in raw), len(raw)
    return np.frombuffer(raw, np.uint8).astype(_DTYPES[base]).tobytes(), len(raw)


_FROM: dict[int, Callable[[Any, Any, int], tuple[bytes, int]]] = {
    _STRING: _from_string,
    _INT: _from_number,
    _FLOAT: _from_number,
    _ENUM: _from_enum,
    _CHAR: _from_char,
    _LONG: _from_number,
    _DOUBLE: _from_number,
}


def _cut(text: bytes) -> bytes:
    return text[: STRING_BYTES - 1].ljust(STRING_BYTES, b"\0")


def _encoded(text: Any, data: Any) -> bytes:
    if isinstance(text, bytes):
        return text
    return str(text).encode(data.string_encoding or "latin-1", "replace")


def _number_in(text: bytes) -> float | int:
    """The number that a text spells; an empty text is 0."""
    word = text.strip()
    if not word:
        return 0
    try:
        return int(word, 0) if word.lower().startswith((b"0x", b"-0x")) else int(word)
    except ValueError:
        return float(word)


def _text_of(data: Any, number: Any) -> bytes:
    """A number as text, with the PV's precision."""
    precision = max(0, int(data._data.get("precision", 0)))
    if int(data.data_type) == _DOUBLE:
        return _cut(_decimal(float(number), precision, _DOUBLES).encode())
    if int(data.data_type) == _FLOAT:
        return _cut(_decimal(float(np.float32(number)), precision, _FLOATS).encode())
    return _cut(str(int(number)).encode())


class _Digits(NamedTuple):
    """How EPICS base writes a kind of number."""

    most: int  # digits of an exponential
    wide: int  # characters of one beside its digits
    huge: float  # from where on there is an exponent


_DOUBLES = _Digits(17, 7, 1e16)
_FLOATS = _Digits(12, 6, 1e8)


def _decimal(number: float, precision: int, digits: _Digits) -> str:
    """As ``cvtDoubleToString`` and ``cvtFloatToString`` of EPICS base (cvtFast.c), to the character."""
    size = abs(number)
    if precision > 8 or not size <= 1e7:
        if precision > 8 or size > digits.huge or (size == digits.huge and digits is _FLOATS):
            precision = min(precision, digits.most)
            text = f"{number:{precision + digits.wide}.{precision}e}"
        else:
            text = f"{number:.{min(precision, 3)}f}"
        # C shows the sign of what is no number, too
        return "-nan".rjust(len(text)) if math.isnan(number) and math.copysign(1, number) < 0 else text
    scale, whole = 10**precision, int(size)
    if digits is _FLOATS:
        rest = float(np.float32(size - whole) * np.float32(scale) * np.float32(10))
    else:
        rest = (size - whole) * scale * 10
    fraction = (int(rest) + 5) // 10  # halves go up, where Python's go to the even digit
    if fraction >= scale:
        whole, fraction = whole + 1, fraction - scale
    sign = "-" if number < 0 else ""
    return f"{sign}{whole}.{fraction:0{precision}}" if precision else f"{sign}{whole}"
