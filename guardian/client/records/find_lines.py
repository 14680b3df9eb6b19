"""What nodes and their code have said, the newest first, within bounds: lines of logs that are asked for.

A regular expression can take for ever, and Python cannot be interrupted while it looks for one. So those of other
people are looked for in a process of its own (:func:`find_apart`), which can be ended: this file, as a program.
"""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from guardian.client.records.linefile import BLOCK, is_mark
from guardian.client.records.lines import Line, Reading, epoch_of, newest, parts, wanted_lines
from guardian.client.records.logfiles import Place
from guardian.client.records.within import Before, Bound, Page, page
from guardian.enums import LogLevel
from guardian.errors import ExpectedError
from guardian.host.logfolder import SLACK_S
from guardian.host.places import LOGS

#: Lines that are held, beyond those of a page, to put in order those that came a little out of it.
_DISORDER = 5000
#: Between two looks whether the process has ended, or has to; and what it may take to start, in seconds.
_LOOK_S, _START_S = 0.1, 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LinesAsked:
    """Which lines are wanted.

    Parameters
    ----------
    nodes : names or patterns. level : and what is worse. text : is in the line, in any case (ABC, abc).
    regex : `text` is a regular expression. since, until : epoch seconds. before : older than that place.
    """

    nodes: tuple[str, ...] = ("*",)
    level: str = LogLevel.DEBUG.name
    text: str = ""
    regex: bool = False
    since: float | None = None
    until: float | None = None
    before: Before | None = None
    most: int = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """The next page. ``nodes``: those of which there is a log at all; ``said``: what could not be read."""

    page: Page[dict[str, Any]]
    nodes: list[str]
    said: list[str]


def find_lines(folders: Sequence[Path], asked: LinesAsked, bound: Bound) -> Lines:
    """The next page of them.

    Parameters
    ----------
    folders : state directories of hosts.

    Raises
    ------
    ExpectedError
        There is no such regular expression.
    """
    said: list[str] = []
    until, before = asked.until, asked.before
    if before is not None:
        until = before.stamp if until is None else min(until, before.stamp)
    reading: list[Reading] = []
    nodes: set[str] = set()
    for folder in folders:
        place = Place(folder=folder / LOGS)
        try:
            files = place.files(asked.nodes) if (folder / LOGS).is_dir() else {}
        except ExpectedError as error:
            said.append(str(error))
            continue
        nodes |= set(files)
        wanted = _wanted(place, asked, until)
        reading += [(found, wanted) for found in files.values()]

    def fault(error: OSError) -> None:
        said.append(f"{error.filename or 'a file'}: {error.strerror}; it is read as far as it can be")

    most = asked.most + (before.skip if before is not None else 0)
    found, reached = _gather(reading, fault, most, bound, until)
    part = page(found, _stamp, most=asked.most, before=before, reached=reached)
    told = [asdict(line) for line in part.found]
    return Lines(page=Page(found=told, before=part.before), nodes=sorted(nodes), said=said)


def _wanted(place: Place, asked: LinesAsked, until: float | None) -> Any:
    grep = (asked.text if asked.regex else re.escape(asked.text)) if asked.text else None
    try:
        return wanted_lines(
            place,
            asked.nodes,
            since=asked.since,
            until=until,
            level=LogLevel[asked.level],
            grep=grep,
            any_case=not asked.regex,
            marks=True,
        )
    except (re.error, RecursionError, OverflowError) as error:
        raise ExpectedError(f"{asked.text!r} is no regular expression: {error}") from None


def _gather(
    reading: Sequence[Reading], fault: Callable[[OSError], None], most: int, bound: Bound, until: float | None
) -> tuple[list[Line], float | None]:
    """One line more than so many, sorted, the newest first; and what is older was not looked at (None: all was).

    Lines stand in a file up to :data:`SLACK_S` out of order. So it is read so much further.
    """
    found: list[Line] = []
    reached: float | None = None
    enough = float("-inf")
    for line in newest(reading, fault):
        stamp = epoch_of(line)
        if stamp is None:
            continue
        if not is_mark(line):
            if stamp < enough or len(found) > most + _DISORDER:
                break
            found.append(parts(line))
            if len(found) == most + 1:
                enough = min(map(_stamp, found)) - SLACK_S
        elif bound.over(BLOCK) and (bound.ended or until is None or stamp + SLACK_S < until):
            reached = stamp + SLACK_S
            break
    found.sort(key=_stamp, reverse=True)
    return [line for line in found if reached is None or _stamp(line) > reached], reached


def _stamp(line: Line) -> float:
    assert line.stamp is not None
    return line.stamp


# --- in a process of its own --------------------------------------------------------------------------------------


def find_apart(folders: Sequence[Path], asked: LinesAsked, bound: Bound) -> Lines:
    """The same, in a process that is ended when the bound is over.

    Raises
    ------
    ExpectedError
        There is no such regular expression, or it takes too long.
    """
    order = {
        "folders": [str(folder) for folder in folders],
        "asked": {**asdict(asked), "before": None if asked.before is None else str(asked.before)},
        "seconds": bound.seconds,
        "most_bytes": bound.most_bytes,
    }
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "guardian.client.records.find_lines"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        patience = Bound(bound.seconds + _START_S, bound.most_bytes, bound.stopped)
        data: bytes | None = json.dumps(order).encode()
        while True:
            try:
                out, _ = process.communicate(data, timeout=_LOOK_S)
                break
            except subprocess.TimeoutExpired:
                data = None
                if patience.over(0):
                    process.kill()
                    process.communicate()
                    raise ExpectedError(_TOO_LONG.format(asked.text)) from None
    try:
        told = json.loads(out)
    except ValueError:
        raise ExpectedError(_TOO_LONG.format(asked.text)) from None
    if "error" in told:
        raise ExpectedError(told["error"])
    before = None if told["before"] is None else Before.parse(told["before"])
    return Lines(page=Page(found=told["found"], before=before), nodes=told["nodes"], said=told["said"])


_TOO_LONG = (
    "the regular expression {!r} takes too long, and was given up: a repetition inside a repetition, as in (a+)+, may "
    "take for ever; make it simpler, or look for a plain text"
)


def main() -> None:
    """Read an order, do it, and print the answer."""
    order = json.load(sys.stdin)
    seconds = int(order["seconds"] + _START_S)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))  # should nobody be there any more to end it
    asked = order["asked"]
    before = None if asked["before"] is None else Before.parse(asked["before"])
    wanted = LinesAsked(**{**asked, "nodes": tuple(asked["nodes"]), "before": before})
    try:
        lines = find_lines(
            [Path(one) for one in order["folders"]], wanted, Bound(order["seconds"], order["most_bytes"])
        )
    except ExpectedError as error:
        print(json.dumps({"error": str(error)}))
        return
    goes_on = None if lines.page.before is None else str(lines.page.before)
    print(json.dumps({"found": lines.page.found, "before": goes_on, "nodes": lines.nodes, "said": lines.said}))


if __name__ == "__main__":
    main()
