"""What a host tells its service manager: how far it has come, how its nodes are, and that it lives.

=============  ======================================================================================================
READY          the PVs of all its nodes are served. Their code may still load: that takes as long as user code wants,
               each node shows it, and a service that waits for this one needs PVs, not states
STATUS         one line, at most once a second and only when it has changed: "48 of 50 nodes OK; SUS_MC1: ..."
EXTEND_...     while it starts or stops, each time that it has come further: a hundred nodes may take their time,
               a start that stands still may not
RELOADING      while it reads its site file anew
STOPPING       from the first moment of its end
WATCHDOG       a quarter of the time that the manager allows passes between two, and only while nothing is amiss
=============  ======================================================================================================

When is something amiss, so that the manager ends this host and starts another one? When that would help:

* its event loop stands still: what sends is a task of that loop;
* its rounds stand still (`HostFacts.beats`): what it does once a second for each node is not done any more;
* a thread of the host that has promised to beat is late (:mod:`guardian.health`), and its promise is not of the kind
  REPORT.

The lanes that write settings, journal and logs are of that kind. A disk that hangs is an alarm and stands in STATUS,
and nobody is killed for it: nodes go on without the disk, and a new host would find the same one.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator

from guardian.core import explain
from guardian.enums import Recovery
from guardian.health import threads as registered
from guardian.health import watcher
from guardian.host import notify
from guardian.host.host import Host
from guardian.host.notify import Notify

#: Seconds between two looks, at most; STATUS changes no more often.
LOOK_S = 1.0
#: Parts of the time that a watchdog allows. Half of it is asked for, and one may be lost.
PARTS = 4
#: Seconds that each step of a start or an end may take.
STEP_S = 60.0
#: Seconds for which the rounds may stand still; they are made once a second.
ROUNDS_S = 10.0

Tell = Callable[[str, str], None]


class Service:
    """Speaks for `host`, from :meth:`open`, before the host starts, until :meth:`close`, when it has stopped.

    Parameters
    ----------
    tell : takes a sentence and a level for the log.
    """

    def __init__(self, host: Host, to: Notify, tell: Tell) -> None:
        self._host = host
        self._to = to
        self._tell = tell
        self._step = ""  # of the start or the end; "": it runs
        self._step_s = STEP_S  # what each step of that may take
        self._come: object = None  # how far it has come, as the manager knows
        self._owed: list[str] = []  # what must arrive
        self._status = ""
        self._beats = (-1, 0.0)
        self._amiss = ""
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """From now on it is told how the host is."""
        if self._to:
            self._task = asyncio.create_task(self._tell_on(), name="service")

    async def close(self) -> None:
        """The host has stopped."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._to.close()

    def starts(self, what: str) -> None:
        """It has come further in its start: "claims 50 nodes"."""
        self._begin(f"starts: {what}")

    def ready(self) -> None:
        """All nodes are shown."""
        self._step = ""
        self._owed.append(notify.READY)
        self._look()

    def stops(self) -> None:
        """It has begun to end."""
        self._owed.append(notify.STOPPING)
        longest = max((self._host.site.policy(name).limits.stop_timeout_s for name in self._host), default=0.0)
        self._begin("stops", more_s=longest)

    @contextlib.contextmanager
    def reloading(self) -> Iterator[None]:
        """Round what reads the site file anew."""
        self._owed.append(begin := notify.reloading())
        self._look()
        try:
            yield
        finally:
            if begin in self._owed:  # it could not be told, so there is nothing to end: a manager may be deaf for long
                self._owed.remove(begin)
            elif not self._step:
                self._owed.append(notify.READY)
            self._look()

    # --- inside

    def _begin(self, step: str, more_s: float = 0.0) -> None:
        self._step, self._step_s = step, STEP_S + more_s
        self._look()

    async def _tell_on(self) -> None:
        pause_s = min(LOOK_S, self._to.watchdog_s / PARTS) if self._to.watchdog_s else LOOK_S
        while True:
            await asyncio.sleep(pause_s)
            self._look()

    def _look(self) -> None:
        if not self._to:
            return
        lines = list(self._owed)
        come = (self._step, self._left())
        if self._step and come != self._come:
            lines.append(notify.more_time(self._step_s))
        if self._to.watchdog_s and self._is_well():
            lines.append(notify.ALIVE)
        status = notify.status(self._words())
        if status != self._status:
            lines.append(status)
        if lines and self._to.send(*lines):
            self._owed.clear()
            self._status, self._come = status, come

    def _left(self) -> int:
        """How many nodes are shown and have not ended: changes as a start or an end comes further."""
        return len(self._host) - sum(self._host[name].has_ended for name in self._host)

    def _is_well(self) -> bool:
        """Whether the manager may go on trusting it. What is amiss is told, once."""
        if self._step:  # its time is limited already
            return True
        amiss = ", ".join(self._late())
        if amiss and not self._amiss:
            self._tell(
                f"the watchdog is not served: {amiss}. In {self._to.watchdog_s:g} s or less the service manager ends "
                "this host, and starts it again",
                "ERROR",
            )
        elif self._amiss and not amiss:
            self._tell(f"the watchdog is served again: {self._amiss} is over", "INFO")
        self._amiss = amiss
        return not amiss

    def _late(self) -> Iterator[str]:
        facts, now = self._host.facts, time.monotonic()
        if facts is None:
            return
        if facts.beats != self._beats[0]:
            self._beats = (facts.beats, now)
        elif now - self._beats[1] > ROUNDS_S:
            yield f"the rounds of the host stand still for {now - self._beats[1]:.0f} s"
        late = watcher.late()
        threads = [seen.thread for seen in facts.threads if seen.late]
        threads += [one.watched for one in registered.table.all() if one.watched.name in late]
        for thread in threads:
            if thread.recovery is not Recovery.REPORT:
                yield f"the thread {thread.name} is late"

    def _words(self) -> str:
        """What STATUS says."""
        host, total = self._host, len(self._host)
        if self._step:
            left = self._left()
            if self._step == "stops":
                return f"stops: {left} of {total} nodes are left" if total else self._step
            return f"{self._step} ({left} shown)" if left else self._step
        not_ok = [name for name in host if not explain.is_ok(host[name].view)]
        parts = [f"{total - len(not_ok)} of {total} node{'' if total == 1 else 's'} OK"]
        if self._amiss:
            parts.append(self._amiss)
        if host.troubles.now:
            parts.append(host.troubles.now[0].text)
        if not_ok:
            parts.append(f"{not_ok[0]}: {explain.why_not_ok(host[not_ok[0]].view)}")
        return "; ".join(parts)
