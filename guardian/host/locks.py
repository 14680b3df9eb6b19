"""One host a node on this machine: a lock file for each node, in the folder of :mod:`guardian.health.lockfiles`.

The file says who has it. It is removed with the lock, and may also stay: that means nothing. A folder that cannot be
used is told, and is no reason not to start.

Cost: about 30 us and one descriptor a node.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from urllib.parse import quote, unquote

from guardian.health.lockfiles import folder, is_at, open_folder, open_for_all, open_to_read, read

__all__ = ["Locks", "folder", "written"]


def written(directory: Path) -> dict[str, str]:
    """What the lock files of a folder say, by the names of their locks. Nothing is locked, so nobody is kept out.

    A file may have been left behind by a host that was killed: who wants to know asks that host.
    """
    found = {}
    with contextlib.suppress(OSError):
        for path in sorted(directory.glob("*.lock")):
            with contextlib.suppress(OSError):
                fd = open_to_read(path)
                try:
                    found[unquote(path.name.removesuffix(".lock"))] = read(fd)
                finally:
                    os.close(fd)
    return found


class Locks:
    """The locks that this host holds.

    Parameters
    ----------
    directory : where they are; made when it is first needed.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._held: dict[str, int] = {}
        self._own: int | None = None  # the lock on the folder

    def path(self, name: str) -> Path:
        """The lock file of this name, which may be any text."""
        return self.directory / f"{quote(name, safe=':')}.lock"

    def take(self, name: str, text: str) -> str | None:
        """Take a lock, and write into it who has it.

        Returns
        -------
        str or None
            None: it is ours. Else what the one who has it wrote.

        Raises
        ------
        OSError
            The folder or the file cannot be used.
        """
        if self._own is None:
            self._own = open_folder(self.directory)
        while True:
            fd = open_for_all(self.path(name))
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                try:
                    return read(fd)
                finally:
                    os.close(fd)
            except OSError:
                os.close(fd)
                raise
            if is_at(self.path(name), fd):
                break
            os.close(fd)  # somebody has removed it meanwhile: it keeps nobody out
        self._held[name] = fd
        self.write(name, text)
        return None

    def write(self, name: str, text: str) -> None:
        """Write into a lock, if it is ours, who has it."""
        words = text.encode()
        with contextlib.suppress(KeyError, OSError):  # another user's file, or a full disk: the lock is what counts
            os.pwrite(self._held[name], words, 0)  # before it is cut, so that who reads it now never finds nothing
            os.ftruncate(self._held[name], len(words))

    def give(self, name: str) -> None:
        """Give a lock back, if it is ours."""
        if (fd := self._held.pop(name, None)) is not None:
            with contextlib.suppress(OSError):  # the file of another user
                if is_at(self.path(name), fd):
                    self.path(name).unlink()
            os.close(fd)

    def close(self) -> None:
        """Give all back."""
        for name in list(self._held):
            self.give(name)
        if self._own is not None:
            os.close(self._own)
            self._own = None
