"""The settings of all nodes of a host, kept in a directory.

Each node has two files, written by two lanes (:mod:`guardian.host.files`), so each danger has its remedy:

``NODE.json``
    always the latest, replaced at once by a rename without fsync. It survives kill -9. After a power cut some file
    systems leave it empty.
``NODE.json.safe``
    the same, at most a second later, fsynced with its directory. It is read when ``NODE.json`` cannot be.

A person may edit ``NODE.json`` while no host runs the node: it is what is read first.

How long was a node away? Settings change rarely, so the time of the last save says nothing. Each run of a host (a
*session*) writes the time into its own file ``.alive-SESSION`` every few seconds, in place, so a full disk does not
matter; and each settings file names the session that wrote it. A node was last run when its session was last alive, or,
if it left a host that went on without it, at that moment (:meth:`Store.leave`). So two hosts may share a directory, a
node may move between them, and a host that crashes again at start does not wipe out when it first did. The stamp says
that the process was there, not that it was well.

Cost: `save` takes some microseconds; a save becomes two small files; an idle store wakes every five seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import stat
import threading
import time
import uuid
from dataclasses import replace
from pathlib import Path

from guardian.core.ailments import Ailment
from guardian.core.threads import Seen
from guardian.core.when import utc
from guardian.errors import ExpectedError
from guardian.host.alive import ALIVE, alive_stamps, stamp_in
from guardian.host.files import RETRY_S, Clock, Lane, Trouble, ailment, aside_name, sync_dir, write_atomic
from guardian.host.settings import FORMAT, DamagedError, OnStart, Saved, Settings, decode, encode, resume

__all__ = ["FORMAT", "OnStart", "Settings", "Store", "resume"]

_NAME = re.compile(r"[A-Z][A-Z0-9_-]*")
#: Stamps of earlier sessions that are kept. A file whose session is forgotten counts from its last save.
_SESSIONS_KEPT = 64
#: No settings file is larger; what is, is not one. Set points may have 10 MB, if all of it is quotes that JSON escapes.
_SIZE_MAX = 16_000_000
#: Of those who wait for the disk; a disk that hangs tells no trouble, and lets them pile up.
MOST_WAIT = 1000


class Store:
    """Keeps the settings of nodes over restarts.

    Nothing here waits for the disk except `load`, `flush` and `close`, and no state of the disk raises an error.

    Parameters
    ----------
    directory : made when it is first needed.
    clock : epoch seconds.
    sync_gap_s : how much a power cut may cost.
    """

    def __init__(
        self,
        directory: Path,
        *,
        clock: Clock = time.time,
        sync_gap_s: float = 1.0,
        alive_every_s: float = 5.0,
        retry_s: tuple[float, float] = RETRY_S,
    ) -> None:
        self.directory = Path(directory)
        self.session = uuid.uuid4().hex[:12]
        self._clock = clock
        self._lock = threading.Lock()
        self._wait = 0  # futures of `kept` that are not done; of the loop
        self._latest: dict[str, Settings] = {}
        self._unwritten: dict[str, Saved] = {}
        self._unsynced: dict[str, Saved] = {}
        self._forget_sessions()
        advice = "The latest values are kept in memory and tried again: make room or repair the directory."
        self._troubles = (
            Trouble(f"settings in {directory} are not written", advice, clock),
            Trouble(f"settings in {directory} are not safe from a power cut", advice, clock),
        )
        writing, syncing = self._troubles
        self._writer = Lane("settings", self._write, trouble=writing, tick_s=alive_every_s, retry_s=retry_s)
        self._syncer = Lane("settings-sync", self._sync, trouble=syncing, gap_s=sync_gap_s, retry_s=retry_s)
        self._writer.wake()  # the first stamp, now

    def load(self, node: str) -> tuple[Settings | None, list[str]]:
        """What is stored for `node`, and a sentence for each thing that was wrong with it.

        A damaged file is moved aside and its safe copy read. None: nothing usable is stored. Call `save` with what
        the node then starts with: it marks the node as run by this host.
        """
        path = self._path(node)
        with self._lock:
            waiting = self._unwritten.get(node)
        if waiting is not None:
            return self._dated(waiting), []
        safe = _safe(path)
        warnings: list[str] = []
        saved = self._read(path, warnings)
        if saved is None:
            saved = self._read(safe, warnings)
            if saved is not None:
                when = utc(saved.settings.saved_at)
                warnings.append(f"{node}: settings of {when} are used, from {safe}: {path.name} was missing or damaged")
            elif warnings:
                warnings.append(f"{node}: nothing stored is usable, the node starts as for the first time")
        return (None if saved is None else self._dated(saved)), warnings

    def save(self, node: str, settings: Settings) -> None:
        """Keep `settings`; returns at once. Of several quick saves of one node only the last is written."""
        self._path(node)
        settings = replace(settings, saved_at=self._clock())
        self._put(node, Saved(settings=settings, session=self.session))

    def kept(self) -> asyncio.Future[None]:
        """Done, on the running loop, once every save so far is safe from kill -9; also if the disk refuses it.

        It is done at once if :data:`MOST_WAIT` wait already.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()

        def finish() -> None:
            self._wait -= 1
            if not future.done():
                future.set_result(None)

        def tell() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(finish)

        self._wait += 1
        if self.trouble() or self._wait > MOST_WAIT:  # known to be refused: nobody waits for the next try
            finish()
        else:
            self._writer.then(tell)
        return future

    def leave(self, node: str) -> None:
        """This host runs `node` no longer, but goes on itself: its time away counts from now."""
        with self._lock:
            settings = self._latest.pop(node, None)
        if settings is not None:
            self._put(node, Saved(settings=settings, session=self.session, left_at=self._clock()), latest=False)

    def trouble(self) -> str | None:
        """What is wrong with the directory and since when; None while all is well."""
        return next((text for trouble in self._troubles if (text := trouble.text())), None)

    def ailment(self) -> Ailment | None:
        """The same for whoever watches the host; and a disk that hangs."""
        return ailment("settings", self._writer, self._syncer)

    def note_time(self) -> None:
        """The clock was set: have the stamp that says when we were last alive follow it at once."""
        self._writer.wake()

    def threads(self) -> tuple[Seen, ...]:
        """The threads that write, and whether they hang."""
        return self._writer.seen(), self._syncer.seen()

    def flush(self, timeout_s: float, *, durable: bool = True) -> bool:
        """Wait until every save so far is safe from kill -9 and, with `durable`, from a power cut."""
        due = time.monotonic() + timeout_s
        return self._writer.wait_done(timeout_s) and (
            not durable or self._syncer.wait_done(max(0.0, due - time.monotonic()))
        )

    def close(self, timeout_s: float = 5.0) -> bool:
        """Write what is left and end the threads. False if something could not be written in time."""
        due = time.monotonic() + timeout_s
        written = self._writer.close(timeout_s)
        return self._syncer.close(max(0.1, due - time.monotonic())) and written

    # ---- the two lanes

    def _put(self, node: str, saved: Saved, *, latest: bool = True) -> None:
        with self._lock:
            if latest:
                self._latest[node] = saved.settings
            self._unwritten[node] = self._unsynced[node] = saved
        self._writer.wake()
        self._syncer.wake()

    def _write(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        try:
            self._drain(self._unwritten, durable=False)
        finally:
            self._stamp()

    def _sync(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._drain(self._unsynced, durable=True)

    def _drain(self, waiting: dict[str, Saved], *, durable: bool) -> None:
        with self._lock:
            batch = list(waiting.items())
        done: list[tuple[str, Saved]] = []
        fault: Exception | None = None
        for node, saved in batch:
            path = self._path(node)
            try:
                write_atomic(_safe(path) if durable else path, encode(saved), durable=durable)
            except Exception as error:  # one node must not keep the others from being saved
                fault = fault or error
            else:
                done.append((node, saved))
        if durable and done:
            sync_dir(self.directory)
        with self._lock:
            for node, saved in done:
                if waiting.get(node) is saved:  # else a newer one came meanwhile
                    del waiting[node]
        if fault is not None:
            raise fault

    # ---- files

    def _path(self, node: str) -> Path:
        if not _NAME.fullmatch(node):
            raise ExpectedError(
                f"{node!r} cannot be stored: a node's name has capitals, digits, _ and -, and begins with a capital. "
                "Rename the node."
            )
        return self.directory / f"{node}.json"

    def _read(self, path: Path, warnings: list[str]) -> Saved | None:
        try:
            info = path.stat()
            if not stat.S_ISREG(info.st_mode) or info.st_size > _SIZE_MAX:
                raise DamagedError("not a file of settings")
            return decode(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, DamagedError) as error:
            reason = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
            aside = aside_name(path, self._clock())
            try:
                path.rename(aside)
                kept = f"it was moved to {aside.name}"
            except OSError as fault:
                kept = f"it could not be moved aside ({fault.strerror})"
            warnings.append(f"{path} is damaged: {reason}; {kept}")
            return None

    def _dated(self, saved: Saved) -> Settings:
        alive_at = saved.left_at
        if alive_at is None:
            ours = saved.session == self.session
            alive_at = self._clock() if ours else stamp_in(self.directory / f"{ALIVE}{saved.session}")
            alive_at = max(alive_at, saved.settings.saved_at)
        return replace(saved.settings, alive_at=alive_at)

    def _stamp(self) -> None:
        fd = os.open(self.directory / f"{ALIVE}{self.session}", os.O_WRONLY | os.O_CREAT, 0o666)
        try:
            os.pwrite(fd, b"%017.3f\n" % self._clock(), 0)  # of one length: written in place, never torn by a kill
        finally:
            os.close(fd)

    def _forget_sessions(self) -> None:
        stamps = sorted(self.directory.glob(f"{ALIVE}*"), key=stamp_in)
        for path in stamps[:-_SESSIONS_KEPT]:
            with contextlib.suppress(OSError):  # a directory that cannot be written is told by the lanes
                path.unlink()


def peek(directory: Path) -> tuple[float, dict[str, Settings]]:
    """What the settings in a directory say; nothing is changed there, and what cannot be read is passed over.

    Returns
    -------
    float
        Epoch seconds when a host was last alive with them; 0.0: nobody knows.
    dict
        The settings of each node.
    """
    found = {}
    for path in sorted(directory.glob("*.json")):
        if _NAME.fullmatch(path.stem):
            with contextlib.suppress(OSError, DamagedError):
                found[path.stem] = decode(path.read_bytes()).settings
    return max(alive_stamps(directory), default=0.0), found


def _safe(path: Path) -> Path:
    return path.with_name(path.name + ".safe")
