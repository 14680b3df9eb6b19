"""What a host does with the words of libraries."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from guardian.cli import run
from guardian.host.logsink import LogSink


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[tuple[logging.Logger, LogSink]]:
    sink = LogSink(tmp_path / "log")
    logger = logging.Logger("lib")  # one of its own, not in the tree of loggers
    logger.addHandler(run._ToSink(sink))
    yield logger, sink
    sink.close()


def test_the_same_words_again_are_counted(
    heard: tuple[logging.Logger, LogSink], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger, sink = heard
    now = 100.0
    monkeypatch.setattr("guardian.cli.run.time.monotonic", lambda: now)
    for _ in range(1000):
        logger.error("no descriptors for %s", "anybody")
    logger.warning("something else")
    now += run.SAME_AGAIN_S
    logger.error("no descriptors for %s", "anybody")
    for number in range(3 * run.MOST_REMEMBERED):
        logger.info("not for the log")
        logger.warning("number %d", number)
    monkeypatch.undo()
    assert sink.close() == 0
    texts = [line.split(" HOST ")[1] for line in (tmp_path / "log").read_text().splitlines()]
    assert texts[:4] == [
        "ERROR: lib: no descriptors for anybody",
        "WARNING: lib: something else",
        "ERROR: lib: no descriptors for anybody",
        "ERROR: (and 999 times more before)",
    ]
    assert len(texts) == 4 + 3 * run.MOST_REMEMBERED


async def test_a_socket_that_was_closed_while_descriptors_were_used_up_is_no_fault() -> None:
    """asyncio lets accept() rest for a second then, and wants to go on with it."""
    loop, told = asyncio.get_running_loop(), list[dict[str, Any]]()
    loop.default_exception_handler = told.append  # type: ignore[assignment,method-assign]
    loop.set_exception_handler(partial(run._on_fault, None))  # type: ignore[arg-type]
    closed = socket.socket()
    closed.close()
    loop.call_soon(loop._start_serving, None, closed)  # type: ignore[attr-defined]
    loop.call_soon(lambda: int("a fault of ours"))
    await asyncio.sleep(0.05)
    assert ["a fault of ours" in str(one["exception"]) for one in told] == [True]
