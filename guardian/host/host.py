"""The host: many nodes in one process, each with its own worker; added and removed while the others run.

The host thinks and never runs user code, so it always answers. It owns what the nodes share: the spawner of workers,
the settings store, the journal and the log. How nodes are shown is the face's business.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator

from guardian.errors import ExpectedError
from guardian.host.face import Face
from guardian.host.journal import Journal
from guardian.host.logsink import LogSink
from guardian.host.node import Node, Surroundings
from guardian.host.settings import resume
from guardian.host.site import Site
from guardian.host.spawner import Event, Spawner
from guardian.host.store import Store
from guardian.worker.system import check_name

TICK_S = 1.0
JOURNAL = "journal.jsonl"
#: Name under which the host itself writes to the log.
NAME = "HOST"


class Host:
    """Runs the nodes of a site.

    Parameters
    ----------
    site : what to run and how. face : what shows the nodes. sink : where log lines go.
    """

    def __init__(self, site: Site, face: Face, sink: LogSink) -> None:
        self.site = site
        self._face = face
        self._sink = sink
        self._nodes: dict[str, Node] = {}
        self._spawner: Spawner | None = None
        self._store: Store | None = None
        self._journal: Journal | None = None
        self._ticker: asyncio.Task[None] | None = None
        self._troubles: dict[str, str | None] = {}

    def __getitem__(self, name: str) -> Node:
        return self._nodes[name]

    def __contains__(self, name: object) -> bool:
        return name in self._nodes

    def __iter__(self) -> Iterator[str]:
        return iter(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)

    async def start(self) -> None:
        """Open the files and start the process that makes workers. Nodes are added afterwards.

        Raises
        ------
        ExpectedError
            The state directory cannot be used, or another host uses it.
        """
        directory = self.site.state_dir
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ExpectedError(
                f"state directory {directory}: {error.strerror}; give another with --state-dir"
            ) from None
        self._store = Store(directory)
        self._journal = Journal(directory / JOURNAL)
        for warning in self._journal.warnings:
            self._sink.line(NAME, warning, level="WARNING")
        self._spawner = Spawner(on_event=self._on_spawner)
        await self._spawner.start()
        self._ticker = asyncio.create_task(self._tick(), name="host ticker")

    async def add(self, name: str) -> Node:
        """Put a node up; the others notice nothing.

        Raises
        ------
        ExpectedError
            The name cannot be used, or the node runs already.
        """
        check_name(name)
        if name in self._nodes:
            raise ExpectedError(f"{name} runs already in this host")
        assert self._store is not None and self._journal is not None and self._spawner is not None
        stored, warnings = self._store.load(name)
        for warning in warnings:
            self._sink.line(name, warning, level="WARNING")
        settings, told = resume(
            stored,
            time.time(),
            resume_within_s=self.site.resume_within_s,
            policy=self.site.on_start,
            fresh=self.site.fresh,
        )
        around = Surroundings(
            face=self._face,
            spawner=self._spawner,
            store=self._store,
            journal=self._journal,
            sink=self._sink,
            ifo=self.site.ifo,
            site=self.site.site,
            paths=self.site.paths,
            limits=self.site.limits,
        )
        node = self._nodes[name] = Node(name, around, settings, told)
        node.begin()
        return node

    async def remove(self, name: str) -> None:
        """Take a node down; its settings stay.

        Raises
        ------
        ExpectedError
            There is no such node.
        """
        node = self._nodes.get(name)
        if node is None:
            raise ExpectedError(f"{name} does not run in this host; it runs {', '.join(self._nodes) or 'no nodes'}")
        await node.end()
        del self._nodes[name]
        assert self._store is not None
        self._store.leave(name)

    async def stop(self) -> None:
        """End all nodes and give everything back. Settings stay for the next start."""
        if self._ticker is not None:
            self._ticker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticker
        await asyncio.gather(*(node.end() for node in self._nodes.values()))
        self._nodes.clear()
        if self._spawner is not None:
            await self._spawner.stop()
        loop = asyncio.get_running_loop()
        for closing in (self._store, self._journal):
            if closing is not None:
                await loop.run_in_executor(None, closing.close)

    # --- inside ------------------------------------------------------------------------------------------------

    def _on_spawner(self, event: Event) -> None:
        node = self._nodes.get(event.key.rpartition("#")[0])
        if node is not None:
            node.on_spawner(event)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            now = time.time()
            for node in list(self._nodes.values()):
                node.tick(now)
            self._tell_troubles()

    def _tell_troubles(self) -> None:
        """A full or failing disk stops nobody, but is told."""
        assert self._store is not None and self._journal is not None
        for what, trouble in (("settings", self._store.trouble()), ("journal", self._journal.trouble())):
            if trouble != self._troubles.get(what):
                self._troubles[what] = trouble
                self._sink.line(NAME, trouble or f"{what}: written again", level="ERROR" if trouble else "INFO")
