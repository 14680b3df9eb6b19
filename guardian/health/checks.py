"""What callers say, checked where it comes in: names, periods, policies."""

from __future__ import annotations

import math

from guardian.core.threads import SHORTEST_S
from guardian.enums import Recovery
from guardian.errors import ExosError

#: Bytes of the name of a process, a thread or a pool, as UTF-8.
NAME_BYTES = 64
#: The longest period that is a promise at all: a day, in seconds.
LONGEST_S = 86400.0


def name(given: object, of: str) -> str:
    """A name as it may be shown in one line.

    Parameters
    ----------
    of : "a process", "a thread", "a pool": for the sentence.

    Raises
    ------
    ExosError
        It cannot be used.
    """
    if not isinstance(given, str):
        raise ExosError(f"the name of {of} is a text, found {given!r:.80}")
    if not given.strip():
        raise ExosError(f"{of} needs a name, found {given!r:.80}; give one that says what it does")
    if not given.isprintable():
        raise ExosError(f"the name of {of} stands in one line, found {given!r:.80}; leave out what cannot be printed")
    if len(given.encode()) > NAME_BYTES:
        raise ExosError(f"the name of {of} has at most {NAME_BYTES} bytes, found {given!r:.80}; give a shorter one")
    return given


def period(given: object, of: str) -> float:
    """A period in seconds; `of` as in :func:`name`."""
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not math.isfinite(given):
        raise ExosError(f"the period of {of} is a number of seconds, found {given!r:.80}")
    if not SHORTEST_S <= given <= LONGEST_S:
        raise ExosError(f"the period of {of} is from {SHORTEST_S:g} to {LONGEST_S:g} seconds, found {given!r:.80}")
    return float(given)


def recovery(given: object, of: str) -> Recovery:
    """A policy: a member of Recovery, or its value; `of` as in :func:`name`."""
    try:
        return Recovery(given)
    except ValueError:
        known = ", ".join(f"Recovery.{member.name}" for member in Recovery)
        raise ExosError(f"what is done about {of} that is late is one of {known}; found {given!r:.80}") from None
