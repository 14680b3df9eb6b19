"""One host a node on this machine: a lock file for each node, in a folder that all users share.

The lock is the kernel's (flock): it goes with the process that has it, also by kill -9, so nothing stale is ever met.
The file says who has it. It is removed with the lock, and may also stay: that means nothing.

* **One folder for all.** Which one does not depend on the user or the environment, else two hosts would not meet: it is
  in ``/run/lock`` where all may write there (Debian), else in ``/tmp``. ``GUARD_LOCK_DIR`` names another one, for hosts
  that shall *not* meet: those of a test or a demo, whose networks have no contact.
* **Anybody's file can be locked**, as reading is enough for that; files and folder may be written by all, as far as the
  sticky bit allows. Links and devices that somebody has put there are not followed.
* **Cleaners** (systemd-tmpfiles empties ``/tmp`` of what is 10 days old) pass over a folder in which somebody holds a
  lock on the folder itself, see tmpfiles.d(5): so this is held too. A file that is gone all the same is made anew.
* A folder that cannot be used is told, and is no reason not to start.

Cost: about 30 us and one descriptor a node.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from pathlib import Path
from urllib.parse import quote, unquote

_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_MOST_BYTES = 8000


def folder() -> Path:
    """Where the locks of this machine are."""
    if name := os.environ.get("GUARD_LOCK_DIR"):
        return Path(name)
    system = Path("/run/lock")
    with contextlib.suppress(OSError):
        if system.stat().st_mode & stat.S_IWOTH:
            return system / "guardian"
    return Path("/tmp/guardian-locks")


def written(directory: Path) -> dict[str, str]:
    """What the lock files of a folder say, by the names of their locks. Nothing is locked, so nobody is kept out.

    A file may have been left behind by a host that was killed: who wants to know asks that host.
    """
    found = {}
    with contextlib.suppress(OSError):
        for path in sorted(directory.glob("*.lock")):
            with contextlib.suppress(OSError):
                fd = _plain(os.open(path, os.O_RDONLY | _FLAGS), path)
                try:
                    found[unquote(path.name.removesuffix(".lock"))] = os.pread(fd, _MOST_BYTES, 0).decode(
                        errors="replace"
                    )
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
        self._open_folder()
        while True:
            fd = _open(self.path(name))
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                try:
                    return os.pread(fd, _MOST_BYTES, 0).decode(errors="replace")
                finally:
                    os.close(fd)
            except OSError:
                os.close(fd)
                raise
            if _is(self.path(name), fd):
                break
            os.close(fd)  # somebody has removed it meanwhile: it keeps nobody out
        self._held[name] = fd
        self.write(name, text)
        return None

    def write(self, name: str, text: str) -> None:
        """Write into a lock, if it is ours, who has it."""
        with contextlib.suppress(KeyError, OSError):  # another user's file, or a full disk: the lock is what counts
            os.ftruncate(self._held[name], 0)
            os.pwrite(self._held[name], text.encode(), 0)

    def give(self, name: str) -> None:
        """Give a lock back, if it is ours."""
        if (fd := self._held.pop(name, None)) is not None:
            with contextlib.suppress(OSError):  # the file of another user
                if _is(self.path(name), fd):
                    self.path(name).unlink()
            os.close(fd)

    def close(self) -> None:
        """Give all back."""
        for name in list(self._held):
            self.give(name)
        if self._own is not None:
            os.close(self._own)
            self._own = None

    def _open_folder(self) -> None:
        if self._own is not None:
            return
        with contextlib.suppress(FileExistsError):
            self.directory.mkdir(parents=True)
            self.directory.chmod(0o1777)
        self._own = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        with contextlib.suppress(OSError):
            fcntl.flock(self._own, fcntl.LOCK_SH | fcntl.LOCK_NB)


def _open(path: Path) -> int:
    """Open a lock file, made if need be. O_CREAT alone does not open a file of another user, in a sticky folder."""
    while True:
        try:
            return _plain(os.open(path, os.O_RDWR | _FLAGS), path)
        except PermissionError:
            return _plain(os.open(path, os.O_RDONLY | _FLAGS), path)
        except FileNotFoundError:
            with contextlib.suppress(FileExistsError):
                fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS)
                os.fchmod(fd, 0o666)
                return fd


def _plain(fd: int, path: Path) -> int:
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(0, "something else has that name", os.fspath(path))
    return fd


def _is(path: Path, fd: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(fd))
    except FileNotFoundError:
        return False
