"""The host's end of one worker: what goes over the link, and what is given back when the process is gone."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from guardian.core.events import Began, Enter, Left, Report, Stop
from guardian.enums import Call, OnComplete
from guardian.host import worker as handle
from guardian.host.logsink import LogSink
from guardian.host.spawner import Exited
from guardian.host.worker import WorkerHandle, worker_environ
from guardian.worker import link
from guardian.worker.beat import BeatWriter
from guardian.worker.interrupt import DUMP_SIGNAL
from tests.host.fake_worker import FakeSpawner, FakeWorker
from tests.support.waiting import eventually_async

ENTER = Enter(entry=1, state="SAFE", on_complete=OnComplete.KEEP)


class Pair:
    """A handle and the fake worker at its other end."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.sink = LogSink(log)
        self.heard: list[tuple[int, Report]] = []
        self.ended: list[Any] = []
        self.spawner = FakeSpawner(self._told)
        self.spawner.mute = {Enter, Stop}
        spawner: Any = self.spawner
        self.handle = WorkerHandle(
            node="SUS",
            key="SUS#3",
            gen=3,
            spawner=spawner,
            sink=self.sink,
            environ={},
            report=lambda *said: self.heard.append(said),
        )

    def _told(self, event: Any) -> None:
        if isinstance(event, Exited):
            self.ended.append(event)
            self.handle.close()

    @property
    def worker(self) -> FakeWorker:
        return self.spawner.worker


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    before = len(os.listdir("/proc/self/fd"))
    made = Pair(tmp_path / "log")
    yield made
    made.worker.die(sig=9)
    await eventually_async(lambda: made.ended, what="the end of the worker")
    made.sink.close()
    assert len(os.listdir("/proc/self/fd")) == before


async def test_messages_go_both_ways_in_order(pair: Pair) -> None:
    commands = [Enter(entry=i, state="SAFE" * 100, on_complete=OnComplete.WAIT) for i in range(1, 1500)]
    for command in commands:  # more than a socket holds: the rest waits and follows
        pair.handle.send(command)
    await eventually_async(lambda: len(pair.worker.heard) == len(commands), what="all commands")
    assert pair.worker.heard == commands
    for i in range(50):
        pair.worker.say(Began(entry=i))
    await eventually_async(lambda: len(pair.heard) == 50, what="all reports")
    assert pair.heard == [(3, Began(entry=i)) for i in range(50)]


async def test_a_worker_that_does_not_read_is_killed(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handle, "BUFFER_BYTES", 10_000)
    pair.worker.stop_reading()
    for _ in range(20_000):
        pair.handle.send(ENTER)
        if pair.spawner.kills:
            break
    assert pair.spawner.kills == [("SUS#3", signal.SIGKILL)]
    await eventually_async(lambda: pair.ended, what="its end")
    pair.handle.send(ENTER)  # nobody is there; nothing happens


async def test_a_kill_lets_it_say_where_it_stands(pair: Pair) -> None:
    pair.handle.kill()
    assert pair.spawner.kills == [("SUS#3", DUMP_SIGNAL)]
    await eventually_async(lambda: pair.ended, what="its end")
    assert pair.spawner.kills[1:] == [("SUS#3", signal.SIGKILL)]


async def test_a_kill_that_is_due_does_not_hit_a_later_worker_of_the_same_name(pair: Pair) -> None:
    pair.spawner.mute = {Enter}
    pair.handle.end(0.05)
    pair.handle.kill()
    await eventually_async(lambda: pair.ended, what="its end by Stop")
    await asyncio.sleep(handle.LAST_WORDS_S * 1.5)  # the time of both kills passes
    assert pair.spawner.kills == [("SUS#3", DUMP_SIGNAL)]


async def test_what_it_said_last_is_heard_also_when_it_is_more_than_one_read(pair: Pair) -> None:
    said = [Left(entry=i) for i in range(200)]
    assert sum(len(link.encode(3, report)) for report in said) > handle.READ_BYTES
    pair.worker.say(*said)
    pair.worker.die(sig=11)
    await eventually_async(lambda: pair.ended, what="its end")
    assert [report for _, report in pair.heard] == said


async def test_its_prints_and_its_beat(pair: Pair) -> None:
    beat = BeatWriter(pair.worker.beat_fd)
    beat.begin(Call.RUN, 7)
    assert pair.handle.beat().entry == 7
    os.write(pair.worker.log_fd, b"hello from C\nhalf a li")
    pair.worker.die(code=3)
    await eventually_async(lambda: "half a li" in pair.log.read_text(), what="its last words")
    assert "SUS hello from C\n" in pair.log.read_text()
    beat.close()


def test_the_environment_is_text_without_what_is_not_set() -> None:
    assert worker_environ({"IFO": "X1", "SITE": "", "N": 3, "NO": None}) == {"IFO": "X1", "N": "3"}
