"""The names of users, as the system knows them; what the environment says may be of somebody else, as after ``su``."""

from __future__ import annotations

import os
import pwd
import socket

from guardian.core.who import Who


def user_name(uid: int | None = None) -> str:
    """Of this user (None: who runs this process), or ``uid N`` where the system has no name."""
    uid = os.getuid() if uid is None else uid
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def who_am_i() -> Who:
    """As whom the programs of this user on this machine are seen by a server on it: libca does not ask $LOGNAME."""
    return Who(user_name(), socket.gethostname(), "127.0.0.1")
