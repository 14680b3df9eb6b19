"""What README.rst says, taken apart: its lines to run, its files, its tables. The tests run and check these very lines.

A test fails on a block of code that has no comment (:mod:`tests.support.page`).
"""

from __future__ import annotations

from tests.support import REPO
from tests.support.page import Page

_PAGE = Page(REPO / "README.rst")
TEXT = _PAGE.text
#: Name -> lines for a shell. Name -> text of a file.
RUN = _PAGE.blocks("run")
FILES = _PAGE.blocks("file")
UNMARKED = _PAGE.unmarked
table = _PAGE.table
table_below = _PAGE.table_below
