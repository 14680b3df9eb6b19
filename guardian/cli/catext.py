"""Values of Channel Access as words: what a person types into ``caput``, and what the three tools print.

Going in, a word that cannot be is refused here, with what would be possible: an enum label that does not exist, a text
that is too long (EPICS cuts it silently), an integer that does not fit (it would wrap). Coming out, the format is that
of EPICS base: the name padded to 30 unless an array follows, ``%g`` for floating point, arrays headed by their length.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from guardian.client.ca import CHAR, DOUBLE, ENUM, FLOAT, INT, LONG, STRING, TYPE_NAMES, Channel, Reading
from guardian.errors import ExpectedError

_SEVERITIES = ("NO_ALARM", "MINOR", "MAJOR", "INVALID")
_RANGES = {INT: (-(2**15), 2**15 - 1), ENUM: (0, 2**16 - 1), CHAR: (-(2**7), 2**8 - 1), LONG: (-(2**31), 2**31 - 1)}
# fmt: off
_STATUSES = (
    "NO_ALARM", "READ", "WRITE", "HIHI", "HIGH", "LOLO", "LOW", "STATE", "COS", "COMM", "TIMEOUT", "HWLIMIT", "CALC",
    "SCAN", "LINK", "SOFT", "BAD_SUB", "UDF", "DISABLE", "SIMM", "READ_ACCESS", "WRITE_ACCESS",
)
# fmt: on


class WrongCall(Exception):
    """The command line cannot be understood: exit code 2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line asked for; the letters are in the usage texts of the tools."""

    timeout_s: float
    numbers: bool = False
    text: bool = False
    count: int = 0
    separator: str = " "
    float_format: str = "%g"
    terse: bool = False
    wide: bool = False
    array: bool = False
    as_string: bool = False
    callback: bool = False
    json: bool = False


# -- values in --------------------------------------------------------------------------------------------------------


def encode(channel: Channel, options: Options, words: list[str]) -> tuple[int, list[Any]]:
    """The words of the command line as the type that goes over the wire; raises ExpectedError for what cannot be."""
    kind, room, name = channel.kind, channel.count, channel.name
    if options.text and kind == CHAR and room > 1:
        data = " ".join(words).encode()
        if len(data) > room:
            raise ExpectedError(f"{name}: a text of {len(data)} bytes; it holds {room}")
        return CHAR, list(data) + ([0] if len(data) < room else [])
    if options.array:
        if not words[0].isdecimal() or int(words[0]) != len(words) - 1:
            raise WrongCall(f"{words[0]} values announced, {len(words) - 1} given; give: -a NAME COUNT VALUE...")
        words = words[1:]
    elif len(words) > 1:
        raise WrongCall(f"{len(words)} values; for an array use -a, quote a text with spaces, put options before NAME")
    if len(words) > room:
        raise ExpectedError(f"{name}: {len(words)} values; it holds {room}")
    if kind == STRING or (options.as_string and not options.numbers and kind != CHAR):
        return STRING, [_as_ca_string(name, word) for word in words]
    if kind == ENUM and not options.numbers:
        return _encode_enum(channel, options, words)
    try:
        return kind, [_number(kind, word) for word in words]
    except ValueError as error:
        hint = " (for text in a CHAR array use -S)" if kind == CHAR and room > 1 else ""
        raise ExpectedError(f"{name}: {error}{hint}") from None


def _encode_enum(channel: Channel, options: Options, words: list[str]) -> tuple[int, list[Any]]:
    labels = channel.details(options.timeout_s)["labels"]
    if all(word in labels for word in words):
        return ENUM, [labels.index(word) for word in words]
    if all(word.isdecimal() and int(word) < max(16, len(labels)) for word in words):
        return ENUM, [int(word) for word in words]
    if len(labels) < 16:
        unknown = next(word for word in words if word not in labels)
        raise ExpectedError(
            f"{channel.name}: {unknown!r} is none of its labels: {', '.join(labels) or '(it has none)'}"
        )
    return STRING, [
        _as_ca_string(channel.name, word) for word in words
    ]  # a menu longer than CA can list: ask the server


def _as_ca_string(name: str, word: str) -> bytes:
    data = word.encode()
    if len(data) > 39:
        raise ExpectedError(f"{name}: {word!r} has {len(data)} bytes; a CA string holds 39")
    return data


def _number(kind: int, word: str) -> int | float:
    if kind in (FLOAT, DOUBLE):
        try:
            return float(word)
        except ValueError:
            raise ValueError(f"{word!r} is not a number") from None
    try:
        value = int(word, 0)
    except ValueError:
        try:
            value = int(word, 10)  # 007
        except ValueError:
            raise ValueError(f"{word!r} is not an integer") from None
    low, high = _RANGES[kind]
    if not low <= value <= high:
        raise ValueError(f"{value} does not fit; it takes {low} to {high}")
    return value


def arrived(values: list[Any], words: list[str], after: Reading) -> bool:
    """Whether what was read back is what was written; if not, nothing need be wrong (limits, momentary PVs)."""
    if after.kind == CHAR:
        return bytes(v & 0xFF for v in values).rstrip(b"\0") == bytes(v & 0xFF for v in after.values).rstrip(b"\0")
    if after.kind == STRING:  # also the label of an enum
        return list(after.values) == words
    return len(values) == len(after.values) and all(map(_close, values, after.values))


def _close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-6) or (math.isnan(one) and math.isnan(other))


# -- values out -------------------------------------------------------------------------------------------------------


def kind_to_ask(channel: Channel, options: Options) -> int | None:
    """The type to ask for: labels of enums and ``-s`` are put into text by the server."""
    if not channel.connected:
        return None
    kind = channel.kind
    if (kind == ENUM and not options.numbers) or (options.as_string and kind not in (ENUM, CHAR)):
        return STRING
    return kind


def whole_line(channel: Channel, reading: Reading, options: Options, *, wide: bool) -> str:
    if options.json:
        return json.dumps(_facts(channel, reading, options))
    if options.terse and not wide:
        return value_text(channel, reading, options)
    if not wide:
        return named_line(channel, reading, options)
    separator = options.separator
    alarm = separator  # EPICS prints both separators when there is no alarm
    if reading.status or reading.severity:
        alarm = _lookup(_STATUSES, reading.status) + separator + _lookup(_SEVERITIES, reading.severity)
    return separator.join(
        (padded(channel.name, channel.count, options) + _stamp(reading), value_text(channel, reading, options), alarm)
    )


def named_line(channel: Channel, reading: Reading, options: Options) -> str:
    return padded(channel.name, channel.count, options) + value_text(channel, reading, options)


def padded(name: str, count: int, options: Options) -> str:
    """The name and its separator; padded as in EPICS, so that scalars stand in columns."""
    wide = f"{name:<30}" if count <= 1 and options.separator == " " else name
    return wide + options.separator


def value_text(channel: Channel, reading: Reading, options: Options) -> str:
    if options.text and reading.kind == CHAR and channel.count > 1:
        return reading.text()
    if reading.kind in (FLOAT, DOUBLE):
        words = [_float(value, options.float_format) for value in reading.values]
    else:
        words = [str(value) for value in reading.values]
    if channel.count > 1 or options.count:
        words.insert(0, str(len(words)))
    return options.separator.join(words)


def _float(value: float, form: str) -> str:
    return form % value if math.isfinite(value) else str(value)


def _stamp(reading: Reading) -> str:
    if not reading.stamp_utc:
        return "<undefined>"
    when = datetime.fromtimestamp(int(reading.stamp_utc))  # local time, as in EPICS
    return f"{when:%Y-%m-%d %H:%M:%S}.{reading.nanoseconds // 1000:06d}"


def _facts(channel: Channel, reading: Reading, options: Options) -> dict[str, Any]:
    values: list[Any] = [None if isinstance(v, float) and not math.isfinite(v) else v for v in reading.values]
    value: Any = values if channel.count > 1 else (values[0] if values else None)
    if options.text and reading.kind == CHAR and channel.count > 1:
        value = reading.text()
    return {
        "name": channel.name,
        "value": value,
        "type": TYPE_NAMES[channel.kind],
        "stamp_utc": reading.stamp_utc or None,
        "status": _lookup(_STATUSES, reading.status),
        "severity": _lookup(_SEVERITIES, reading.severity),
    }


def _lookup(names: Sequence[str], index: int) -> str:
    return names[index] if 0 <= index < len(names) else str(index)
