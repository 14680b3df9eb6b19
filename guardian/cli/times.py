"""The times that people write: ``02:00``, ``2026-11-28 02:00``, ``2h``. And how times are shown to them. Pure.

A time without a zone is UTC, as all that the Guardian shows, or with ``local`` that of this machine.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta, tzinfo

from guardian.cli.output import WrongCall

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_AGO = re.compile(rf"(\d+(?:\.\d+)?)\s*({'|'.join(_UNITS)})")
_CLOCK = re.compile(r"(\d?\d:\d\d(?::\d\d)?)\s*(Z?)")
_EPOCH = re.compile(r"\d{9,10}(?:\.\d+)?")
_DAY = timedelta(days=1)


def span(since: str | None, until: str | None, *, now: float, local: bool) -> tuple[float | None, float | None]:
    """From when to when, in epoch seconds; None: it is open there.

    Raises
    ------
    WrongCall
    """
    zone = None if local else UTC
    begin = None if since is None else moment("--since", since, now, zone)
    end = None if until is None else moment("--until", until, now, zone)
    if begin is not None and end is not None and end < begin:
        assert until is not None
        if _CLOCK.fullmatch(until.strip()):  # the last 02:00 was before the last 23:00: the one after that is meant
            end += _DAY.total_seconds()
        if end < begin:
            raise WrongCall(f"--until {until} is {shown(end, local)}, before --since {since}, {shown(begin, local)}")
    return begin, end


def moment(option: str, text: str, now: float, zone: tzinfo | None = UTC) -> float:
    """The time that an option says, in epoch seconds.

    Raises
    ------
    WrongCall
    """
    text = text.strip()
    if found := _AGO.fullmatch(text):
        return now - float(found[1]) * _UNITS[found[2]]
    if _EPOCH.fullmatch(text):
        return float(text)
    try:
        if clock := _CLOCK.fullmatch(text):
            zone = UTC if clock[2] else zone
            today = datetime.fromtimestamp(now, zone)
            at = datetime.combine(today.date(), time.fromisoformat(clock[1].rjust(len("00:00"), "0")), zone)
            return (at if at.timestamp() <= now else at - _DAY).timestamp()
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=zone)).timestamp()
    except (ValueError, OverflowError, OSError):
        raise WrongCall(
            f"{option} {text!r} is no time; write 02:00, 2026-11-28, '2026-11-28 02:00', or how long ago: 30m, 2h, 1d"
        ) from None


def shown(stamp: float, local: bool) -> str:
    """Epoch seconds for people: ``2026-11-28 03:02:11Z``, or with the offset of this machine from UTC."""
    try:
        if local:
            return datetime.fromtimestamp(stamp).astimezone().isoformat(" ", "seconds")
        return datetime.fromtimestamp(stamp, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"epoch {stamp:g}"
