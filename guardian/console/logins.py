"""Logging in: a name and a token for a session. What takes time is done in threads, and never in those of others. The
disk with the users file may hang: that keeps people from writing, and neither the pages nor the end of the console.

Wrong tokens make the next try slower, under that name and from that address, by :data:`SLOWEST_S` at most. Nobody is
locked out: not a person by somebody who guesses at the name, nor a colleague at the same address. A token has 160
random bits, so that slow is enough.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from guardian.console.people import Person
from guardian.console.sessions import Session, Sessions
from guardian.console.users import NOBODY, Users, is_token
from guardian.core.texts import clip, printable
from guardian.errors import ExpectedError
from guardian.host.reader import Reader

#: A wrong token makes the next try that much slower, each one twice as much, up to this; and for so long.
SLOWER_S, SLOWEST_S, REMEMBERED_S = 0.05, 2.0, 60.0
#: Names and addresses that are remembered.
MOST_KEPT = 1000
#: Tries at the same time, from one address and in all.
MOST_HERE, MOST_TRIES = 8, 32
#: A disk may take so long to say who the users are.
DISK_S = 5.0
_log = logging.getLogger(__name__)


class BusyError(ExpectedError):
    """Not now."""


class Logins:
    """Who may log in to a console, and who has."""

    def __init__(self, users: Users) -> None:
        self.sessions = Sessions(users)
        self._users = users
        self._slow = Slow()
        self._trying: Counter[str] = Counter()
        self._reader = Reader("the users file")
        self._hasher = ThreadPoolExecutor(1, "tokens")  # the end of the console waits for it: it needs no disk

    async def look(self) -> None:
        """See who the users are now: one who was removed is out from here on.

        Raises
        ------
        BusyError
        """
        try:
            async with asyncio.timeout(DISK_S):
                await self._reader.read(self._users.look)
        except (TimeoutError, ExpectedError):
            raise BusyError(
                f"who may write is not known: the disk with the users file has not answered for {DISK_S:g} s. Try again"
            ) from None

    def who(self, given: str) -> tuple[Person, Session] | None:
        """Whose session has this id."""
        return self.sessions.of(given, time.monotonic())

    async def begin(self, name: str, token: str, address: str) -> tuple[str, Person, Session]:
        """A new session, with its id.

        Raises
        ------
        ExpectedError
            There is no such user with this token.
        BusyError
        """
        if self._trying[address] >= MOST_HERE or self._trying.total() >= MOST_TRIES:
            raise BusyError("too many people log in at this moment: try again in a few seconds")
        self._trying[address] += 1
        try:
            return await self._begin(name, token, address)
        finally:
            self._trying[address] -= 1
            self._trying += Counter()  # drops those that are done

    def end(self, given: str) -> None:
        """Log out."""
        self.sessions.end(given)

    async def _begin(self, name: str, token: str, address: str) -> tuple[str, Person, Session]:
        keys = (f"name {name}", f"address {address}")
        await asyncio.sleep(self._slow.delay_s(keys, time.monotonic()))
        await self.look()
        user = self._users.get(name) or NOBODY
        if not await asyncio.get_running_loop().run_in_executor(self._hasher, is_token, user, token):
            count = self._slow.wrong(keys, time.monotonic())
            if count & (count - 1) == 0:  # 1, 2, 4, 8: somebody who guesses does not fill the log
                shown = clip(printable(name), 100)
                _log.warning("a wrong name or token, %d in a row, from %s: user %r", count, address, shown)
            raise ExpectedError("there is no such user with this token")
        self._slow.right(keys)
        given, session = self.sessions.begin(user, time.monotonic())
        _log.info("%s (%s) has logged in from %s", user.name, user.role.word, address)
        return given, user.person, session


class Slow:
    """How slow the next try is. Times are monotonic."""

    def __init__(self) -> None:
        self._wrong: dict[str, tuple[int, float]] = {}  # how often in a row, and the last time

    def delay_s(self, keys: tuple[str, ...], now: float) -> float:
        """To wait before the token is looked at, whichever it is."""
        count = max(self._count(key, now) for key in keys)
        return min(SLOWER_S * 2.0 ** min(count, 30), SLOWEST_S) if count else 0.0

    def wrong(self, keys: tuple[str, ...], now: float) -> int:
        """It was wrong: how often in a row, by the worst of the keys."""
        for key in keys:
            count = self._count(key, now) + 1
            self._wrong.pop(key, None)
            self._wrong[key] = (count, now)
        while len(self._wrong) > MOST_KEPT:
            del self._wrong[next(iter(self._wrong))]
        return max(self._wrong[key][0] for key in keys)

    def right(self, keys: tuple[str, ...]) -> None:
        """It was right."""
        for key in keys:
            self._wrong.pop(key, None)

    def _count(self, key: str, now: float) -> int:
        count, last = self._wrong.get(key, (0, now))
        return count if now - last < REMEMBERED_S else 0
