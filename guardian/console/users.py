"""The users file: who may log in, as what. A line of JSON each, with a salted hash of a token, for its owner only.

A token is made here, at random, and shown once; so nobody can choose a bad one, and the file gives none away.

Invariants
----------
* What is written replaces the file as a whole, and one writer waits for the other: see :func:`changing`.
* A file that cannot be understood changes nothing: a console goes on with what it last read, and says so. One that is
  gone has nobody in it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import json
import logging
import os
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from guardian.console.people import ROLES, Person, Role, why_not_name
from guardian.errors import ExpectedError
from guardian.host.files import sync_dir, write_atomic

TOKEN_BYTES, SALT_BYTES, HASH_BYTES = 20, 16, 32
#: Cost of one hash: 16 MB for about 50 ms. Tokens are long and random, so it need not be more.
_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 2**14, 8, 1
#: A file with more is no users file.
MOST_BYTES = 1_000_000
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A line of the file. ``salt`` and ``hash`` are hexadecimal."""

    name: str
    role: Role
    salt: str
    hash: str

    @property
    def person(self) -> Person:
        return Person(self.name, self.role)

    def line(self) -> str:
        return json.dumps({"name": self.name, "role": self.role.word, "salt": self.salt, "hash": self.hash})


#: Stands in for whoever is not there, so that a name that nobody has costs the time of a wrong token.
NOBODY = User(name="", role=Role.VIEWER, salt="00" * SALT_BYTES, hash="00" * HASH_BYTES)


def invent(name: str, role: Role) -> tuple[User, str]:
    """A new user, and the token to log in with, which is kept nowhere."""
    token, salt = secrets.token_hex(TOKEN_BYTES), secrets.token_bytes(SALT_BYTES)
    return User(name=name, role=role, salt=salt.hex(), hash=_hash(token, salt).hex()), token


def is_token(user: User, token: str) -> bool:
    """Whether it is the user's. Takes a core for about 50 ms, whoever it is: not for a loop."""
    right = hmac.compare_digest(_hash(token, bytes.fromhex(user.salt)), bytes.fromhex(user.hash))
    return right and user is not NOBODY


def _hash(token: str, salt: bytes) -> bytes:
    return hashlib.scrypt(
        token.encode(errors="replace"), salt=salt, n=_SCRYPT_N, r=_SCRYPT_R, p=_SCRYPT_P, dklen=HASH_BYTES
    )


# --- the file ---------------------------------------------------------------------------------------------------------


def read(path: Path) -> dict[str, User]:
    """All users, by name.

    Raises
    ------
    FileNotFoundError
    ExpectedError
        It cannot be read or understood, or others than its owner can read it.
    """
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            why = _why_not_safe(path, os.fstat(file.fileno()))
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ExpectedError(f"the users in {path} cannot be read: {error.strerror or error}") from None
    if why:
        raise ExpectedError(why)
    if len(data) > MOST_BYTES:
        raise ExpectedError(f"{path} has more than {MOST_BYTES} bytes: that is no file of users")
    users: dict[str, User] = {}
    for number, line in enumerate(data.decode(errors="replace").splitlines(), 1):
        if line.strip():
            user = _parse(line, f"{path}:{number}")
            if user.name in users:
                raise ExpectedError(f"{path}:{number}: {user.name} is there twice; remove one of the two lines")
            users[user.name] = user
    return users


def _why_not_safe(path: Path, facts: os.stat_result) -> str | None:
    if not stat.S_ISREG(facts.st_mode):
        return f"{path} is no file, and cannot have users"
    mode = stat.S_IMODE(facts.st_mode)
    if mode & 0o077:
        return f"{path} has users, and others than its owner have rights on it (mode {mode:04o}): chmod 600 {path}"
    return None


def _parse(line: str, where: str) -> User:
    try:
        told = json.loads(line)
        user = User(name=told["name"], role=ROLES[told["role"]], salt=told["salt"], hash=told["hash"])
        sizes = len(bytes.fromhex(user.salt)), len(bytes.fromhex(user.hash))
        right = why_not_name(user.name) is None and sizes == (SALT_BYTES, HASH_BYTES)
    except (ValueError, KeyError, TypeError, RecursionError):
        right = False
    if not right:
        raise ExpectedError(
            f"{where}: this is no user; put back what was there, or remove the line and add the user anew "
            "(guardian-console users add)"
        )
    return user


@contextlib.contextmanager
def changing(path: Path) -> Iterator[dict[str, User]]:
    """The users, to be changed: what the dictionary says at the end is what the file says then. It need not exist.

    Raises
    ------
    ExpectedError
        Nothing was changed.
    """
    path = path.resolve()
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise ExpectedError(f"users cannot be kept in {path}: {path.parent}: {error.strerror or error}") from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        try:
            owner = path.stat().st_uid
            if owner != os.geteuid():
                raise ExpectedError(f"{path} belongs to another user (number {owner}): do this as that one")
            users = read(path)
        except FileNotFoundError:
            users = {}
        yield users
        data = "".join(f"{user.line()}\n" for user in users.values()).encode()
        before = os.umask(0o177)
        try:
            write_atomic(path, data, durable=True)
            sync_dir(path.parent)
        except OSError as error:
            raise ExpectedError(f"{path} was not changed: {error.strerror or error}") from None
        finally:
            os.umask(before)
    finally:
        os.close(folder)


class Users:
    """The users of a console that runs: those that the file has now.

    Raises
    ------
    ExpectedError
        When it is made: the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: object = None
        self._users: dict[str, User] = {}
        try:
            self._seen, self._users = _stamp(path), read(path)
        except FileNotFoundError:
            raise ExpectedError(
                f"there is no file {path} with users: guardian-console users add NAME --role operator --users {path}"
            ) from None

    def look(self) -> None:
        """Read the file anew if it is another one. May wait for a disk: for one thread at a time."""
        seen = _stamp(self._path)
        if seen == self._seen:
            return
        try:
            self._users = read(self._path)
        except FileNotFoundError:
            self._users = {}
            _log.error("%s is gone: nobody can log in any more", self._path)
        except ExpectedError as error:
            _log.error("%s. Until then the users are those of before", error)
        self._seen = seen

    def get(self, name: str) -> User | None:
        """As the file had it at the last look."""
        return self._users.get(name)


def _stamp(path: Path) -> object:
    """Another one for another content."""
    try:
        facts = path.stat()
    except OSError as error:
        return error.errno
    return facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_mode
