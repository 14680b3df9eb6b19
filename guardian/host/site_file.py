"""The site file of a running host: read anew, compared with what runs, and followed.

The difference is told before anything is done, and each thing that is done says what became of it. The file is the
truth: a node that somebody created by hand and that it does not list goes, one that was destroyed and is listed comes
back. A file with a fault changes nothing; it is an alarm of the host until it reads well again, as the next start of
the host would fail.

One reading at a time. However often SIGHUP comes meanwhile, one more follows, a second later. What is done is held in
memory only, so a host that is killed in the middle starts with the file as it stands, and its nodes with their
settings.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from guardian.core.ailments import Ailment
from guardian.core.when import utc
from guardian.enums import Op, Severity
from guardian.errors import ExpectedError
from guardian.host.access import Rules, read_rules
from guardian.host.doorkeeper import Doorkeeper
from guardian.host.host import Host
from guardian.host.reader import Reader
from guardian.host.site import Site
from guardian.host.site_changes import Changes, changes, followed

_log = logging.getLogger(__name__)
#: Seconds between two readings that signals bring about: each is some lines of the log.
GAP_S = 1.0
Say = Callable[[str, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """Where a site is from.

    Parameters
    ----------
    path : for messages. read : what it says now, with what the command line says on top; raises ExpectedError.
    """

    path: Path
    read: Callable[[], Site]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What the file says now, and what is otherwise in it."""

    site: Site
    rules: Rules
    changes: Changes

    @property
    def lines(self) -> list[str]:
        return list(self.changes.lines())

    @property
    def digest(self) -> str:
        """Tells this difference from another one: what is done must be what was shown."""
        return hashlib.sha256(json.dumps(self.changes.facts).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """One thing that was done, or could not be."""

    text: str
    ok: bool = True


class SiteFile:
    """The site file of `host`.

    Parameters
    ----------
    doorkeeper : who judges by its [access]. say : takes a line for the log and its level.
    reloading : is entered while the file is followed, so that a service manager knows.
    """

    def __init__(
        self,
        host: Host,
        file: File,
        doorkeeper: Doorkeeper,
        say: Say,
        reloading: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
    ) -> None:
        self.path = file.path
        self.read_at = time.time()
        self._host = host
        self._read = file.read
        self._reloading = reloading
        self._doorkeeper = doorkeeper
        self._say = say
        self._reader = Reader(f"site file {file.path}")
        self._one_at_a_time = asyncio.Lock()
        self._up = asyncio.Event()
        self._signalled = asyncio.Event()
        self._task = asyncio.create_task(self._follow_signals(), name="site file")
        self._fault = ""
        host.troubles.ask(self._ailments)

    def ready(self) -> None:
        """The nodes of the host are up: what has been asked for until now is done now."""
        self._up.set()

    def signalled(self) -> None:
        """SIGHUP: follow the file, soon. Any number of times."""
        self._signalled.set()

    async def stop(self) -> None:
        """Nothing is read any more."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def look(self) -> Difference:
        """Read the file. Nothing is done.

        Raises
        ------
        ExpectedError
            With every fault in it.
        """
        try:
            site, rules = await self._reader.read(self._read_all)
        except ExpectedError as error:
            self._fault = str(error)
            raise
        self._fault = ""
        found = changes(self._running(), site)
        if rules.acf is not None and rules.acf != self._doorkeeper.acf and not found.access:
            found = replace(found, access=(f"who may write: {site.access.acf} has changed",))
        return Difference(site=site, rules=rules, changes=found)

    async def follow(self, *, by: str, shown: str = "") -> list[Done]:
        """Read the file, tell what is otherwise in the log, and do it. What became of it.

        Parameters
        ----------
        by : who wants it. shown : the digest of the difference that they have seen; "": they have seen none.

        Raises
        ------
        ExpectedError
            It has faults, or there is another difference now: then nothing was done.
        """
        await self._up.wait()
        async with self._one_at_a_time:
            with self._reloading():
                done = await self._follow(by, shown)
            self.read_at = time.time()
        for one in done:
            self._say(one.text, "INFO" if one.ok else "ERROR")
        return done

    async def created(self, node: str) -> str:
        """A node is about to be added by hand: it gets the policy that the file has for it. What is to be known."""
        site = await self._now()
        if node in site.nodes:
            old = self._host.site
            self._host.follow(replace(old, own={**old.own, node: site.policy(node)}))
            return ""
        return (
            f"{self.path.name} does not list it: it is gone with the next start of the host, or guardctrl reload. "
            "To keep it, add it to nodes"
        )

    async def destroyed(self, node: str) -> str:
        """A node was removed by hand. What is to be known."""
        if node not in (await self._now()).nodes:
            return ""
        return (
            f"{self.path.name} lists it: it comes back with the next start of the host, or guardctrl reload. "
            "To be rid of it, take it out of nodes"
        )

    # --- inside ------------------------------------------------------------------------------------------------

    async def _follow(self, by: str, shown: str) -> list[Done]:
        found = await self.look()
        if shown and shown != found.digest:
            raise ExpectedError(
                f"nothing was done: {self.path.name}, or what runs, is otherwise than what was shown a moment ago; "
                "guardctrl reload shows the difference of now"
            )
        self._say(f"{self.path} is read anew, by {by}: {'; '.join(found.lines) or 'nothing is otherwise'}", "INFO")
        return await self._do(found, by)

    def _read_all(self) -> tuple[Site, Rules]:
        site = self._read()
        return site, read_rules(site.access)

    async def _now(self) -> Site:
        """What the file says; if it has faults, what it said when it was read last."""
        with contextlib.suppress(ExpectedError):
            return (await self.look()).site
        return self._host.site

    def _running(self) -> Site:
        host = self._host
        there = [name for name in host if not host[name].leaving]
        return replace(host.site, nodes=(*there, *host.coming))

    async def _do(self, found: Difference, by: str) -> list[Done]:
        host, what, done = self._host, found.changes, list[Done]()
        try:
            await self._doorkeeper.load(by=by, rules=found.rules)
        except ExpectedError as error:
            return [Done(text=f"nothing was done: {error}", ok=False)]
        host.follow(followed(host.site, found.site))
        if what.access:
            done.append(Done(text="who may write: in force for all clients"))
        if what.policies:
            done.append(Done(text=f"policies: in force for {_count(what.policies)}"))
        if what.code:
            done.append(Done(text="path, site: for workers that start from now on"))
        leaving = [name for name in what.added if name in host]  # they end first, and come back
        ends = await asyncio.gather(*(self._remove(name, by) for name in (*leaving, *what.removed)))
        done += ends[len(leaving) :]
        return done + await self._add(what.added, by)

    async def _remove(self, name: str, by: str) -> Done:
        try:
            await self._host.remove(name, by=by)
        except ExpectedError as error:
            return Done(text=f"{name} is not removed: {error}", ok=False)
        return Done(text=f"{name} is removed; its settings are kept")

    async def _add(self, names: Sequence[str], by: str) -> list[Done]:
        """All at once; if one of them cannot be, one by one."""
        try:
            refused = await self._host.add_all(names, by=by)
        except ExpectedError as error:
            if len(names) > 1:
                return [one for name in names for one in await self._add([name], by)]
            refused = {name: f"{name} is not added: {error}" for name in names}
        return [
            Done(text=refused[name], ok=False) if name in refused else Done(text=f"{name} is added{self._how(name)}")
            for name in names
        ]

    def _how(self, name: str) -> str:
        """A node that was stopped when it left stays so."""
        stopped = name in self._host and self._host[name].view.op is Op.STOP
        return f", and is stopped as before; guardctrl start {name}" if stopped else " and starts"

    async def _follow_signals(self) -> None:
        while True:
            await self._signalled.wait()
            self._signalled.clear()
            try:
                await self.follow(by="SIGHUP")
            except ExpectedError as error:
                self._say(f"SIGHUP: nothing was done: {error}", "ERROR")
            except Exception:  # the next signal is to be heard all the same
                _log.exception("SIGHUP: %s could not be followed; please report it", self.path)
            await asyncio.sleep(GAP_S)

    def _ailments(self) -> Iterable[Ailment]:
        if self._fault:
            yield Ailment(
                what="site file",
                severity=Severity.MINOR,
                text=f"{self._fault}. The host goes on with what it read at {utc(self.read_at)}, and would not start "
                "with this; mend the file, then guardctrl reload",
            )


def _count(nodes: Iterable[str]) -> str:
    number = len(tuple(nodes))
    return f"{number} node{'s' if number != 1 else ''}"
