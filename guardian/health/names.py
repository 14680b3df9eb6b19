"""The files that say which processes of this machine there are, and how far each has come: one for each name.

The living process holds its file by a lock (:mod:`guardian.health.lockfiles`), and writes its state into it. Whoever
reads tries the lock: if it is free the process is gone, and has failed unless STOPPED is the last that it wrote. A
forked child closes what it inherits, so it neither is that process nor keeps it alive.

A file has a fixed length, so on a disk that has become full a state can still be written. Files of names that nobody
has chosen are removed when their process ends; those of processes that were killed, by later ones, after a day.

Cost: some 100 us for a name, 20 us for a state.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from guardian.enums import ProcessState
from guardian.health.lockfiles import is_at, open_folder, open_for_all, open_to_read, read

_SUFFIX = ".process"
_LENGTH = 256
#: Others look at a lock by taking it for a moment.
_ATTEMPTS, _MOMENT_S = 20, 0.005
#: After so many seconds a file of a name that nobody has chosen is removed by others.
_KEPT_S = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a file says.

    Parameters
    ----------
    since : epoch seconds at which it came to that state. chosen : somebody has chosen the name.
    """

    pid: int
    state: ProcessState
    since: float
    chosen: bool = True

    @property
    def text(self) -> str:
        known = {"pid": self.pid, "state": self.state.name, "since": round(self.since, 3), "chosen": self.chosen}
        return json.dumps(known).ljust(_LENGTH - 1) + "\n"


class Held:
    """The file of one name, held by this process.

    The program may close what it has not opened, and get the numbers for files of its own. So before a descriptor is
    used it is looked at.

    Attributes
    ----------
    files : the descriptors that are open for it.
    """

    def __init__(self, path: Path, file: int, folder: int) -> None:
        self._path = path
        self._ours = {fd: _identity(fd) for fd in (file, folder)}
        self._file = file

    @property
    def files(self) -> tuple[int, ...]:
        return tuple(self._ours)

    @property
    def lost(self) -> bool:
        """Whether somebody has closed it, and with that given up the lock."""
        return self._ours.get(self._file) != _identity(self._file)

    def write(self, entry: Entry) -> None:
        """Say how far the process has come."""
        if not self.lost:
            os.pwrite(self._file, entry.text.encode(), 0)
            os.ftruncate(self._file, _LENGTH)

    def close(self, *, remove: bool) -> None:
        """Give it back; `remove`: there shall be nothing known of this name."""
        if remove and not self.lost:
            with contextlib.suppress(OSError):  # the file of another user
                if is_at(self._path, self._file):
                    self._path.unlink()
        self.drop()

    def drop(self) -> None:
        """It is another process's: close it here."""
        for fd, identity in self._ours.items():
            if _identity(fd) == identity:
                os.close(fd)
        self._ours = {}


def _identity(fd: int) -> tuple[int, int] | None:
    """Which file an open descriptor is of."""
    try:
        found = os.fstat(fd)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def take(directory: Path, name: str) -> Held | Entry | None:
    """Take a name.

    Returns
    -------
    Held
        It is ours. Entry or None: a living process has it, and this is what is known of it.

    Raises
    ------
    OSError
        The folder or the file cannot be used.
    """
    path = _path(directory, name)
    folder = open_folder(directory)
    try:
        for _ in range(_ATTEMPTS):
            fd = open_for_all(path)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if is_at(path, fd):
                    held, folder, fd = Held(path, fd, folder), -1, -1
                    return held
            except BlockingIOError:
                time.sleep(_MOMENT_S)
            finally:
                if fd >= 0:
                    os.close(fd)
    finally:
        if folder >= 0:
            os.close(folder)
    return look(directory, name)


def look(directory: Path, name: str) -> Entry | None:
    """What is known of the process of that name, as it is now; None: nothing.

    Raises
    ------
    OSError
        The file cannot be used.
    """
    try:
        fd = open_to_read(_path(directory, name))
    except FileNotFoundError:
        return None
    try:
        lives = _is_held(fd)
        entry = _parse(read(fd), lives=lives)
    finally:
        os.close(fd)
    if lives or entry.state is ProcessState.STOPPED:
        return entry
    return Entry(pid=entry.pid, state=ProcessState.FAIL, since=entry.since, chosen=entry.chosen)


def sweep(directory: Path) -> None:
    """Remove what processes of unchosen names have left that were killed long ago."""
    with contextlib.suppress(OSError):
        for path in directory.glob(f"*{_SUFFIX}"):
            with contextlib.suppress(OSError):
                if time.time() - path.lstat().st_mtime > _KEPT_S:
                    _sweep(path)


def _sweep(path: Path) -> None:
    fd = open_to_read(path)
    try:
        if not _parse(read(fd), lives=False).chosen:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_at(path, fd):
                path.unlink()
    finally:
        os.close(fd)


def _path(directory: Path, name: str) -> Path:
    return directory / f"{quote(name, safe=':')}{_SUFFIX}"


def _is_held(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _parse(text: str, *, lives: bool) -> Entry:
    """The entry; for a file that says nothing (a disk was full) a process that has just begun."""
    try:
        values = json.loads(text)
        state = ProcessState[values["state"]]
        return Entry(
            pid=int(values["pid"]), state=state, since=float(values["since"]), chosen=values.get("chosen") is not False
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Entry(pid=0, state=ProcessState.BOOTING if lives else ProcessState.FAIL, since=0.0)
