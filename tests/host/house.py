"""A host with real files, log and links, whose face is made of dicts and whose workers are fakes unless asked for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from guardian.core.settings import Limits
from guardian.core.view import View
from guardian.enums import Status, Worker
from guardian.host import history
from guardian.host.host import Host
from guardian.host.logsink import LogSink
from guardian.host.node import Node
from guardian.host.site import Site
from tests.host.dict_face import DictFace
from tests.host.fake_worker import FakeSpawner, FakeWorker
from tests.support.waiting import eventually_async

T = TypeVar("T")

#: Short, so that tests that wait for them are short.
LIMITS = Limits(redirect_timeout_s=0.2, stop_timeout_s=0.2, restart_delay_s=0.02)


class House:
    """One host, and what a test asks of it."""

    def __init__(self, directory: Path, *, make_spawner: Any = None, **changes: Any) -> None:
        self.directory = directory
        options: dict[str, Any] = {"ifo": "X1", "site": "LAB", "state_dir": directory / "state", "limits": LIMITS}
        self.site = Site(**{**options, **changes})
        self.face = DictFace()
        self.log_file = directory / "log"
        self.sink = LogSink(self.log_file)
        self.host = Host(self.site, self.face, self.sink, make_spawner=make_spawner or self._make_spawner)
        self.spawner: FakeSpawner
        self.fakes = False

    def _make_spawner(self, told: Callable[[Any], None]) -> Any:
        self.spawner = FakeSpawner(told)
        self.fakes = True
        return self.spawner

    @property
    def worker(self) -> FakeWorker:
        return self.spawner.worker

    async def aligned(self) -> Node:
        """A new node SUS that has come to rest in ALIGNED."""
        node = await self.host.add("SUS")
        await self.settled(node)
        return node

    def states(self) -> list[str]:
        """The states that SUS has shown, in order; a new severity of the same one does not count."""
        seen = self.face.seen("SUS", "STATE")
        return [state for i, state in enumerate(seen) if i == 0 or state != seen[i - 1]]

    async def reached(self, node: Node, condition: Callable[[View], bool]) -> View:
        """The view at which `condition` became true; says what it was when it does not."""
        try:
            return await node.wait_for(condition, 20)
        except TimeoutError:
            last = [f"{e['id']} {e['kind']}: {e['text']}" for e in self.face.events(node.name)[-8:]]
            raise AssertionError("\n".join([f"{node.name} is {node.view}, after", *last])) from None

    async def settled(self, node: Node, state: str = "ALIGNED") -> None:
        """Running, and complete in `state`, which is the request."""
        await self.reached(
            node, lambda v: v.worker is Worker.RUN and v.state == state == v.request and v.status is Status.DONE
        )

    async def until(self, predicate: Callable[[], T], what: str = "") -> T:
        return await eventually_async(predicate, 20, what, period_s=0.002)

    async def logged(self, *words: str) -> str:
        """The first line of the log that has all these words."""

        def found() -> str:
            lines = self.log_file.read_text().splitlines()
            return next((line for line in lines if all(word in line for word in words)), "")

        return await self.until(found, f"a line with {words}")

    async def journal(self, *, kind: str, node: str | None = None, least: int = 1) -> list[dict[str, Any]]:
        """The records of a kind, once there are so many."""

        def found() -> list[dict[str, Any]]:
            all_records = history.read(self.site.state_dir / "journal.jsonl", node=node)
            records = [record for record in all_records if record.get("kind") == kind]
            return records if len(records) >= least else []

        return await self.until(found, f"{least} records of {kind}")

    async def stored(self, node: str, **values: Any) -> dict[str, Any]:
        """The settings file of a node, once it says this."""

        def found() -> dict[str, Any]:
            saved: dict[str, Any] = json.loads((self.site.state_dir / f"{node}.json").read_text())
            return saved if all(saved[name] == value for name, value in values.items()) else {}

        return await self.until(found, f"settings of {node} with {values}")


@asynccontextmanager
async def house(directory: Path, *, start: bool = True, **changes: Any) -> AsyncIterator[House]:
    """A running host; afterwards no worker lives and no step was inconsistent. There may be another one around it."""
    made = House(directory, **changes)
    loop = asyncio.get_running_loop()
    outer_threads, outer_handler = loop._default_executor, loop.get_exception_handler()  # type: ignore[attr-defined]
    with ThreadPoolExecutor() as threads:  # the loop's own would outlive the test
        loop.set_default_executor(threads)
        faults: list[str] = []
        loop.set_exception_handler(lambda _loop, context: faults.append(f"{context['message']}: {context}"))
        try:
            if start:
                await made.host.start()
            yield made
        finally:
            await made.host.stop()
            made.sink.close()
            loop.set_exception_handler(outer_handler)
            if outer_threads is not None:
                loop.set_default_executor(outer_threads)
    assert not made.fakes or made.spawner.alive() == []
    assert made.face.faults == []
    assert faults == []  # nothing went wrong where nobody looks
    assert made.face.values == made.face.claims == {}
    assert made.face.nodes[-1:] in ([], [None]) and made.face.host_name == ""
