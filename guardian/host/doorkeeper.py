"""Judges the clients of a host, all day long: what it has judged it remembers for a while, and its rules may change.

A client judges itself by the rights that the server tells it, so a put by libca that is not allowed never comes here.
What its user finds in the log is the line of :meth:`Doorkeeper.on_reader`: one for each client that connects to what it
may not write, once in a day, and few for one address.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable

from guardian.core.interface import Asg
from guardian.core.security import Level, Security, Verdict
from guardian.core.who import Who
from guardian.host.access import Access, make_judge
from guardian.host.users import user_name

#: What was judged is judged anew after so long, as addresses of this machine may change.
REMEMBERED_S = 60.0
MOST_REMEMBERED = 10_000
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

    def __init__(self, judge: Security, reread: Callable[[], Access], say: Say) -> None:
        self._rules = judge
        self._reread = reread
        self._say = say
        self.on_change: Callable[[], None] = lambda: None  #: called when other rules are in force
        self._judged: dict[tuple[Asg, Who], Verdict] = {}
        self._judged_since = time.monotonic()
        self._told: dict[str, set[Who]] = {}
        self._told_since = self._judged_since
        self._loading = asyncio.Lock()  # who reads last has read what is there last

    @classmethod
    async def begin(cls, access: Access, reread: Callable[[], Access], say: Say) -> Doorkeeper:
        """With the rules of a site.

        Raises
        ------
        ExpectedError
            They cannot be used.
        """
        judge, warnings = await asyncio.get_running_loop().run_in_executor(None, make_judge, access)
        new = cls(judge, reread, say)
        new._tell(access, warnings)
        return new

    async def load(self, *, by: str) -> Access:
        """Take over what the files say now, for clients that are connected too. If they are bad all stays as it is.

        Parameters
        ----------
        by : who has it done, for the log.

        Raises
        ------
        ExpectedError
            They are bad.
        """

        def read() -> tuple[Access, Security, list[str]]:
            access = self._reread()
            return access, *make_judge(access)

        async with self._loading:
            access, self._rules, warnings = await asyncio.get_running_loop().run_in_executor(None, read)
        self._judged.clear()
        self._told.clear()
        self._say(f"who may write was read anew from {access.acf or access.file or 'nowhere'}, by {by}", "INFO")
        self._tell(access, warnings)
        self.on_change()
        return access

    def judge(self, asg: Asg, who: Who) -> Verdict:
        now = time.monotonic()
        if now - self._judged_since > REMEMBERED_S or len(self._judged) > MOST_REMEMBERED:
            self._judged.clear()
            self._judged_since = now
        found = self._judged.get((asg, who))
        if found is None:
            found = self._judged[asg, who] = self._rules.judge(asg, who)
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

    def _tell(self, access: Access, warnings: list[str]) -> None:
        for warning in warnings:
            self._say(warning, "WARNING")
        if access.acf is None:
            return
        for asg, level, what in ((Asg.READ, Level.READ, "read"), (Asg.MANAGE, Level.WRITE, "manage")):
            verdict = self.judge(asg, myself := who_am_i())
            if verdict.level < level:
                self._say(f"the nodes of this host cannot {what} each other, as {myself}: {verdict.why}", "WARNING")
                return


def who_am_i() -> Who:
    """As whom the programs of this user on this machine are seen by a server on it: libca does not ask $LOGNAME."""
    return Who(user_name(), socket.gethostname(), "127.0.0.1")
