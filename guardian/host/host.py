"""The host: many nodes in one process, each with its own worker; added and removed while the others run.

The host thinks and never runs user code, so it always answers. It owns what the nodes share: the spawner of workers,
the settings store, the journal and the log. How nodes are shown is the face's business. A node that another host runs
is not started, see :mod:`guardian.host.claims`.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from guardian.core import explain
from guardian.core.ailments import Ailment
from guardian.core.audit import write_record
from guardian.core.host_rows import HOST_PV, HostFacts
from guardian.core.interface import HOST_ROWS, NODES
from guardian.core.names import HOST_NODE, HOST_PREFIX, check_name, pv_name
from guardian.core.security import Everybody, Security
from guardian.core.settings import Limits
from guardian.core.view import View
from guardian.core.who import Who
from guardian.enums import Severity
from guardian.errors import ExpectedError, RefusedError
from guardian.host import claims, heartbeats, hostname, locks
from guardian.host.archive import Archive
from guardian.host.audit import Audit
from guardian.host.checks import Turns
from guardian.host.claims import Claims
from guardian.host.durations import Durations
from guardian.host.edits import Edits
from guardian.host.face import Face, Unreadable, Update
from guardian.host.journal import Journal
from guardian.host.locks import Locks
from guardian.host.logsink import LogSink
from guardian.host.node import Node, Surroundings
from guardian.host.own_pvs import OwnPvs, process_name
from guardian.host.places import ARCHIVE, DURATIONS, JOURNAL
from guardian.host.rounds import Rounds
from guardian.host.settings import resume
from guardian.host.site import Site, pv_names
from guardian.host.spawner import Event, Failed, Spawner
from guardian.host.store import Store
from guardian.host.troubles import Troubles

if TYPE_CHECKING:
    from guardian.health.monitor import HealthMonitor

TICK_S = 1.0
#: Name under which the host itself writes to the log.
NAME = "HOST"


class Host:
    """Runs the nodes of a site.

    Parameters
    ----------
    site : what to run and how. face : what shows the nodes. sink : where log lines go.
    security : who may write; None: everybody who can reach it.
    on_ousted : called with a sentence when the last node was taken down because an older host runs it.
    make_spawner : makes what starts the workers, given the receiver of its events.
    """

    def __init__(
        self,
        site: Site,
        face: Face,
        sink: LogSink,
        *,
        security: Security | None = None,
        on_ousted: Callable[[str], None] = lambda _: None,
        make_spawner: Callable[[Callable[[Event], None]], Spawner] = lambda told: Spawner(on_event=told),
    ) -> None:
        self.site = site
        self._face = face
        self._sink = sink
        self._security = security or Everybody()
        self._on_ousted = on_ousted
        self._nodes: dict[str, Node] = {}
        self._coming: set[str] = set()
        self._make_spawner = make_spawner
        self._pvs: dict[str, str] = {}  # every PV with the node that has it
        self._spawner: Spawner | None = None
        self._preloading: asyncio.Task[None] | None = None
        self._store: Store | None = None
        self._journal: Journal | None = None
        self._durations: Durations | None = None
        self._audit: Audit | None = None
        self._archive: Archive | None = None
        self._edits: Edits | None = None
        self._turns = Turns()
        self._locks = Locks(locks.folder())
        self._claims = Claims(site, face, self._locks, id=uuid.uuid4().hex[:12], warn=self._warn)
        self._tasks: list[asyncio.Task[None]] = []
        self._rounds = Rounds()
        self.troubles = Troubles(lambda text, level: sink.line(NAME, text, level=level))
        self.troubles.ask(self._ailments)
        self.troubles.ask(self._rounds.ailments)
        self._own_pvs: OwnPvs | None = None
        self._heartbeats: HealthMonitor | None = None
        self._listed: list[str] | None = None  # what HOST_NODES says; None: it is not shown

    def __getitem__(self, name: str) -> Node:
        return self._nodes[name]

    def __contains__(self, name: object) -> bool:
        return name in self._nodes

    def __iter__(self) -> Iterator[str]:
        return iter(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)

    @property
    def coming(self) -> list[str]:
        """Nodes that are about to be added, and are not shown yet."""
        return sorted(self._coming)

    @property
    def name(self) -> str:
        """Its name among the hosts of its IFO, once it is known: see :mod:`guardian.host.hostname`."""
        return self._claims.host

    @property
    def process_name(self) -> str:
        """Its name among the processes of its machine, as PROC_NAME shows it."""
        return process_name(self.name, self.site.ifo)

    @property
    def facts(self) -> HostFacts | None:
        """What its own PVs show; None before :meth:`start` and after :meth:`stop`."""
        return None if self._own_pvs is None else self._own_pvs.facts

    @property
    def port(self) -> int:
        """Where its nodes are shown."""
        return self._face.port

    def preload(self) -> None:
        """Start the process that makes workers, if that was not done yet. It imports while the network is asked."""
        if self._spawner is None:
            self._spawner = self._make_spawner(self._on_spawner)
            self._preloading = asyncio.create_task(self._spawner.start(), name="preload")

    async def start(self) -> None:
        """Open the files and start the process that makes workers. Nodes are added afterwards.

        Raises
        ------
        ExpectedError
            The state directory cannot be used, or another host uses it; or the token for the hub cannot be read.
        """
        directory = self.site.state_dir
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ExpectedError(
                f"state directory {directory}: {error.strerror}; give another with --state-dir"
            ) from None
        self._claims.name_host()
        if self.name != (first := hostname.first(self.site)):
            example = hostname.pv_of(self.site, self.name, "OK")
            self._sink.line(NAME, f"another host on this machine is called {first}; this one is {self.name}: {example}")
        own_pvs = OwnPvs(self.name, self.site.ifo, self._face, self.troubles, self._no_put)
        self._heartbeats = heartbeats.monitor(self.site.outside, lambda: own_pvs.facts)
        self._store = Store(directory)
        self._journal = Journal(directory / JOURNAL, bounds=self.site.journal)
        self._durations = Durations(
            directory / DURATIONS, warn=lambda node, text: self._sink.line(node, text, level="WARNING")
        )
        self._audit = Audit(self._journal, self._sink)
        self._archive = Archive(self.site.archive_dir, link=directory / ARCHIVE, enabled=self.site.archive.enabled)
        self._edits = Edits()
        for warning in self._journal.warnings:
            self._warn(warning)
        self.preload()
        assert self._preloading is not None
        await self._preloading
        self._own_pvs = own_pvs
        own_pvs.open()
        if self._heartbeats is not None:
            self._heartbeats.start()
        self._tasks = [asyncio.create_task(self._tick(), name="ticker"), asyncio.create_task(self._look(), name="look")]

    async def add(self, name: str, *, by: str = "") -> Node:
        """Put a node up; the others notice nothing.

        Parameters
        ----------
        by : who wants it, for the log; "": nobody asked.

        Raises
        ------
        ExpectedError
            The name cannot be used, one of its PVs is another node's, or the node runs already: here or elsewhere.
        """
        if refused := await self.add_all((name,), by=by):
            raise ExpectedError(refused[name])
        if (node := self._nodes.get(name)) is None:
            raise ExpectedError(f"{name} was added, and somebody has removed it again meanwhile")
        return node

    async def add_all(self, names: Iterable[str], *, by: str = "") -> dict[str, str]:
        """:meth:`reserve`, :meth:`claim` and :meth:`put_up` in one go. Returns those that were refused, and why."""
        names = tuple(names)
        refused = self.reserve(names)
        mine = [name for name in names if name not in refused]
        try:
            refused |= await self.claim(mine)
            mine = [name for name in mine if name not in refused]
            await self.put_up(mine)
        except BaseException:
            for name in mine:
                self._withdraw(name)
            raise
        for name in mine if by else ():
            self._sink.line(name, f"was added to this host by {by}")
        return refused

    def follow(self, site: Site) -> None:
        """Its site file says something else: what a running host follows (:mod:`guardian.host.site_changes`).

        Policies are in force at once, for nodes that run too; which nodes run is another matter.
        """
        self.site = site
        for name, node in self._nodes.items():
            node.follow(site=site.site, paths=site.paths, limits=self._limits(name))

    def reserve(self, names: Iterable[str]) -> dict[str, str]:
        """The first step to put nodes up, which needs nothing of this host: nobody else on this machine may have them.

        Returns
        -------
        dict
            Those that another host on this machine runs, each with a sentence that says so.

        Raises
        ------
        ExpectedError
            A name cannot be used, one of its PVs is another node's, or the node runs already in this host. Then none of
            them is reserved.
        """
        refused: dict[str, str] = {}
        mine: list[str] = []
        self._claims.name_host()
        try:
            for name in names:
                self._make_sure_it_is_new(name)
                self._coming.add(name)
                mine.append(name)
                self._pvs.update(dict.fromkeys(pv_names(self.site, name), name))
                if why := self._claims.lock(name):
                    refused[name] = why
                    self._withdraw(name)
        except BaseException:
            for name in mine:
                self._withdraw(name)
            raise
        return refused

    async def claim(self, names: Sequence[str]) -> dict[str, str]:
        """The second step: nobody on the network may have them. The face must serve.

        Returns
        -------
        dict
            Those that another host runs, each with a sentence that says so.
        """
        refused = await self._claims.stake(names)
        for name in refused:
            self._withdraw(name)
        return refused

    async def put_up(self, names: Sequence[str]) -> None:
        """The third step, when :meth:`start` is done: show the nodes, and begin.

        Who cancels it wants the end of the host: no worker is started then that would only have to end.
        """
        shown: list[Node] = []
        ends = False
        try:
            # A node takes 20 ms: clients, and hosts that ask for the rest of ours, are answered in between. The workers
            # come last, as on a small machine they take from the host the time that it needs to show the nodes.
            for name in names:
                await asyncio.sleep(0)
                shown.append(self._show(name))
                self._coming.remove(name)
            for node in shown:
                await asyncio.sleep(0)
                node.begin()
        except asyncio.CancelledError:
            ends = True
            raise
        finally:
            for node in () if ends else shown:
                node.begin()
            self._list_nodes()
        if self._own_pvs is not None:
            self._own_pvs.ready()

    def _list_nodes(self, *, but: str = "") -> None:
        """HOST_NODES says which nodes run here, so that clients find them. `but` is about to leave."""
        names = [name for name, node in self._nodes.items() if name != but and not node.leaving]
        if names == self._listed:
            return
        update, now = Update(NODES, NODES.value(names), Severity.NO_ALARM), time.time()
        if self._listed is None:
            self._face.open(HOST_NODE, [update], now, self._no_put)
        else:
            self._face.post(HOST_NODE, [update], now)
        self._listed = names

    def _make_sure_it_is_new(self, name: str) -> None:
        check_name(name)
        if name in self._coming:
            raise ExpectedError(f"{name} is being added already")
        if name in self._nodes:
            leaving = self._nodes[name].leaving
            raise ExpectedError(f"{name} {'is being removed; try again' if leaving else 'runs already in this host'}")
        if clash := next((pv for pv in pv_names(self.site, name) if pv in self._pvs), None):
            raise ExpectedError(f"{name}: its PV {clash} is one of {self._pvs[clash]} already; give it another name")

    def _withdraw(self, name: str) -> None:
        """It was reserved, and is not put up after all."""
        if name in self._coming:
            self._coming.remove(name)
            self._claims.withdraw(name)
            self._forget_pvs(name)

    def _forget_pvs(self, name: str) -> None:
        for pv in pv_names(self.site, name):
            del self._pvs[pv]

    def _limits(self, name: str) -> Limits:
        return replace(self.site.policy(name).limits, log_level=self.site.logs.level)

    def _show(self, name: str) -> Node:
        assert self._store is not None and self._journal is not None and self._spawner is not None
        assert self._audit is not None and self._durations is not None
        assert self._archive is not None and self._edits is not None
        stored, warnings = self._store.load(name)
        for warning in warnings:
            self._sink.line(name, warning, level="WARNING")
        policy = self.site.policy(name)
        settings, told = resume(
            stored,
            time.time(),
            resume_within_s=policy.resume_within_s,
            policy=policy.on_start,
            fresh=self.site.fresh,
        )
        around = Surroundings(
            face=self._face,
            spawner=self._spawner,
            store=self._store,
            durations=self._durations,
            journal=self._journal,
            audit=self._audit,
            archive=self._archive,
            edits=self._edits,
            sink=self._sink,
            security=self._security,
            ifo=self.site.ifo,
            site=self.site.site,
            paths=self.site.paths,
            pv=self.site.pv,
            limits=self._limits(name),
            log_budget=self.site.logs.budget,
            turns=self._turns,
            wanted=self.troubles.wanted,
        )
        node = Node(name, around, settings, told, self._claims.shown(name))
        node.show()
        self._nodes[name] = node
        return node

    async def remove(self, name: str, *, by: str = "") -> None:
        """Take a node down; its settings stay. Two may ask for the same, both are answered when it is gone.

        Parameters
        ----------
        by : who wants it, for the log; "": nobody asked.

        Raises
        ------
        ExpectedError
            There is no such node, or its worker does not end.
        """
        node = self._nodes.get(name)
        if node is None:
            raise ExpectedError(f"{name} does not run in this host; it runs {', '.join(self._nodes) or 'no nodes'}")
        if by:
            self._sink.line(name, f"is removed from this host by {by}")
        self._list_nodes(but=name)
        await node.end()
        if self._nodes.get(name) is node:
            del self._nodes[name]
            self._forget_pvs(name)
            assert self._store is not None
            self._store.leave(name)
            self._claims.release(name)

    async def stop(self) -> tuple[str, ...]:
        """End all nodes and give everything back. Settings stay for the next start.

        Returns
        -------
        tuple of str
            What could not be done, a sentence each: it is in the log too, but that may be on the same full disk.
        """
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for name in list(self._coming):
            self._withdraw(name)
        if self._listed is not None:
            self._face.close(HOST_NODE)
            self._listed = None
        loop = asyncio.get_running_loop()
        last_words = None if self._heartbeats is None else loop.run_in_executor(None, self._heartbeats.stop)
        if self._own_pvs is not None:
            self._own_pvs.close()
            self._own_pvs = None
        ends = await asyncio.gather(*(node.end() for node in self._nodes.values()), return_exceptions=True)
        faults = [str(fault) for fault in ends if fault]  # the others and the files must not suffer from it
        self._nodes.clear()
        self._pvs.clear()
        if self._spawner is not None:
            await self._end_spawner(self._spawner)
        self._locks.close()
        if self._audit is not None:
            self._audit.close()
        if last_words is not None:
            await last_words  # the hub may be slow, and the nodes have not waited for it
        for closing in (self._store, self._journal, self._durations):
            if closing is not None and not await loop.run_in_executor(None, closing.close):
                faults.append(f"something is lost: {closing.trouble() or 'a disk did not answer in time'}")
        if self._edits is not None:
            await loop.run_in_executor(None, self._edits.close)
        if self._archive is not None and not await loop.run_in_executor(None, self._archive.close):
            self._warn(self._archive.trouble() or f"{self._archive.directory}: a disk did not answer in time")
        for fault in faults:
            self._sink.line(NAME, fault, level="ERROR")
        return tuple(faults)

    # --- inside ------------------------------------------------------------------------------------------------

    async def _end_spawner(self, spawner: Spawner) -> None:
        """Also of a host that was refused while it still was preloading."""
        assert self._preloading is not None
        hurry = self._preloading.cancel() or self._preloading.cancelled()
        await asyncio.gather(self._preloading, return_exceptions=True)
        await (spawner.stop(timeout_s=0.0) if hurry else spawner.stop())

    def _on_spawner(self, event: Event) -> None:
        name = event.key.rpartition("#")[0]
        if isinstance(event, Failed) and event.starved:
            self.troubles.wanted(f"a process for {name} could not be started")
        node = self._nodes.get(name)
        if node is not None:
            node.on_spawner(event)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            await self._round(time.time())

    async def _round(self, now: float) -> None:
        rounds: dict[str, Callable[[], None]] = {name: partial(node.tick, now) for name, node in self._nodes.items()}
        if self._audit is not None:
            rounds["the audit"] = partial(self._audit.tick, now)
        rounds["the host"] = self._beat
        await self._rounds.make(rounds)

    async def _look(self) -> None:
        """Does an older host run one of our nodes, which we could not see when we started?"""
        pause_s = claims.FIRST_LOOK_S
        while True:
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, claims.LOOK_S)
            self._claims.mend_locks()
            lost = await self._claims.lost(tuple(self._nodes)) if self._nodes else {}
            for name, why in lost.items():
                self._sink.line(name, why, level="ERROR")
                try:
                    await self.remove(name)
                except ExpectedError as error:
                    self._sink.line(name, str(error), level="ERROR")
                if not self._nodes:
                    self._on_ousted(why)

    def _warn(self, sentence: str) -> None:
        self._sink.line(NAME, sentence, level="WARNING")

    def _no_put(self, name: str, value: Any, who: Who) -> None:
        """The host's own rows are read only."""
        why = f"{name} is of the host, and cannot be written"
        row = next((row for row in HOST_ROWS if row.name == name), None)
        node = HOST_NODE if row is not None else f"{HOST_PREFIX}{self.name}"
        row = row or HOST_PV[name]
        pv = pv_name(self.site.pv, ifo=self.site.ifo, node=node, name=name)
        value = None if isinstance(value, Unreadable) else value
        assert self._audit is not None
        self._audit.refused(
            write_record(
                node=NAME, pv=pv, row=row, value=value, who=who, view=View(), id=0, stamp=time.time(), refused=why
            ),
            who,
        )
        raise RefusedError(why)

    def _beat(self) -> None:
        """A second has passed, for the host itself."""
        assert self._own_pvs is not None and self._store is not None and self._journal is not None
        assert self._durations is not None
        not_ok = sum(not explain.is_ok(node.view) for node in self._nodes.values())
        keepers = (self._store, self._journal, self._durations, self._archive, self._edits)
        threads = tuple(seen for keeper in keepers if keeper is not None for seen in keeper.threads())
        if self._heartbeats is not None:
            self._heartbeats.beat()
        if self._own_pvs.beat(nodes=len(self._nodes), not_ok=not_ok, threads=threads):
            self._store.note_time()

    def _ailments(self) -> Iterable[Ailment]:
        """A full or failing disk stops nobody, nor does it that no workers can be made; but it is told."""
        keepers = (
            self._spawner, self._store, self._journal, self._durations, self._archive, self._edits, self._sink,
            self._claims,
        )  # fmt: skip
        return [one for keeper in keepers if keeper is not None and (one := keeper.ailment()) is not None]
