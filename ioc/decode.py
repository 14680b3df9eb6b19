"""From the bytes of a client's write to a plain Python value, or a refusal that says what would be taken.

Nothing is cut, rounded or guessed: a text too long for its PV, 2.7 for a number of whole steps, NaN, two values where
one fits are refused. What the value *means* is not decided here but in the core: the label of an enum goes on as the
text that was written, so that the core's sentence can list the right ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import caproto as ca
from caproto._dbr import native_type

from guardian.core.interface import Kind, Row
from guardian.core.names import STRING_BYTES
from guardian.errors import RefusedError
from ioc.cas.puts import values_of
from ioc.cas.wire import Message

INT_RANGE = range(-(2**31), 2**31)
#: Types that carry no value: they acknowledge alarms, which nodes do not have acknowledged.
_NO_VALUE = (
    ca.ChannelType.PUT_ACKS,
    ca.ChannelType.PUT_ACKT,
    ca.ChannelType.STSACK_STRING,
    ca.ChannelType.CLASS_NAME,
)


def decode(row: Row, message: Message) -> int | float | str:
    """The value in a write, for a PV of this row.

    Raises
    ------
    RefusedError
        The bytes are no value of this row's kind.
    """
    try:
        data_type = ca.ChannelType(message.data_type)
        values = None
        if data_type not in _NO_VALUE:
            _check_count(row, native_type(data_type), message.elements)
            values = values_of(message)
    except RefusedError:
        raise
    except Exception as error:  # numpy and ctypes have many for bytes that do not add up
        raise RefusedError(f"{row.name}: the write cannot be read ({error})") from None
    if values is None:
        raise RefusedError(f"{row.name}: {data_type.name} cannot be written here; write a value")
    sent_as = native_type(data_type)
    if row.kind is Kind.LONG:
        return _text(row, _joined(values, sent_as), row.size)
    if row.kind is Kind.STRING and sent_as is ca.ChannelType.CHAR:
        return _text(row, _joined(values, sent_as), STRING_BYTES)
    if row.kind not in _SCALARS:
        raise RefusedError(f"{row.name}: lists cannot be written")
    if len(values) != 1:
        raise RefusedError(f"{row.name}: {len(values)} values were written; write one")
    one = values[0] if sent_as is ca.ChannelType.STRING else values[0].item()
    return _SCALARS[row.kind](row, one)


def _check_count(row: Row, sent_as: Any, count: int) -> None:
    """Before a value is made of it: caproto makes as many strings as the message claims, though it be 2**31."""
    as_text = row.kind in (Kind.LONG, Kind.STRING) and sent_as is ca.ChannelType.CHAR
    if count != 1 and not as_text:
        raise RefusedError(f"{row.name}: {count} values were written; write one")


def _joined(values: Any, sent_as: Any) -> bytes:
    """Text, from a CHAR array (which may end with NULs) or a string."""
    if sent_as is ca.ChannelType.CHAR:
        return bytes(values.tobytes().rstrip(b"\0"))
    return bytes(values[0]) if sent_as is ca.ChannelType.STRING else str(values[0]).encode()


def _text(row: Row, data: bytes, size: int) -> str:
    if len(data) > size:
        raise RefusedError(f"{row.name}: {data[:60]!r}... has {len(data)} bytes; at most {size} fit")
    if b"\0" in data:
        raise RefusedError(f"{row.name}: {data[:60]!r} has a NUL inside; write text")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise RefusedError(f"{row.name}: {data[:60]!r} is not UTF-8; write plain text") from None


def _string(row: Row, one: Any) -> str:
    return _text(row, one if isinstance(one, bytes) else str(one).encode(), STRING_BYTES)


def _whole(row: Row, one: Any, like: str = "a whole number of 32 bits") -> int:
    """A whole number from a number or from text."""
    shown = _string(row, one).strip() if isinstance(one, bytes) else one
    try:
        number = int(shown)
        if (isinstance(shown, str) or number == shown) and number in INT_RANGE:
            return number
    except (ValueError, OverflowError):  # no number or NaN; infinity
        pass
    raise RefusedError(f"{row.name}: {shown!r} cannot be taken; write {like}")


def _enum(row: Row, one: Any) -> int | str:
    return _string(row, one) if isinstance(one, bytes) else _whole(row, one, " or ".join(row.labels))


def _bool(row: Row, one: Any) -> int:
    if isinstance(one, bytes) and _string(row, one).strip() in row.labels:
        return row.labels.index(_string(row, one).strip())
    like = f"0 or 1 ({' or '.join(row.labels)})"
    number = _whole(row, one, like)
    if number not in range(len(row.labels)):
        raise RefusedError(f"{row.name}: {number} cannot be taken; write {like}")
    return number


def _double(row: Row, one: Any) -> float:
    try:
        number = float(_string(row, one) if isinstance(one, bytes) else one)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise RefusedError(f"{row.name}: {one!r} is no finite number; write one like 1.5")
    return number


_SCALARS: dict[Kind, Callable[[Row, Any], int | float | str]] = {
    Kind.STRING: _string,
    Kind.INT: _whole,
    Kind.ENUM: _enum,
    Kind.BOOL: _bool,
    Kind.DOUBLE: _double,
}
