"""The parameters of a request for records, read once: times, names, numbers. What cannot be is answered with 400."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from starlette.requests import Request

from guardian.client.records.within import Before
from guardian.console.problem import ProblemError
from guardian.errors import ExpectedError

#: Names in one request; characters of a text.
MOST_NAMES, MOST_TEXT = 500, 300
_NAME = re.compile(r"[\w*?\[\]!-]{1,60}", re.ASCII)


def names(request: Request, key: str) -> tuple[str, ...]:
    """``node=A&node=B``, or ``node=A,B``; patterns, too."""
    found = [one for text in request.query_params.getlist(key) for one in re.split(r"[,\s]+", text) if one]
    if bad := next((one for one in found if not _NAME.fullmatch(one)), None):
        raise ProblemError(400, f"{key}={bad[:80]!r} is no name, and no pattern such as SUS_*")
    if len(found) > MOST_NAMES:
        raise ProblemError(400, f"{len(found)} names for {key}; give {MOST_NAMES} at most, or a pattern such as SUS_*")
    return tuple(dict.fromkeys(found))


def exact(found: Sequence[str]) -> list[str]:
    """Those that are names, not patterns."""
    return [name for name in found if not any(letter in name for letter in "*?[")]


def moment(request: Request, key: str) -> float | None:
    """Epoch seconds; what has no zone is UTC. None: nothing was said."""
    text = request.query_params.get(key, "").strip()
    if not text:
        return None
    try:
        try:
            stamp = float(text)
        except ValueError:
            at = datetime.fromisoformat(text)
            stamp = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
        datetime.fromtimestamp(stamp, UTC)
    except (ValueError, OverflowError, OSError):
        raise ProblemError(
            400, f"{key}={text[:80]!r} is no time; give epoch seconds, or a date as 2026-11-28T02:00 (UTC)"
        ) from None
    return stamp


def span(request: Request) -> tuple[float | None, float | None]:
    """``since`` and ``until``."""
    since, until = moment(request, "since"), moment(request, "until")
    if since is not None and until is not None and until <= since:
        raise ProblemError(400, "until is not later than since; exchange the two")
    return since, until


def before(request: Request) -> Before | None:
    """Where the answer before ended."""
    text = request.query_params.get("before", "")
    try:
        return Before.parse(text) if text else None
    except ExpectedError as error:
        raise ProblemError(400, str(error)) from None


def number(request: Request, key: str, *, usual: int, most: int) -> int:
    """From 1 to `most`."""
    text = request.query_params.get(key, str(usual))
    if not text.isascii() or not text.isdecimal() or len(text) > 9 or not 1 <= int(text) <= most:
        raise ProblemError(400, f"{key}={text[:80]!r}; give a number from 1 to {most}")
    return int(text)


def text(request: Request, key: str) -> str:
    """A short text."""
    found = request.query_params.get(key, "")
    if len(found) > MOST_TEXT:
        raise ProblemError(400, f"{key} has {len(found)} characters; give {MOST_TEXT} at most")
    return found


def choice(request: Request, key: str, usual: str, among: Sequence[str]) -> str:
    """One of some words."""
    found = request.query_params.get(key, "").upper() or usual
    if found not in among:
        raise ProblemError(400, f"{key}={found[:80]!r}; it is one of {', '.join(among)}")
    return found
