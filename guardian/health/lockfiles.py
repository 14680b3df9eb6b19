"""Files that a process of this machine holds by a lock, in a folder that all users share.

The lock is the kernel's (flock): it goes with the process that has it, also by kill -9, so nothing stale is ever met.

* **One folder for all.** Which one does not depend on the user or the environment, else two processes would not meet:
  it is in ``/run/lock`` where all may write there (Debian), else in ``/tmp``. ``GUARD_LOCK_DIR`` names another one, for
  those that shall *not* meet: those of a test or a demo, whose networks have no contact.
* **Anybody's file can be locked**, as reading is enough for that; files and folder may be written by all, as far as the
  sticky bit allows. Links and devices that somebody has put there are not followed.
* **Cleaners** (systemd-tmpfiles empties ``/tmp`` of what is 10 days old) pass over a folder in which somebody holds a
  lock on the folder itself, see tmpfiles.d(5): so this is held too. A file that is gone all the same is made anew.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from pathlib import Path

_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
#: What is read of a file, at most.
MOST_BYTES = 8000


def folder() -> Path:
    """Where the locks of this machine are."""
    if name := os.environ.get("GUARD_LOCK_DIR"):
        return Path(name)
    system = Path("/run/lock")
    with contextlib.suppress(OSError):
        if system.stat().st_mode & stat.S_IWOTH:
            return system / "guardian"
    return Path("/tmp/guardian-locks")


def open_folder(directory: Path) -> int:
    """Make the folder if need be, and keep cleaners out of it for as long as the descriptor is open."""
    with contextlib.suppress(FileExistsError):
        directory.mkdir(parents=True)
        directory.chmod(0o1777)
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    with contextlib.suppress(OSError):
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return fd


def open_for_all(path: Path) -> int:
    """Open a file, made if need be. O_CREAT alone does not open a file of another user, in a sticky folder."""
    while True:
        try:
            return _plain(os.open(path, os.O_RDWR | _FLAGS), path)
        except PermissionError:
            return open_to_read(path)
        except FileNotFoundError:
            with contextlib.suppress(FileExistsError):
                fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS)
                os.fchmod(fd, 0o666)
                return fd


def open_to_read(path: Path) -> int:
    """Open a file that is there."""
    return _plain(os.open(path, os.O_RDONLY | _FLAGS), path)


def read(fd: int) -> str:
    """What the file says."""
    return os.pread(fd, MOST_BYTES, 0).decode(errors="replace")


def is_at(path: Path, fd: int) -> bool:
    """Whether the open file is the one of that name."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(fd))
    except FileNotFoundError:
        return False


def _plain(fd: int, path: Path) -> int:
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(0, "something else has that name", os.fspath(path))
    return fd
