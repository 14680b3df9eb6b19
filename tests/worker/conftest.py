"""One forkserver for the tests of a module; each test has workers of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.worker.fake_host import Host, Worker

Start = Callable[..., Worker]


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    made = Host()
    yield made
    made.close()


@pytest.fixture
def start(host: Host, tmp_path: Path) -> Iterator[Start]:
    """``start(source, ...)``: a worker that loads this module; see `Host.worker`. Gone after the test."""
    with ExitStack() as stack:

        def make(source: str, *, folder: Path = tmp_path, **more: Any) -> Worker:
            return stack.enter_context(host.worker(folder, source, **more))

        yield make


@pytest.fixture
def run(start: Start) -> Start:
    """As `start`, and the module has been loaded."""

    def make(source: str, **more: Any) -> Worker:
        worker = start(source, **more)
        worker.loaded()
        return worker

    return make
