"""The orders of ``guardutil``, one idea a file. Each file has ``define(order)`` (`guardian.cli.orders`)."""

from __future__ import annotations

from guardian.cli.output import complain

COMMAND = "guardutil"


def say(text: str) -> None:
    """What went wrong, in one line on stderr."""
    complain(COMMAND, text)
