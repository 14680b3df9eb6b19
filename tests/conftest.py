"""What every test gets: ports and prefixes of its own, children that are cleaned up, and a look at what it left behind.

The look costs well under a millisecond, so it is at every test: a process, a thread or an asyncio task that outlives
the test that made it fails that test, by name, instead of a later one at random.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import os
import re
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.support import CaClient, Child, ca_env, free_port, procs, random_prefix

_GRACE_S = 5  # what ends by itself may take so long on a loaded machine; the look is repeated, nobody waits for nothing

# The same examples at every run: no landing fails by luck. To look for new ones: pytest --hypothesis-profile=search
hypothesis.settings.register_profile("suite", deadline=None, derandomize=True, database=None)
hypothesis.settings.register_profile("search", deadline=None, max_examples=2000)
hypothesis.settings.load_profile("suite")

#: Hosts of two tests never meet on a network, so they need not see each other's locks.
_lock_folder = ""


def pytest_sessionstart(session: pytest.Session) -> None:
    global _lock_folder
    _lock_folder = os.environ["GUARD_LOCK_DIR"] = tempfile.mkdtemp(prefix="guardian-test-locks-")
    procs.become_subreaper()


def pytest_sessionfinish(session: pytest.Session) -> None:
    shutil.rmtree(_lock_folder, ignore_errors=True)
    strays = procs.stray_children() if not _is_xdist_controller(session) else {}
    if strays:
        text = "".join(f"\n  {pid} {line}" for pid, line in strays.items())
        print(f"\nkilled what the tests left running:{text}", file=sys.__stderr__)  # pytest-xdist swallows stdout
        procs.kill(strays)


def _is_xdist_controller(session: pytest.Session) -> bool:
    """The controller's children are the pytest workers."""
    return not hasattr(session.config, "workerinput") and bool(getattr(session.config.option, "numprocesses", None))


# What fixtures of a wider scope made belongs to no single test, whichever test happened to ask for them first.
_shared_children: set[int] = set()
_shared_threads: set[threading.Thread] = set()


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[object]) -> Generator[None, object, object]:
    if fixturedef.scope == "function":
        return (yield)
    children, threads = procs.children_now(), set(threading.enumerate())
    try:
        return (yield)
    finally:
        _shared_children.update(procs.children_now() - children)
        _shared_threads.update(set(threading.enumerate()) - threads)


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a short name: a path of a socket has 107 bytes, wherever pytest puts its folders."""
    name = re.sub(r"\W", "_", request.node.originalname.removeprefix("test_"))
    return tmp_path_factory.mktemp(name[:8])


@pytest.fixture(autouse=True)
def _leaves_nothing(request: pytest.FixtureRequest) -> Iterator[None]:
    if inspect.iscoroutinefunction(inspect.unwrap(request.node.obj)):
        request.getfixturevalue("_leaves_no_tasks")
    children, threads = procs.children_now(), threading.enumerate()
    yield
    deadline = time.monotonic() + _GRACE_S
    while True:
        strays = procs.stray_children(children | _shared_children)
        still = procs.stray_threads({*threads, *_shared_threads})
        if not strays and not still:
            return
        if time.monotonic() > deadline:
            break
        gc.collect()
        time.sleep(0.02)
    procs.kill(strays)
    found = [f"process {pid}: {line}" for pid, line in strays.items()] + [f"thread {name}" for name in still]
    pytest.fail("the test left running:\n  " + "\n  ".join(found), pytrace=False)


@pytest.fixture
async def _leaves_no_tasks() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    for _ in range(10):  # what was cancelled at the end of the test may still need a turn
        left = asyncio.all_tasks() - before - {asyncio.current_task()}
        if not left:
            return
        await asyncio.sleep(0)
    for task in left:
        task.cancel()
    pytest.fail("the test left asyncio tasks:\n  " + "\n  ".join(map(repr, left)), pytrace=False)


@pytest.fixture
def ca_port() -> int:
    """A free port for one CA server."""
    return free_port()


@pytest.fixture
def prefix() -> str:
    """A PV prefix nobody else uses."""
    return random_prefix()


@pytest.fixture
def child() -> Iterator[Callable[..., Child]]:
    """Make children: ``child([...], env=...)``. All of them, with their families, are gone after the test."""
    with contextlib.ExitStack() as stack:
        yield lambda *args, **kwargs: stack.enter_context(Child(*args, **kwargs))


@pytest.fixture
def ca(ca_port: int) -> Iterator[CaClient]:
    """A libca client that asks on ``ca_port``."""
    with CaClient(ca_env(ca_port)) as client:
        yield client


@pytest.fixture(params=["pyepics", "caproto"])
def each_ca(request: pytest.FixtureRequest, ca_port: int) -> Iterator[CaClient]:
    """A client of each kind in turn, for tests that a server must pass with both."""
    with CaClient(ca_env(ca_port), request.param) as client:
        yield client
