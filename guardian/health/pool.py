"""`MonitoredThreadPool`: a ThreadPoolExecutor whose beat means that it gets something done."""

from __future__ import annotations

import functools
import itertools
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from guardian.enums import Recovery
from guardian.errors import DeadlockDetectedError, ExosError
from guardian.health import checks
from guardian.health.crew import Crew
from guardian.health.hand import Hand, Job
from guardian.health.threads import PERIOD_S
from guardian.health.waits import PoolFuture, waiting_for

_P = ParamSpec("_P")
_T = TypeVar("_T")

_numbers = itertools.count(1)


class MonitoredThreadPool(ThreadPoolExecutor):
    """A thread pool that is watched: it beats while it is idle, or while some job was finished within the period.

    All of ``ThreadPoolExecutor`` works. A job that takes longer than the period calls :func:`keepalive` now and then,
    which counts as progress of its pool.

    A job that waits, without a timeout, for what no worker of its pool is left to do gets a
    :class:`DeadlockDetectedError` instead of hanging: by ``result()``, ``exception()``, ``wait``, ``as_completed``, the
    results of ``map``, and ``shutdown``.

    At the end of the interpreter jobs that were submitted are finished, as long as one gets done within each period.

    Parameters
    ----------
    max_workers : as of ``ThreadPoolExecutor``. name : shown where somebody is told of it; None: ``pool-N``.
    period_s : from 0.1 s to a day. period : the same, as it is called in the field.
    recovery : what is done when it is late. Recovery.THREAD: workers whose job has run for a period are given up, and
        others take their places and go on with the queue; the futures of these jobs fail with an ExosError. The job
        itself cannot be stopped: it ends at its next ``keepalive()``, and what it returns does not count.
    thread_name_prefix, initializer, initargs : as of ``ThreadPoolExecutor``.

    Raises
    ------
    ExosError
        What is given cannot be used, or 512 threads and pools are watched already.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        name: str | None = None,
        period_s: float = PERIOD_S,
        recovery: Recovery = Recovery.PROCESS,
        *,
        period: float | None = None,
        thread_name_prefix: str = "",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
    ) -> None:
        super().__init__(max_workers, thread_name_prefix, initializer, initargs)
        if period is not None and period_s != PERIOD_S:
            raise ExosError(f"period={period!r:.40} and period_s={period_s!r:.40} are the same; give one of them")
        self.name = checks.name(f"pool-{next(_numbers)}" if name is None else name, "a pool")
        self._crew = Crew(
            self.name,
            most=self._max_workers,
            period_s=checks.period(period_s if period is None else period, "a pool"),
            recovery=checks.recovery(recovery, "a pool"),
            prefix=thread_name_prefix or self.name,
            initializer=functools.partial(initializer, *initargs) if initializer is not None else _nothing,
        )
        self._threads: Any = self._crew.hands  # for those who look there
        weakref.finalize(self, self._crew.let_go).atexit = False

    @property
    def period_s(self) -> float:
        """Within which some job is to be finished, in seconds."""
        return self._crew.period_s

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """As of ``ThreadPoolExecutor``. Raises ExosError in a forked child, which has no workers."""
        future = PoolFuture(self._crew)
        self._crew.submit(Job(future, functools.partial(fn, *args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As of ``ThreadPoolExecutor``. Workers that were given up are not waited for.

        Raises
        ------
        DeadlockDetectedError
            With `wait`, in a job that would wait for itself. Nothing is shut down then.
        """
        crew = self._crew
        if crew.is_of_parent:
            return
        if (
            wait
            and isinstance(thread := threading.current_thread(), Hand)
            and thread.crew is crew
            and not thread.given_up
        ):
            raise DeadlockDetectedError(
                f"pool {self.name}: shutdown() in one of its own jobs would wait for that job itself; "
                "call shutdown(wait=False) there, or shutdown() where the pool was made"
            )
        self._shutdown = True
        crew.close(cancel=cancel_futures)
        if wait:
            with waiting_for(crew.outstanding(), what="shutdown() waits for jobs"):
                crew.join()


def _nothing() -> None:
    pass
