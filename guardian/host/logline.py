"""One line of the log, as it is written: ``2016-08-23_08:13:17.670880Z NODE [STATE.method] text``.

In UTC; lines of the node itself have no bracket, and levels other than INFO stand before the text. The time is of fixed
width, so lines are compared by their first bytes. Control characters are shown, not passed on to the operator's
terminal. Source of the form: the log lines in LHO alog 29238.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

_MOST_CHARS = 8000  # of a line; those of workers are shorter
#: Control characters but the tab, and how they are shown.
SHOWN = {code: f"\\x{code:02x}" for code in (*range(9), *range(10, 32), *range(127, 160))}


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line of the log."""

    stamp_us: int  #: microseconds since 1970
    node: str
    text: str
    level: str = "INFO"
    context: str = ""  #: "STATE.method", or "" for a line of the node itself

    def __str__(self) -> str:
        where = f" [{self.context}]" if self.context else ""
        level = "" if self.level == "INFO" else f"{self.level}: "
        return f"{stamp(self.stamp_us)} {self.node}{where} {level}{self.text}"


def stamp(stamp_us: int) -> str:
    """Microseconds since 1970 as a line shows them."""
    seconds, micros = divmod(stamp_us, 1_000_000)
    return f"{_second(seconds)}.{micros:06d}Z"


@lru_cache(maxsize=16)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%d_%H:%M:%S", time.gmtime(seconds))


def lines_of(
    node: str, text: str, *, level: str = "INFO", context: str = "", stamp_us: int | None = None
) -> Iterator[LogLine]:
    """A line for each line of `text`, stamped now unless `stamp_us` is given."""
    at = time.time_ns() // 1000 if stamp_us is None else stamp_us
    for part in text.removesuffix("\n").split("\n"):
        shown = part if len(part) <= _MOST_CHARS else f"{part[:_MOST_CHARS]} ... [cut]"
        shown = shown if shown.isprintable() else shown.translate(SHOWN)
        yield LogLine(stamp_us=at, node=node, text=shown, level=level, context=context)
