"""Pictures that are drawn once for all pages, and anew where that failed."""

from __future__ import annotations

import asyncio
import errno
import shutil
import subprocess
from typing import Any

import pytest

from guardian.client.dot import draw
from guardian.console import pictures
from guardian.console.pictures import Pictures
from guardian.console.problem import ProblemError
from guardian.errors import GuardianError

GRAPH = "digraph { a -> b }"


def test_a_dot_that_cannot_be_started_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_files_left(*_: Any, **__: Any) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/dot")
    monkeypatch.setattr(subprocess, "run", no_files_left)
    with pytest.raises(GuardianError, match="dot cannot be run: Too many open files; try again"):
        draw(GRAPH, "svg")


async def test_a_picture_that_failed_is_not_kept_whatever_it_failed_of(monkeypatch: pytest.MonkeyPatch) -> None:
    faults: list[Exception] = [GuardianError("dot is ill"), RuntimeError("can't start new thread")]

    def drawn(text: str, kind: str, *, timeout_s: float) -> bytes:
        if faults:
            raise faults.pop()
        return f"{kind} of {text}".encode()

    monkeypatch.setattr(pictures, "draw", drawn)
    monkeypatch.setattr(pictures, "PAUSE_S", 0.0)
    album = Pictures()
    with pytest.raises(RuntimeError):
        await album.draw(GRAPH)
    with pytest.raises(ProblemError, match="dot is ill"):
        await album.draw(GRAPH)
    assert await album.draw(GRAPH) == b"svg of digraph { a -> b }"
    faults.append(GuardianError("it is drawn once"))
    assert await asyncio.gather(*(album.draw(GRAPH) for _ in range(3))) == [b"svg of digraph { a -> b }"] * 3
    await asyncio.get_running_loop().shutdown_default_executor()
