"""Judges the clients of a host, all day long: what it has judged it remembers for a while, and its rules may change.

A client judges itself by the rights that the server tells it, so a put by libca that is not allowed never comes here.
What its user finds in the log is the line of :meth:`Doorkeeper.on_reader`: one for each client that connects to what it
may not write, once in a day, and few for one address.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from guardian.core.acf import Acf
from guardian.core.interface import Asg
from guardian.core.security import Level, Verdict
from guardian.core.who import Who
from guardian.host.access import Access, Rules, read_rules
from guardian.host.reader import Reader
from guardian.host.users import who_am_i

#: What was judged is judged anew after so long, as addresses of this machine may change.
REMEMBERED_S = 60.0
MOST_REMEMBERED = 10_000
#: Names that have no address are looked up again after so long.
AGAIN_S = 60.0
#: Who connects to what it may not write is told once in so long, and so many clients of one address.
TOLD_AGAIN_S = 86_400.0
MOST_TOLD = 5
MOST_ADDRESSES = 1000

Say = Callable[[str, str], None]


class Doorkeeper:
    """A :class:`guardian.core.security.Security` of a host. Made by :meth:`begin`.

    Parameters
    ----------
    reread : what the site says now of who may write. say : takes a line for the log and its level.
    """

    def __init__(self, rules: Rules, reread: Callable[[], Access], say: Say) -> None:
        self._rules = rules
        self._judge = rules.judge()
        self._reread = reread
        self._say = say
        self.on_change: Callable[[], None] = lambda: None  #: called when other rules are in force
        self._judged: dict[tuple[Asg, Who], Verdict] = {}
        self._judged_since = time.monotonic()
        self._told: dict[str, set[Who]] = {}
        self._told_since = self._judged_since
        self._loading = asyncio.Lock()  # who reads last has read what is there last
        self._again: asyncio.Task[None] | None = None
        self._reader = Reader("who may write")

    @classmethod
    async def begin(cls, access: Access, reread: Callable[[], Access], say: Say) -> Doorkeeper:
        """With the rules of a site.

        Raises
        ------
        ExpectedError
            They cannot be used.
        """
        rules = await cls._in_thread(lambda: read_rules(access))
        new = cls(rules, reread, say)
        new._tell()
        return new

    @property
    def acf(self) -> Acf | None:
        """The access security file that is in force."""
        return self._rules.acf

    async def load(self, *, by: str, rules: Rules | None = None) -> Access:
        """Take over what the files say now, for clients that are connected too. If they are bad all stays as it is.

        Parameters
        ----------
        by : who has it done, for the log. rules : that were just read; None: read them.

        Raises
        ------
        ExpectedError
            They are bad.
        """

        async with self._loading:
            if rules is None:
                rules = await self._reader.read(lambda: read_rules(self._reread()))
            self._put_in_force(rules)
            now = self._rules.access
        self._told.clear()
        self._say(f"who may write was read anew from {now.acf or now.file or 'nowhere'}, by {by}", "INFO")
        self._tell()
        self.on_change()
        return now

    def _put_in_force(self, rules: Rules) -> None:
        self._judge = rules.judge()
        self._rules = rules
        self._judged.clear()

    async def _look_up_again(self) -> None:
        """After a power cut a host may be up before the name server."""
        while names := self._rules.nameless:
            await asyncio.sleep(AGAIN_S)
            async with self._loading:
                rules = await self._in_thread(self._rules.looked_up_again)
                if found := sorted({*names} - {*rules.nameless}):
                    self._put_in_force(rules)
                    self._say(f"access: there is an address now for {', '.join(found)}", "INFO")
                    self.on_change()

    @staticmethod
    async def _in_thread(make: Callable[[], Rules]) -> Rules:
        return await asyncio.get_running_loop().run_in_executor(None, make)

    def judge(self, asg: Asg, who: Who) -> Verdict:
        now = time.monotonic()
        if now - self._judged_since > REMEMBERED_S or len(self._judged) > MOST_REMEMBERED:
            self._judged.clear()
            self._judged_since = now
        found = self._judged.get((asg, who))
        if found is None:
            found = self._judged[asg, who] = self._judge.judge(asg, who)
        return found

    def on_reader(self, asg: Asg, who: Who) -> None:
        """This client connects to a PV of a group that it may not write."""
        now = time.monotonic()
        if now - self._told_since > TOLD_AGAIN_S:
            self._told.clear()
            self._told_since = now
        told = self._told.get(who.address)
        if told is not None and (who in told or len(told) >= MOST_TOLD):
            return
        if told is None:
            if len(self._told) >= MOST_ADDRESSES:
                del self._told[next(iter(self._told))]
            told = self._told[who.address] = set()
        told.add(who)
        self._say(f"{who} may not write {asg.value}: {self.judge(asg, who).why}", "INFO")
        if len(told) == MOST_TOLD:
            self._say(f"more clients at {who.address} that may not write are not told today", "INFO")

    def _tell(self) -> None:
        for warning in self._rules.warnings:
            self._say(warning, "WARNING")
        if self._rules.nameless and (self._again is None or self._again.done()):
            self._again = asyncio.get_running_loop().create_task(self._look_up_again(), name="look up again")
        if self._rules.acf is None:
            return
        for asg, level, what in ((Asg.READ, Level.READ, "read"), (Asg.MANAGE, Level.WRITE, "manage")):
            verdict = self.judge(asg, myself := who_am_i())
            if verdict.level < level:
                self._say(f"the nodes of this host cannot {what} each other, as {myself}: {verdict.why}", "WARNING")
                return
