"""Set points: what user code has written to channels, and whether it is still there. Pure.

A :class:`Setpoint` is remembered for each channel that was written, the last one counts. It outlives the worker that
wrote it: the host keeps it and gives it to the next one.

What counts as a change
-----------------------
* A number is the same if it differs by no more than a part in 10^12, the last bits of a double, which a record may lose
  when it computes with it. Around 0 there are no last bits: where one of the two is 0, 1e-15 is nothing.
* It is also the same if it is what single precision makes of the set point: hardware, and FLOAT channels, have 24 bits.
* Integers, enums, texts: exactly. NaN is NaN. Of an enum the number counts, so label and number are the same.
* An array is the same if it begins with what was set: a server may show all that it has room for.
* With a mask only those bits of an integer count.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

#: Set points of one node; what is written to further channels is not remembered.
MOST = 2000
#: Of a value, as JSON, and of a name: what is longer is not remembered. So all of it fits into the settings file of a
#: node, and into one message to a worker.
MOST_BYTES = 1000
NAME_LENGTH = 200
#: Code that writes the same value in every cycle has not set it anew each time.
AGAIN_S = 60.0
#: Channels that are only ever pulsed: what is written there does not stay.
MOMENTARY = ("_RSET", "_LOAD_MATRIX")
#: PVs of nodes are asked for something, and not set: REQUEST is everybody's, LOAD and REENTER fall back.
_NODES = ":GRD-"
#: How many differences are told, of any number, and how many of them as notifications.
MOST_TOLD = 300
MOST_NOTICES = 5
#: The tolerance: relative, and where one of the two is 0.
LAST_BITS = 1e-12
NOTHING = 1e-15
#: What is shown of a text or an array.
SHOWN = 60
#: In the place of a value of a channel that does not answer.
DEAD = "DEAD"

Value = Any  #: int, float, str, or a list of these
Shown = int | float | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Setpoint:
    """What a channel was set to.

    Parameters
    ----------
    channel : its full name. name : what code calls it.
    value : JSON; NaN and Infinity are numbers, as for Python.
    label : of an enum, the label of that number; "" if there is none.
    mask : the bits of an integer that count; 0: no mask, all of it counts.
    at : epoch seconds when it was set.
    since : epoch seconds when it was first seen to be otherwise, 0 if it is not.
    module : the module's variable ca_channels says so, and no code has written it.
    """

    channel: str
    name: str
    value: str
    label: str = ""
    mask: int = 0
    at: float = 0.0
    since: float = 0.0
    module: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A channel that is not as it was set. ``now`` is DEAD for one that does not answer."""

    channel: str
    set: Shown
    now: Shown
    at: float
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One item of the module's ca_channels. ``value`` : JSON, "" for the value that the channel has."""

    name: str
    value: str = ""


def packed(value: Value) -> str:
    """A value as it is kept."""
    return json.dumps(value, separators=(",", ":"))


def unpacked(text: str) -> Value:
    """:func:`packed` backwards.

    Raises
    ------
    ValueError
    """
    return json.loads(text)


def is_setting(channel: str) -> bool:
    """Whether what is written to a channel is meant to stay."""
    return not channel.endswith(MOMENTARY) and _NODES not in f":{channel}"


def why_too_long(value: Value) -> str:
    """Why a value is not remembered, "" if it is."""
    size = len(packed(value))
    return "" if size <= MOST_BYTES else f"{size} bytes as JSON, and {MOST_BYTES} are remembered"


def same(expected: Value, found: Value, *, mask: int = 0) -> bool:
    """Whether a channel that was set to `expected` and is `found` is as it was set."""
    if mask and isinstance(expected, int) and isinstance(found, (int, float)) and math.isfinite(found):
        return not (expected ^ int(found)) & mask  # some front ends show such a word as a float
    if isinstance(expected, list) or isinstance(found, list):
        wanted = expected if isinstance(expected, list) else [expected]
        there = found if isinstance(found, list) else [found]
        return len(there) >= len(wanted) and all(map(same, wanted, there))
    if isinstance(expected, str) or isinstance(found, str):
        return bool(expected == found)
    return _same_number(expected, found)


def _same_number(expected: float, found: float) -> bool:
    if expected == found:
        return True
    if isinstance(expected, int) and isinstance(found, int):
        return False
    if not (math.isfinite(expected) and math.isfinite(found)):
        return math.isnan(expected) and math.isnan(found)
    if expected == 0 or found == 0:
        return abs(expected - found) <= NOTHING
    if abs(expected - found) <= LAST_BITS * max(abs(expected), abs(found)):
        return True
    return found == _single(expected)


def _single(value: float) -> float:
    try:
        return float(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return math.nan


def is_again(known: Setpoint | None, point: Setpoint) -> bool:
    """Whether a channel is being set to what it was set to a moment ago."""
    if known is None or known.module or not 0 <= point.at - known.at < AGAIN_S:
        return False
    return (known.value, known.mask, known.name) == (point.value, point.mask, point.name)


def shown(value: Value, label: str = "") -> Shown:
    """A value for people and for JSON of any program: no array, no NaN, nothing long."""
    if label:
        return label
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, list):
        text = "[" + ", ".join(str(item) for item in value[:SHOWN]) + "]"
        if len(value) > SHOWN or len(text) > SHOWN:
            text = f"{text[: SHOWN - 4].rpartition(', ')[0]}, ...] ({len(value)} elements)"
        return text
    if isinstance(value, str):
        return value if len(value) <= SHOWN else value[: SHOWN - 3] + "..."
    return int(value) if isinstance(value, bool) else value


def shown_of(point: Setpoint) -> Shown:
    """What a channel was set to; a text that is no JSON as it is."""
    try:
        value = unpacked(point.value)
    except ValueError:
        value = point.value
    if point.mask and isinstance(value, int) and not point.label:
        return f"{value:#x} of {point.mask:#x}"
    return shown(value, point.label)


def notices(differences: Iterable[Difference], count: int) -> tuple[str, ...]:
    """What the operator is told of them: a sentence for each of the first ones, and one for the rest.

    Parameters
    ----------
    count : how many there are, told or not.
    """
    first = list(differences)[:MOST_NOTICES]
    texts = [_notice(one) for one in first]
    if count > len(first):
        texts.append(f"{count - len(first)} more channels are not as they were set; see SPM_DIFFS")
    return tuple(texts)


def _notice(one: Difference) -> str:
    since = datetime.fromtimestamp(one.since, UTC).strftime("%H:%M:%SZ")
    found = "does not answer" if one.now == DEAD else f"is {words(one.now)}"
    return f"{one.channel} {found}, set to {words(one.set)} (since {since})"


def words(value: Shown) -> str:
    """A value in a sentence or a table: 3, not 3.0."""
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else str(value)
