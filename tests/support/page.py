"""A page of documentation, taken apart: its files, its lines to run, what they are said to show, its tables.

A block of code stands under a comment that says what it is. Readers do not see it, but the name of a file,
and whether a block is typed or printed (``docs/_ext``).

================  ==========================================================================================
``.. file: F``    the text of a file
``.. change: F``  classes and variables of a file, in place of those of the same name, or new ones
``.. run: N``     lines for a shell, which end by themselves and well
``.. fails: N``   the same, but the last one ends with an exit code that is not 0
``.. start: N``   a line for a terminal of its own, where it goes on
``.. shows: N``   what N is said to print (from here on, if it goes on)
``.. session: N`` what a terminal shows while somebody works with a program that asks; the first line starts it
``.. end: N``     no block: Ctrl-C in that terminal
``.. needs: P``   no block: the next step needs that program; who has not got it leaves the step out
================  ==========================================================================================
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

_STEP = re.compile(
    r"^\.\. (?P<alone>end|needs): (?P<whom>\S+)$|"
    r"(?:^\.\. (?P<kind>file|change|run|fails|start|shows|session): (?P<name>\S+)\n\n)?"
    r"^\.\. code-block:: (?P<language>\w+)\n\n(?P<text>(?: {4}.*\n|\n)+)",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing a reader does. ``kind`` is "" for a block without a comment."""

    kind: str
    name: str
    language: str = ""
    text: str = ""
    line: int


class Page:
    """What a file of documentation tells its readers to do, and its tables."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = path.read_text()
        self.steps = tuple(self._step(match) for match in _STEP.finditer(self.text))

    def _step(self, match: re.Match[str]) -> Step:
        line = self.text.count("\n", 0, match.start()) + 1
        if match["alone"]:
            return Step(kind=match["alone"], name=match["whom"], line=line)
        text = textwrap.dedent(match["text"]).strip("\n") + "\n"
        return Step(
            kind=match["kind"] or "", name=match["name"] or "", language=match["language"], text=text, line=line
        )

    def blocks(self, kind: str) -> dict[str, str]:
        """Name -> text of the blocks of one kind."""
        return {step.name: step.text for step in self.steps if step.kind == kind}

    @property
    def unmarked(self) -> list[Step]:
        """Blocks of code that nobody can check."""
        return [step for step in self.steps if not step.kind]

    def table(self, first_head: str) -> list[list[str]]:
        """The rows of the simple table whose first column has this head."""
        lines = self.text.splitlines()
        top = next(
            i for i, line in enumerate(lines) if line.split()[:1] == [first_head] and lines[i - 1].startswith("===")
        )
        return _rows(lines[top - 1], lines[top + 2 :])

    def table_below(self, title: str) -> list[list[str]]:
        """The rows of the table without heads that comes first below a title."""
        lines = self.text.splitlines()
        start = lines.index(title) + 2
        top = next(i for i in range(start, len(lines)) if lines[i].startswith("==="))
        return _rows(lines[top], lines[top + 1 :])


def _rows(rule: str, lines: list[str]) -> list[list[str]]:
    columns = [match.start() for match in re.finditer(r"=+", rule)]
    ends = [*columns[1:], None]
    body = lines[: lines.index(rule)]
    return [[line[a:b].strip() for a, b in zip(columns, ends, strict=True)] for line in body]
