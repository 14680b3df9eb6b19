"""Times in sentences for people."""

from __future__ import annotations

from datetime import UTC, datetime


def utc(stamp: float) -> str:
    """`stamp` (epoch seconds): ``2016-08-23 08:13:17Z``."""
    try:
        return datetime.fromtimestamp(stamp, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return f"epoch {stamp:g}"


def clock(epoch: float) -> str:
    """Time of day in UTC, as logs show it."""
    return f"{datetime.fromtimestamp(epoch, UTC):%H:%M:%S}Z"


def span(seconds: float) -> str:
    """So many seconds, as exact as it matters: ``3.5 h``."""
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            count = seconds / size
            return (f"{count:.3g}" if count < 1000 else f"{count:.0f}") + f" {unit}"
    return f"{seconds:.3g} s"
