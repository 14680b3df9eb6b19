"""Programs that use `guardian.health` as any Python program does, and workers that do."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support import REPO, Child
from tests.worker.fake_host import Host, Worker

Program = Callable[..., Child]
Start = Callable[..., Worker]

HEAD = """\
import ctypes, logging, os, signal, sys, threading, time
from guardian.health import *
from guardian import health
logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stdout)
def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())   # one piece, also beside a child
"""


@pytest.fixture
def locks(tmp_path: Path) -> Path:
    """The folder in which the processes of a test meet."""
    return tmp_path / "locks"


@pytest.fixture
def program(child: Callable[..., Child], locks: Path, tmp_path: Path) -> Program:
    """``program(source)``: a Python program that runs; `more` is added to its environment."""

    def start(source: str, *, name: str = "script", stdin: bool = False, **more: str) -> Child:
        file = tmp_path / f"{name}.py"
        file.write_text(HEAD + textwrap.dedent(source))
        environ = {**os.environ, "GUARD_LOCK_DIR": str(locks), "PYTHONPATH": str(REPO), **more}
        return child([sys.executable, file], env=environ, stdin=stdin)

    return start


@pytest.fixture(scope="module")
def workers_locks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the workers of a file have their names."""
    return tmp_path_factory.mktemp("locks")


@pytest.fixture(scope="module")
def host(workers_locks: Path) -> Iterator[Host]:
    made = Host({"GUARD_LOCK_DIR": str(workers_locks)})
    yield made
    made.close()


@pytest.fixture
def start(host: Host, tmp_path: Path) -> Iterator[Start]:
    """``start(source, ...)``: a worker that loads this module; see `Host.worker`. Gone after the test."""
    with ExitStack() as stack:

        def make(source: str, *, folder: Path = tmp_path, **more: Any) -> Worker:
            return stack.enter_context(host.worker(folder, source, **more))

        yield make
