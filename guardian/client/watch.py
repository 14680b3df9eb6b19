"""PVs watched from an asyncio loop, and read and written from it: libca's threads on one side, the loop on the other.

Invariants
----------
* What is heard is kept by name until it is delivered, the latest of each PV, so a storm of changes costs memory for as
  many PVs as there are, and the loop a call each `pace_s`.
* Nothing waits in the loop. One thread makes and clears channels; what may have to wait for an answer has others, so
  that a server that hangs takes no more than its own. No channel is cleared while one of them uses it.
* What is only read is not subscribed to.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from epics import ca

from guardian.client.ca import Channel, Reading, Session
from guardian.client.writing import kind_of, text_of, write
from guardian.errors import ExpectedError

T = TypeVar("T")
#: Requests that may wait for an answer at the same time.
WAITING = 8
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a PV says, and at which server ("address:port"); without a reading no server answers any more."""

    reading: Reading | None = None
    where: str = ""

    @property
    def text(self) -> str:
        """The value; "" while nobody tells it."""
        return text_of(self.reading) if self.reading is not None else ""


class Watch:
    """The PVs of a program with a loop. Made, used and closed in that loop.

    Parameters
    ----------
    hear : called in the loop with what was heard since the last call. pace_s : at least so long apart.
    answer_s : seconds that an answer may take.
    """

    def __init__(self, hear: Callable[[Mapping[str, Heard]], None], *, pace_s: float, answer_s: float) -> None:
        self._hear = hear
        self._pace_s = pace_s
        self._answer_s = answer_s
        self._loop = asyncio.get_running_loop()
        self._delivered = float("-inf")
        self._lock = threading.Lock()
        self._news: dict[str, Heard] = {}
        self._told = self._closed = False
        self._last: dict[str, Heard] = {}  # as delivered
        self._channels: dict[str, Channel] = {}  # these four are changed by the one thread only
        self._followed: set[str] = set()
        self._used: Counter[str] = Counter()  # by requests that wait
        self._where: dict[str, str] = {}  # of those that are subscribed to, as it was when they connected
        self._session = Session()
        self._maker = ThreadPoolExecutor(1, "channels", ca.use_initial_context)
        self._waiters = ThreadPoolExecutor(WAITING, "requests", ca.use_initial_context)

    def follow(self, pvs: Iterable[str]) -> None:
        """Hear of these from now on."""
        self._have_made(self._follow, tuple(pvs))

    def leave(self, pvs: Iterable[str]) -> None:
        """Hear no more of these."""
        pvs = tuple(pvs)
        for pv in pvs:
            self._last.pop(pv, None)
        self._have_made(self._leave, pvs)

    def tell_again(self, pvs: Iterable[str]) -> None:
        """Deliver once more what these said last."""
        for pv in pvs:
            if (last := self._last.get(pv)) is not None:
                self._put(pv, last, news=False)

    def renew(self, pvs: Iterable[str]) -> None:
        """Search for those that are lost as if they were new: libca searches for what was lost ever more rarely."""
        self._have_made(self._renew, tuple(pvs))

    async def read(self, pv: str) -> str:
        """What a PV says now, which need not be followed.

        Raises
        ------
        ExpectedError
            It does not answer.
        """
        return await self._asked(pv, self._read)

    async def write(self, pv: str, text: str, *, node: str, patient: bool = False) -> str | None:
        """Write, see :func:`guardian.client.writing.write`: why it was refused, None if it was not."""
        return await self._asked(pv, partial(write, text=text, node=node, answer_s=self._answer_s, patient=patient))

    async def close(self) -> None:
        """Hear nothing any more. What waits for an answer is not waited for."""
        self._closed = True
        self._waiters.shutdown(wait=False, cancel_futures=True)
        await self._loop.run_in_executor(self._maker, self._clear, tuple(self._channels))
        self._maker.shutdown(wait=False, cancel_futures=True)

    # -- in the thread that makes channels -----------------------------------------------------------------------------

    def _follow(self, pvs: tuple[str, ...]) -> None:
        self._followed |= {*pvs}
        self._make(pvs)
        for pv in pvs:
            self._subscribe(pv)  # one that was there, for a request

    def _leave(self, pvs: tuple[str, ...]) -> None:
        self._followed -= {*pvs}
        self._clear(pvs)

    def _make(self, pvs: tuple[str, ...]) -> None:
        for pv in pvs:
            if pv not in self._channels:
                self._channels[pv] = self._session.channel(pv, partial(self._connected, pv))
        self._session.flush()

    def _clear(self, pvs: tuple[str, ...]) -> None:
        for pv in pvs:
            if not self._used[pv] and (channel := self._channels.pop(pv, None)) is not None:
                channel.clear()
                self._where.pop(pv, None)
        self._session.flush()

    def _renew(self, pvs: tuple[str, ...]) -> None:
        lost = tuple(pv for pv in pvs if pv in self._channels and not self._channels[pv].connected)
        self._clear(lost)
        self._make(lost)  # those in use are still there
        for pv in pvs:
            self._subscribe(pv)

    def _subscribe(self, pv: str) -> None:
        """Have a channel that is connected tell its changes; libca itself renews that for one that comes back."""
        channel = self._channels.get(pv)
        if channel is None or pv not in self._followed or not channel.connected:
            return
        self._where[pv] = channel.host
        if not channel.monitors and channel.kind >= 0:  # it may be lost this moment
            channel.monitor(kind_of(channel), 0, partial(self._said, pv))

    def _drop(self, pv: str) -> None:
        """A channel that was made for a request and is lost: it is made anew for the next one."""
        if pv not in self._followed and pv in self._channels and not self._channels[pv].connected:
            self._clear((pv,))

    def _take(self, pv: str) -> Channel:
        self._drop(pv)
        self._make((pv,))
        self._used[pv] += 1
        return self._channels[pv]

    def _give_back(self, pv: str) -> None:
        self._used[pv] -= 1
        if not self._used[pv]:
            del self._used[pv]
        if pv not in self._followed and self._channels[pv].monitors:  # it was left meanwhile
            self._clear((pv,))
        self._drop(pv)

    def _have_made(self, make: Callable[..., None], *args: Any) -> None:
        """Have this done in the thread that makes channels."""
        with contextlib.suppress(RuntimeError):  # it is closed
            self._maker.submit(make, *args).add_done_callback(_tell_fault)

    # -- in a thread that waits ----------------------------------------------------------------------------------------

    async def _asked(self, pv: str, ask: Callable[[Channel], T]) -> T:
        return await self._loop.run_in_executor(self._waiters, self._ask, pv, ask)

    def _ask(self, pv: str, ask: Callable[[Channel], T]) -> T:
        channel = self._maker.submit(self._take, pv).result()
        try:
            self._session.connect([channel], self._answer_s)
            if not channel.connected:
                raise ExpectedError(f"{channel.name} does not answer")
            return ask(channel)
        finally:
            self._have_made(self._give_back, pv)

    def _read(self, channel: Channel) -> str:
        return text_of(channel.get(kind_of(channel), timeout_s=self._answer_s))

    # -- in threads of libca -------------------------------------------------------------------------------------------

    def _connected(self, pv: str, up: bool) -> None:
        if up:
            self._have_made(self._subscribe, pv)
        else:
            self._put(pv, Heard())
            self._have_made(self._drop, pv)

    def _said(self, pv: str, reading: Reading) -> None:
        self._put(pv, Heard(reading=reading, where=self._where.get(pv, "")))

    def _put(self, pv: str, heard: Heard, *, news: bool = True) -> None:
        with self._lock:
            if news or pv not in self._news:
                self._news[pv] = heard
            if self._told or self._closed:
                return
            self._told = True
        self._loop.call_soon_threadsafe(self._gather)

    # -- in the loop ---------------------------------------------------------------------------------------------------

    def _gather(self) -> None:
        self._loop.call_at(max(self._loop.time(), self._delivered + self._pace_s), self._deliver)

    def _deliver(self) -> None:
        self._delivered = self._loop.time()
        with self._lock:
            news, self._news, self._told = self._news, {}, False
        if not self._closed:
            self._last |= news
            self._hear(news)


def _tell_fault(done: Future[None]) -> None:
    if not done.cancelled() and (error := done.exception()) is not None:
        _log.error("a channel was not made; please report this", exc_info=error)
