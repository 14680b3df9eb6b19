"""Writing files from a thread, so that no disk can hold up a host.

The loop of a host must answer always; a disk may take seconds for an fsync, be full, or be mounted read-only. So
everything that is kept goes through a :class:`Lane`: a thread with one job. The loop changes a value in memory and
wakes the lane, which costs microseconds; the lane does the job and, where the job fails, does it again later.

Two dangers, two remedies, and they are kept apart:

* ``kill -9`` loses what the kernel has not been given. A plain write (or rename) is enough, and it is quick. It loses
  too what gathers for :data:`GATHER_S`, so nothing that somebody was told to be kept gathers.
* A power cut loses what the disk has not been given. Only fsync helps, and it may be slow.

Hence each keeper has two lanes, one that writes and never syncs, and one that syncs at most once a second. A
slow sync therefore never delays a write.

Invariants: a job that fails keeps what it could not do, and the next call does it. A lane's thread never ends before
`close`. :class:`Trouble` tells what is wrong and since when, until it has worked again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from guardian.core.ailments import Ailment
from guardian.core.threads import LATE, Seen, Watched
from guardian.core.when import utc
from guardian.enums import Recovery, Severity

Clock = Callable[[], float]

#: First and longest wait before a failed job is tried again, in seconds.
RETRY_S = (0.2, 10.0)
#: What is written for people to read may gather so long, in seconds, and a kill then costs it: a thread that wakes for
#: each line of a busy host takes the interpreter from its loop each time.
GATHER_S = 0.02
#: A disk that takes longer for one job hangs, in seconds.
HANGS_S = 10.0


def sync_dir(directory: Path) -> None:
    """Make the names in `directory` survive a power cut."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes) -> None:
    """Write every byte of `data`; a short write is continued."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def write_atomic(path: Path, data: bytes, *, durable: bool) -> None:
    """Replace the file `path`: whoever reads it sees the old content or the new one, never a part.

    Parameters
    ----------
    durable : fsync the content before the name is changed. The caller syncs the directory, once for many files.

    Raises
    ------
    OSError
        The old content is still there, and the space of the new one was given back.
    """
    temp = path.with_name(path.name + ".tmp")
    with contextlib.suppress(FileNotFoundError):
        temp.unlink()  # left by a kill, perhaps by another user: then it cannot be opened, but it can be removed
    fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        try:
            write_all(fd, data)
            if durable:
                os.fsync(fd)
        finally:
            os.close(fd)
        temp.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temp.unlink()
        raise


def aside_name(path: Path, now: float) -> Path:
    """A free name beside `path` for damaged content: ``NAME.damaged-20160823T081317Z``."""
    stamp = datetime.fromtimestamp(max(now, 0.0), UTC).strftime("%Y%m%dT%H%M%SZ")
    name = path.with_name(f"{path.name}.damaged-{stamp}")
    for number in range(1, 1000):
        if not os.path.lexists(name):
            break
        name = path.with_name(f"{path.name}.damaged-{stamp}-{number}")
    return name


class Trouble:
    """What is wrong with one kind of writing, and since when. May be asked from any thread.

    Parameters
    ----------
    what : opens the sentence, "settings in /var/lib/guardian are not written".
    advice : ends it: what happens meanwhile, and what to do.
    """

    def __init__(self, what: str, advice: str, clock: Clock = time.time) -> None:
        self._what = what
        self._advice = advice
        self._clock = clock
        self._since: float | None = None
        self._text: str | None = None

    def tell(self, error: BaseException) -> None:
        """`error` is what is wrong now; the time of the first one in a row is kept."""
        if self._since is None:
            self._since = self._clock()
        if isinstance(error, OSError) and error.strerror:
            code = errno.errorcode.get(error.errno or 0, "")
            reason = f"{error.strerror} ({code})" if code else error.strerror
        else:
            reason = f"{type(error).__name__}: {error} (please report)"
        self._text = f"{self._what} since {utc(self._since)}: {reason}. {self._advice}"

    def over(self) -> None:
        """It works again."""
        self._since = self._text = None

    def text(self) -> str | None:
        """The sentence for the operator, or None while all is well."""
        return self._text


class Lane:
    """A thread that does `job` when it is woken, and does it again later where it failed.

    Parameters
    ----------
    job : does all there is to do. Raises OSError when something is left, which it must keep.
    gap_s : shortest time between two calls of `job`; what comes meanwhile is done together.
    tick_s : longest time between two calls, also when nobody woke the lane. None: no limit, an idle lane sleeps.
    """

    def __init__(
        self,
        name: str,
        job: Callable[[], None],
        *,
        trouble: Trouble,
        gap_s: float = 0.0,
        tick_s: float | None = None,
        retry_s: tuple[float, float] = RETRY_S,
    ) -> None:
        self._job = job
        self.name = name
        self.trouble = trouble
        self._gap_s = gap_s
        self._tick_s = tick_s
        self._retry_s = retry_s
        self._changed = threading.Condition()
        self._asked = 0  # calls of wake()
        self._done = 0  # of those, how many a job that succeeded has seen
        self._idle = False  # it waits for something to do; in a pause nobody need wake it
        self._hurry = False  # what no job has begun with is wanted now
        self._closing = False
        self._busy_since: float | None = None  # monotonic
        self._callbacks: list[tuple[int, Callable[[], None]]] = []  # with the number that was asked for before each
        # A daemon: a thread that hangs in an fsync must not keep the process from ending.
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)
        self._thread.start()

    def wake(self, *, soon: bool = False) -> None:
        """There is something to do; `soon`: it waits for nothing that may come with it. Returns at once."""
        with self._changed:
            self._asked += 1
            soon = soon and not self.trouble.text()  # a disk that fails is given its time
            self._hurry = self._hurry or soon
            if self._idle or soon:
                self._changed.notify_all()

    def wait_done(self, timeout_s: float) -> bool:
        """Wait until all that was asked before this call is done; no pause is made before that."""
        with self._changed:
            asked = self._asked
            self._hurry = self._done < asked
            self._changed.notify_all()
            return self._changed.wait_for(lambda: self._done >= asked, timeout_s)

    def then(self, call: Callable[[], None]) -> None:
        """Have `call` called once, by the lane's thread, when all that was asked so far is done, or could not be."""
        with self._changed:
            if self._done < self._asked:
                self._callbacks.append((self._asked, call))
                return
        call()

    def close(self, timeout_s: float) -> bool:
        """One last call of the job, then the end of the thread. True if nothing was left undone."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        return not self._thread.is_alive() and self._done >= self._asked

    def goes_on(self) -> None:
        """For a job that has many parts: one of them is done, so it does not hang."""
        self._busy_since = time.monotonic()

    def hangs_s(self) -> float:
        """Seconds for which the job, or a part of it, has lasted, if that is longer than a disk may take; else 0.0."""
        since = self._busy_since
        busy_s = 0.0 if since is None else time.monotonic() - since
        return busy_s if busy_s > HANGS_S else 0.0

    def seen(self) -> Seen:
        """As one of the watched threads of its process: late if it hangs."""
        thread = Watched(slot=0, serial=0, name=self.name, period_s=HANGS_S / LATE, recovery=Recovery.REPORT)
        return Seen(thread=thread, age_s=self.hangs_s())

    def running(self) -> bool:
        """False once the thread has ended."""
        return self._thread.is_alive()

    def _loop(self) -> None:
        pause_s = self._gap_s
        last = False
        while not last:
            with self._changed:
                self._idle = True
                self._changed.wait_for(lambda: self._closing or self._asked > self._done, self._tick_s)
                self._idle = False
                asked, last, self._hurry = self._asked, self._closing, False
            self._busy_since = time.monotonic()
            try:
                self._job()
            except Exception as error:  # also a fault of ours: it is told, and the lane goes on
                self.trouble.tell(error)
                first_s, longest_s = self._retry_s
                pause_s = min(max(first_s, 2 * pause_s), longest_s)
                done = self._done
            else:
                self.trouble.over()
                pause_s, done = self._gap_s, asked
            self._busy_since = None
            with self._changed:
                ready = [call for number, call in self._callbacks if number <= asked]
                self._callbacks = [(number, call) for number, call in self._callbacks if number > asked]
                self._done = done
                self._hurry = self._hurry and done < self._asked
                self._changed.notify_all()
            for call in ready:
                call()
            with self._changed:
                self._changed.wait_for(lambda: self._closing or self._hurry, pause_s)


def ailment(what: str, writer: Lane, syncer: Lane) -> Ailment | None:
    """What is wrong with one kind of files, by the two lanes that write them: the worse of it.

    Parameters
    ----------
    what : which files, "settings".
    """
    hangs_s = max(writer.hangs_s(), syncer.hangs_s())
    if text := writer.trouble.text():
        return Ailment(what=what, severity=Severity.MAJOR, text=text, dated=True)
    if hangs_s:
        return Ailment(
            what=what,
            severity=Severity.MAJOR,
            text=f"what is new for the {what} has to wait for a disk that does not answer. It is kept in memory: see "
            "to the disk, or to the server that it is on",
        )
    if text := syncer.trouble.text():
        return Ailment(what=what, severity=Severity.MINOR, text=text, dated=True)
    return None
