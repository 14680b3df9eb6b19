"""What loads modules: workers, from one forkserver for the tests of a file, or this process, which forgets them."""

from __future__ import annotations

import importlib
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from guardian.worker.system import System, load
from tests.worker.fake_host import Host, Worker

Load = Callable[..., System]
Start = Callable[..., Worker]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for modules; what is imported from it is forgotten afterwards."""
    path, modules = sys.path[:], dict(sys.modules)
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    yield tmp_path
    sys.dont_write_bytecode = written
    sys.path[:] = path
    for name in set(sys.modules) - set(modules):
        del sys.modules[name]
    importlib.invalidate_caches()


@pytest.fixture
def system(folder: Path) -> Load:
    """Load the module SUS with this text; further texts by the names of their modules."""

    def make(source: str, *, indices: dict[str, int] | None = None, **more: str) -> System:
        for name, text in {"SUS": source, **more}.items():
            (folder / f"{name}.py").write_text(textwrap.dedent(text))
        return load("SUS", [str(folder)], indices)

    return make


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
