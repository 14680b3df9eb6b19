"""The watched threads of this process: who has promised to beat, and the counter of each.

A registration is a promise: "I move my counter at least once in so many seconds". Whoever looks (the host of a worker,
else the thread "guardian-health" of this process) sees the counters and nothing else, see :mod:`guardian.core.threads`.

* A beat takes no lock and makes no call: it adds one to a word that is the registration's own. Two at the same
  instant may count as one, which is still a beat.
* The registration of the present thread is found through a thread-local, which goes with the thread: a later thread of
  the same number has none.
* A registration that has ended has no counter any more: who beats it all the same gets an exception, at no cost to
  those who beat in time.
* A forked child has promised nothing: it begins with an empty table, and with counters of its own.

Cost: :func:`keepalive` 0.1 us, a registration some 10 us.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any, NoReturn, TypeAlias

from guardian.core.threads import MOST_THREADS, Watched
from guardian.enums import Recovery
from guardian.errors import ExosError, Interrupted
from guardian.health import checks

#: The period of those that name none, in seconds, as in the field.
PERIOD_S = 15.0
#: Between two reports to a host, at least, in seconds: code may register and deregister in a loop.
REPORT_S = 0.05


#: A word for each slot.
Counters: TypeAlias = "list[int] | memoryview[int]"


class Registration:
    """A promise to beat once a period; :func:`register` makes one. It ends by :meth:`deregister`, or with its block.

    Attributes
    ----------
    watched : what the promise is. thread : whose it is; None: nobody's alone, as that of a pool.
    renew : makes the thread, or the pool, anew; it is given the sentence that says why, and ends this registration.
    failure : the exception that ended the thread, as a phrase; "" as long as none has.
    since : monotonic seconds at which it began.
    """

    __slots__ = ("_counters", "_slot", "failure", "renew", "since", "thread", "watched")

    def __init__(
        self,
        watched: Watched,
        counters: Counters,
        thread: threading.Thread | None,
        renew: Callable[[str], None] | None,
    ) -> None:
        self.watched = watched
        self.thread = thread
        self.renew = renew
        self.failure = ""
        self.since = time.monotonic()
        self._counters: Counters | _NoCounters = counters
        self._slot = watched.slot

    def keepalive(self) -> None:
        """It is alive. From any thread."""
        self._counters[self._slot] += 1

    def deregister(self) -> None:
        """It is not watched any more. Harmless twice."""
        table.end(self, _not_any_more(self.watched.name))

    def abandon(self) -> None:
        """Another one does its work: its next :meth:`keepalive` raises Interrupted, so that it ends."""
        table.end(self, lambda: Interrupted(f"{self.watched.name} was late, and another one was made in its place"))

    def follow(self, other: Registration) -> None:
        """From now on a beat of this one is one of the other."""
        self.watched, self._slot, self._counters = other.watched, other._slot, other._counters

    def failed(self, error: BaseException) -> None:
        """This exception has ended the thread."""
        self.failure = f"{type(error).__name__}: {_text(error)}" if _text(error) else type(error).__name__

    @property
    def ended(self) -> bool:
        return isinstance(self._counters, _NoCounters)

    def __enter__(self) -> Registration:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.deregister()


class _NoCounters:
    """What a registration that has ended beats."""

    def __init__(self, error: Callable[[], BaseException]) -> None:
        self._error = error

    def __getitem__(self, _slot: int) -> NoReturn:
        raise self._error()

    def __setitem__(self, _slot: int, _count: int) -> None:
        raise self._error()


class Table:
    """All registrations of the process. Any thread may use it."""

    def __init__(self) -> None:
        # It can be taken twice: a signal handler or __del__ of user code may register in the middle of anything.
        self.lock = threading.RLock()
        self.here = threading.local()  #: `registration`: that of the present thread
        self.counters: Counters = [0] * MOST_THREADS
        #: Held in the main thread round what must not be cut in two.
        self.shield: Callable[[], AbstractContextManager[Any]] = nullcontext
        #: Told all that are watched, after each change; None: nobody looks but this process.
        self.report: Callable[[tuple[Watched, ...]], None] | None = None
        self._by_slot: dict[int, Registration] = {}
        self._by_thread: dict[threading.Thread, Registration] = {}
        self._serials = itertools.count(1)
        self._reported_at = float("-inf")
        self._unreported = False

    def enroll(
        self,
        name: object,
        period_s: object,
        recovery: object,
        *,
        thread: threading.Thread | None = None,
        renew: Callable[[str], None] | None = None,
        restarts: int = 0,
        kind: str = "thread",
    ) -> Registration:
        """Make a registration, instead of the one that the thread has.

        Parameters
        ----------
        restarts : how often it was made anew. The rest as in :class:`Registration`.

        Raises
        ------
        ExosError
            What is given cannot be used, or too many are registered.
        """
        from guardian.health import watcher

        of = f"a {kind}"
        name, period = checks.name(name, of), checks.period(period_s, of)
        policy = checks.recovery(recovery, of)
        made: Registration | None = None
        try:
            with self.shield():
                with self.lock:
                    old = self._by_thread.get(thread) if thread is not None else None
                    if old is not None:
                        self._forget(old, _not_any_more(old.watched.name))
                    watched = Watched(
                        slot=self._free_slot(name),
                        serial=next(self._serials),
                        name=name,
                        period_s=period,
                        recovery=policy,
                        restarts=restarts,
                        kind=kind,
                    )
                    made = self._by_slot[watched.slot] = Registration(watched, self.counters, thread, renew)
                    if thread is not None:
                        self._by_thread[thread] = made
                    self._changed()
                watcher.wake()
        except BaseException as error:  # of the shield, or no thread is left to look: nobody beats what nobody got
            with self.lock:
                if made is not None and self._forget(made, _not_any_more(name)):
                    self._changed()
            if isinstance(error, RuntimeError):
                raise ExosError(
                    f"{name}: nobody can look at it ({error}); look at `ulimit -u` and free memory"
                ) from None
            raise
        return made

    def end(self, registration: Registration, error: Callable[[], BaseException]) -> None:
        """End a registration; who beats it from now on gets that error."""
        from guardian.health import watcher

        with self.shield():
            with self.lock:
                ends = self._forget(registration, error)
                if ends:
                    self._changed()
            if ends:
                watcher.wake()

    def of(self, thread: threading.Thread) -> Registration | None:
        """The registration of a thread."""
        return self._by_thread.get(thread)

    def all(self) -> tuple[Registration, ...]:
        """Those that are watched, by slot."""
        with self.lock:
            found = (self._by_slot[slot] for slot in sorted(self._by_slot))
            return tuple(one for one in found if not one.ended)  # a Ctrl-C may have left one that has

    def _free_slot(self, name: str) -> int:
        taken = {registration.watched.slot for registration in self.all()}
        slot = next((slot for slot in range(MOST_THREADS) if slot not in taken), None)
        if slot is None:
            raise ExosError(
                f"{name}: {MOST_THREADS} threads and pools of this process are watched, and there is room for no more; "
                "deregister those that have ended, or watch the pool and not each of its threads"
            )
        return slot

    def _forget(self, registration: Registration, error: Callable[[], BaseException]) -> bool:
        if registration.ended:
            return False
        registration._counters = _NoCounters(error)
        if self._by_slot.get(registration.watched.slot) is registration:
            del self._by_slot[registration.watched.slot]
        if registration.thread is not None and self._by_thread.get(registration.thread) is registration:
            del self._by_thread[registration.thread]
        return True

    def _changed(self) -> None:
        self._unreported = self.report is not None
        self.tell()

    def tell(self) -> float | None:
        """Report what has changed, unless the last report was just now; seconds to wait for that, None: all is told."""
        with self.lock:
            if self.report is None or not self._unreported:
                return None
            now = time.monotonic()
            if (wait_s := self._reported_at + REPORT_S - now) > 0:
                return wait_s
            self._unreported, self._reported_at = False, now
            self.report(tuple(one.watched for one in self.all()))
            return None


#: That of this process. A forked child has another one: use it as ``threads.table``.
table = Table()

_OF_PARENT = "what is registered in a process is not so in a child that it forks; call register() in the child"


def register(name: str, period_s: float = PERIOD_S, recovery: Recovery = Recovery.PROCESS) -> Registration:
    """The present thread promises to call :func:`keepalive` at least once in `period_s` seconds.

    Registered again, the new name and period count. ``with register("camera", 2.0): ...`` deregisters at the end of the
    block.

    Parameters
    ----------
    name : shown where somebody is told of it; at most 64 bytes. period_s : from 0.1 s to a day.
    recovery : what is done when it is late. Recovery.THREAD is for those that can be made anew:
        :class:`~guardian.health.MonitoredThread` and pools.

    Raises
    ------
    ExosError
        What is given cannot be used, or 512 threads and pools are watched already.
    """
    thread = threading.current_thread()
    before = table.of(thread)
    renew = None if before is None else before.renew
    if renew is None and checks.recovery(recovery, "a thread") is Recovery.THREAD:
        raise ExosError(
            f"{name}: a thread that was started already cannot be made anew; use MonitoredThread(target=..., "
            "recovery=Recovery.THREAD), or Recovery.PROCESS"
        )
    _listen()
    restarts = 0 if before is None else before.watched.restarts
    made = table.enroll(name, period_s, recovery, thread=thread, renew=renew, restarts=restarts)
    table.here.registration = made
    return made


def bind(registration: Registration) -> None:
    """From now on :func:`keepalive` in the present thread is a beat of that registration."""
    table.here.registration = registration


def keepalive() -> None:
    """The present thread is alive. In a job of a pool: the pool is.

    Raises
    ------
    ExosError
        It has not registered, or is not any more.
    """
    try:
        registration: Registration = table.here.registration
        registration._counters[registration._slot] += 1
    except (AttributeError, ExosError):
        if (made := _made_by_another()) is None:
            if hasattr(table.here, "registration"):
                raise
            raise _nobody("keepalive()") from None
        made.keepalive()


def deregister() -> None:
    """The present thread is not watched any more.

    Raises
    ------
    ExosError
        It has not registered, or is not any more.
    """
    registration: Registration | None = getattr(table.here, "registration", None)
    if registration is None or registration.ended:
        registration = _made_by_another()
    if registration is None:
        raise _nobody("deregister()")
    if registration.thread is None:
        raise ExosError(
            f"deregister(): {registration.watched.name} is a pool, which ends its registration by shutdown()"
        )
    registration.deregister()
    del table.here.registration


def _made_by_another() -> Registration | None:
    """That of the present thread, if another thread has made it: by the method of :func:`guardian.health.install`."""
    made = table.of(threading.current_thread())
    if made is not None:
        bind(made)
    return made


def _not_any_more(name: str) -> Callable[[], BaseException]:
    return lambda: ExosError(f"{name} is not registered any more; call register() again, or end the thread")


def _nobody(call: str) -> ExosError:
    thread = threading.current_thread().name
    return ExosError(f"{call}: the thread {thread!r} is not registered; call register(name, period_s) in it first")


def _text(error: BaseException) -> str:
    try:
        return " ".join(str(error).split())[:200]
    except Exception:
        return ""


# --- what ends a thread, and what a child is not ----------------------------------------------------------------------

_listening = False


def _listen() -> None:
    """Hear of exceptions that end threads, beside whoever hears of them already."""
    global _listening
    if _listening:
        return
    _listening = True
    before = threading.excepthook

    def hear(args: Any) -> None:
        registration = table.of(args.thread) if args.thread is not None else None
        if registration is not None and args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
            registration.failed(args.exc_value)
        before(args)

    threading.excepthook = hear


def _be_a_child() -> None:
    global table
    for registration in tuple(table._by_slot.values()):
        registration._counters = _NoCounters(lambda: ExosError(_OF_PARENT))
    table = Table()


os.register_at_fork(after_in_child=_be_a_child)
