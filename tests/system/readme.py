"""What README.rst says, taken apart: its lines to run, its files, its tables. The tests run and check these very lines.

A block that is run stands under a comment ``.. run: NAME``, a file that is written under ``.. file: NAME``. Readers do
not see the comments; a test fails on a block of code that has none.
"""

from __future__ import annotations

import re
import textwrap

from tests.support import REPO

TEXT = (REPO / "README.rst").read_text()
_BLOCK = re.compile(r"(?:^\.\. (run|file): (\S+)\n\n)?^\.\. code-block:: (\w+)\n\n((?: {4}.*\n|\n)+)", re.MULTILINE)


def _blocks(kind: str) -> dict[str, str]:
    return {name: textwrap.dedent(body).strip() + "\n" for what, name, _, body in _BLOCK.findall(TEXT) if what == kind}


#: Name -> lines for a shell. Name -> text of a file.
RUN = _blocks("run")
FILES = _blocks("file")
UNMARKED = [body.strip() for what, _, _, body in _BLOCK.findall(TEXT) if not what]


def table(first_head: str) -> list[list[str]]:
    """The rows of the simple table whose first column has this head."""
    lines = TEXT.splitlines()
    top = next(i for i, line in enumerate(lines) if line.split()[:1] == [first_head] and lines[i - 1].startswith("==="))
    return _rows(lines[top - 1], lines[top + 2 :])


def table_below(title: str) -> list[list[str]]:
    """The rows of the table without heads that comes first below a title."""
    lines = TEXT.splitlines()
    start = lines.index(title) + 2
    top = next(i for i in range(start, len(lines)) if lines[i].startswith("==="))
    return _rows(lines[top], lines[top + 1 :])


def _rows(rule: str, lines: list[str]) -> list[list[str]]:
    columns = [match.start() for match in re.finditer(r"=+", rule)]
    ends = [*columns[1:], None]
    body = lines[: lines.index(rule)]
    return [[line[a:b].strip() for a, b in zip(columns, ends, strict=True)] for line in body]
