"""Pages that tell a reader what to do: a reader does it, from top to bottom, and sees what they show."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import REPO, Child, free_port
from tests.support.page import Page
from tests.support.reader import Reader
from tests.support.shell import shell_environ
from tests.support.softioc import SoftIoc

PAGES = sorted([*(REPO / "docs/tutorial").glob("*.rst"), *(REPO / "docs/howto").glob("*.rst")])


@pytest.mark.ca
@pytest.mark.proc
@pytest.mark.slow
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_reader_sees_what_the_page_shows(path: Path, tmp_path_factory, child: Callable[..., Child]):
    page = Page(path)
    assert not page.unmarked
    folder, tools = tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("tools")
    environ = shell_environ(free_port(), tools)
    with contextlib.ExitStack() as stack:
        for name, records in page.blocks("file").items():
            if name.endswith(".db"):  # the reader's IOC, which the page takes for granted
                ioc = stack.enter_context(SoftIoc(records, free_port()))
                environ["EPICS_CA_ADDR_LIST"] += f" 127.0.0.1:{ioc.port}"
        Reader(page, folder, environ, child).follow()
