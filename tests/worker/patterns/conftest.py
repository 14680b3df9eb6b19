"""A worker that runs a module of ``modules/``, where it lies."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from guardian.core.events import Raised, Returned
from guardian.enums import OnComplete
from guardian.worker import link
from tests.worker.fake_host import Host, Worker

MODULES = Path(__file__).parent / "modules"
Node = Callable[..., Worker]
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    made = Host(env={"USERAPPS_PATH": "/userapps"})
    yield made
    made.close()


@pytest.fixture
def node(host: Host) -> Iterator[Node]:
    """``node(name)``: a worker that loads that module; gone after the test."""
    with ExitStack() as stack:

        def make(name: str, *paths: Path, **load: Any) -> Worker:
            worker = Worker(host, f"{name}#{next(_numbers)}")
            stack.callback(worker.close)
            searched = tuple(str(path) for path in paths or (MODULES,))
            worker.tell(link.Load(node=name, ifo="X1", site="XLAB", paths=searched, **load))
            return worker

        yield make


def visit(worker: Worker, state: str) -> bool | str:
    """Enter a state: True once it is complete, the name it jumps to, or what is said of its error."""
    worker.enter(state, OnComplete.WAIT)

    def is_end(report: object) -> bool:
        return isinstance(report, Raised) or (isinstance(report, Returned) and report.outcome is not False)

    end = worker.hear(object, lambda r: getattr(r, "entry", None) == worker.entry and is_end(r))
    return end.message if isinstance(end, Raised) else end.outcome  # type: ignore[attr-defined]
