"""What SIGHUP means: the terminal of this process has hung up, or somebody wants it to read its files anew.

A closed ssh must not leave a host behind that nobody sees, so one that had a terminal ends when that is gone. A service
has none, and whoever sends it SIGHUP by hand means the other thing; so does whoever sends it to a host in a terminal
that is still there. Where SIGHUP was ignored at the start (nohup) no terminal is waited for.
"""

from __future__ import annotations

import errno
import os
import signal

#: A shell that ends sends SIGHUP just before its terminal goes; so whoever gets one looks again after so many seconds.
SETTLE_S = 0.3
#: What the kernel says where there is no terminal. Anything else (no descriptors) says nothing of it.
_NONE = frozenset({errno.ENXIO, errno.ENOENT, errno.ENODEV, errno.EIO})


class Terminal:
    """The terminal that this process has at its start, if it has one.

    Attributes
    ----------
    kept : whether there is one whose end is the end of this process.
    """

    def __init__(self) -> None:
        self.kept = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN and _is_there()

    def has_hung_up(self) -> bool:
        """Whether it was there, and is gone."""
        return self.kept and not _is_there()


def _is_there() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK))
    except OSError as error:
        return error.errno not in _NONE
    return True
