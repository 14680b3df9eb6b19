"""What a host is called in the names of its own PVs: ``X1:GRD-HOST_ctrl7_OK``.

A site file may say it. Else it is the name of the machine, without its domain, as it is: whoever knows the machine
knows the PVs. Of several hosts of one IFO on a machine the first has that name, the others ``ctrl7-2``, ``ctrl7-3``:
each name is a lock (:mod:`guardian.host.locks`), so it is free again when its host has ended, however it did.
"""

from __future__ import annotations

import re
import socket

from guardian.core.names import HOST_LENGTH, HOST_PREFIX, pv_name
from guardian.host.locks import Locks
from guardian.host.site import Site

#: Hosts of one IFO on one machine.
MOST = 1000


def of_machine() -> str:
    """The name of this machine, without its domain, as a host can be called."""
    name = re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname().partition(".")[0]).strip("-_")
    return name[: HOST_LENGTH - 4] or "machine"  # leaves room for a number


def first(site: Site) -> str:
    """What the host of a site is called if it is the first one on its machine."""
    return site.host or of_machine()


def take(site: Site, locks: Locks, text: str) -> str:
    """The first name that no other host on this machine has; it is ours until `locks` are closed.

    Parameters
    ----------
    text : who we are, for the lock.

    Raises
    ------
    OSError
        Locks cannot be used, so nobody knows who has which name.
    """
    wish = first(site)
    for number in range(1, MOST):
        name = wish if number == 1 else f"{wish}-{number}"
        if locks.take(lock_of(site, name), text) is None:
            return name
    return wish


def lock_of(site: Site, host: str) -> str:
    """The lock of this name."""
    return pv_of(site, host, "OK")


def pv_of(site: Site, host: str, row: str) -> str:
    """A PV of a host."""
    return pv_name(site.pv, ifo=site.ifo, node=f"{HOST_PREFIX}{host}", name=row)
