"""Who has logged in. Sessions are in memory: a console that is started anew knows nobody.

A session is the bearer of a random id, which only the browser keeps: here is its hash. It ends where its user is
removed from the users file or gets another token; a role that changes there counts at once.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from guardian.console.people import Person
from guardian.console.users import User, Users

ID_BYTES = 32
#: Not used for so long, or that old, it is over.
IDLE_S, TOTAL_S = 8 * 3600.0, 7 * 24 * 3600.0
#: Of one user; the oldest is over when there is one more.
MOST = 20


@dataclass(slots=True, kw_only=True)
class Session:
    """Somebody at a browser. ``csrf``: what the page says with each write. Times are monotonic."""

    user: User
    csrf: str
    begun: float
    used: float


class Sessions:
    """Those of a console."""

    def __init__(self, users: Users) -> None:
        self._users = users
        self._sessions: dict[bytes, Session] = {}

    def begin(self, user: User, now: float) -> tuple[str, Session]:
        """A new one, and its id."""
        self._tidy(now)
        own = [key for key, session in self._sessions.items() if session.user.name == user.name]
        for key in own[: max(0, len(own) - MOST + 1)]:
            del self._sessions[key]
        given = secrets.token_urlsafe(ID_BYTES)
        session = Session(user=user, csrf=secrets.token_urlsafe(ID_BYTES), begun=now, used=now)
        self._sessions[_key(given)] = session
        return given, session

    def of(self, given: str, now: float) -> tuple[Person, Session] | None:
        """Whose id it is, by the users file as it was last looked at."""
        key = _key(given)
        session = self._sessions.get(key)
        if session is None:
            return None
        person = self._person(session, now)
        if person is None:
            del self._sessions[key]
            return None
        session.used = now
        return person, session

    def end(self, given: str) -> None:
        """Nobody has this id any more."""
        self._sessions.pop(_key(given), None)

    def _person(self, session: Session, now: float) -> Person | None:
        user = self._users.get(session.user.name)
        if user is None or user.hash != session.user.hash:
            return None
        if now - session.used > IDLE_S or now - session.begun > TOTAL_S:
            return None
        return user.person

    def _tidy(self, now: float) -> None:
        over = [key for key, session in self._sessions.items() if self._person(session, now) is None]
        for key in over:
            del self._sessions[key]


def _key(given: str) -> bytes:
    return hashlib.sha256(given.encode(errors="replace")).digest()
