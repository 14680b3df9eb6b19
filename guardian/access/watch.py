"""The set-point monitor: tells the host what user code has set, and what is not as it was set any more.

A thread of our own, made when there is first something to do. It does two things.

It **tells** the host what was set, the first at once, what follows at most every tenth of a second: so much is lost of
what was set when a worker is killed. The host keeps it and gives it to the next worker.

While the monitor is on, it **looks** once a second whether the channels are as they were set. The monitors of the
channels have the values, so a look costs no network, but for one question to the server for each channel that was
written since: nothing else could tell the value before the write from the one after. Channels that code has not used
(they were set by an earlier worker, or are in the module's ca_channels) are opened by the monitor itself.

A difference is told when two looks in a row have seen it, at the earliest a second after the channel was set, and not
while it is being set. A channel that does not answer for ten seconds is told too, as DEAD: nobody knows whether it is
as it was set.

User code is never called from here, and waits for nothing here. While there is nothing to tell and the monitor is off,
the thread sleeps.
"""

from __future__ import annotations

import _thread
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from guardian.access.bells import Bell
from guardian.access.channel import Channel
from guardian.access.channels import Channels
from guardian.access.listing import ASK_S, Listing, learn_labels
from guardian.access.setpoints import plain_value
from guardian.core.events import Differences, Report, Setpoints
from guardian.core.setpoints import (
    DEAD,
    MOST_TOLD,
    Difference,
    Listed,
    Setpoint,
    notices,
    same,
    shown,
    shown_of,
    unpacked,
)
from guardian.errors import EzcaConnectError

#: How often the host is told what was set, and how often the channels are looked at, at most.
TELL_S = 0.1
LOOK_S = 1.0
#: A channel is compared so long after it was set at the earliest, and is DEAD so long after it was lost.
SETTLE_S = 1.0
DEAD_S = 10.0
#: A notification of a channel that keeps moving has its value anew so often, as each text is a line in log and journal.
NOTICE_S = 60.0
#: A new worker that does not know all channels yet keeps what the last one has told, for so long at most.
FIRST_S = 3.0
#: Bytes of values in one message.
MESSAGE_BYTES = 500_000

_UNKNOWN = object()
_AS_SET = object()


@dataclass(slots=True)
class _Seen:
    """What was seen of one channel.

    Parameters
    ----------
    point : what it was set to. expected : that value in the channel's own type, once it was connected.
    settled_at : monotonic seconds at which it may be compared. lost_at : since when it is not connected, or None.
    sample : what was compared last; result : and what came of it.
    doubted_at : epoch seconds when a difference was first seen, 0: the last look saw none. told : the difference, once
        it counts. notice, noticed_at : what the operator is told of it, and since when (monotonic).
    """

    point: Setpoint
    settled_at: float
    lost_at: float | None
    expected: Any = _UNKNOWN
    sample: Any = None
    result: Any = _UNKNOWN
    doubted_at: float = 0.0
    told: Difference | None = None
    notice: Difference | None = None
    noticed_at: float = 0.0


class Watch:
    """Watches what is remembered by `channels`.

    Parameters
    ----------
    restored : what an earlier worker had set. report : tells the host. stand : shows these notifications from now on,
        instead of those before. say : a line for the log.
    """

    def __init__(
        self,
        channels: Channels,
        *,
        restored: Iterable[Setpoint] = (),
        report: Callable[[Report], None],
        stand: Callable[[tuple[str, ...]], None],
        say: Callable[[str], None],
    ) -> None:
        self._channels = channels
        self._memory = channels.memory
        self._report = report
        self._stand = stand
        self._say = say
        self._pid = os.getpid()
        self._awake = Bell()
        self._keeping = threading.Lock()  # held by the thread as long as it lives
        self._on = self._notify = False
        self._orders: list[tuple[Sequence[Listed], bool]] = []
        self._listing = Listing(channels, self._channel, say)
        restored = tuple(restored)
        self._memory.restore(restored)
        self._told: dict[str, Setpoint] = dict(self._memory.points)
        self._since = {point.channel: point.since for point in restored if point.since}
        self._seen: dict[str, _Seen] = {}
        self._apart: dict[str, Channel] = {}
        self._look_at = self._on_since = 0.0
        self._shown: Differences | None = None
        self._standing: tuple[str, ...] = ()
        self._troubles: set[str] = set()
        self._memory.changed = self.wake

    # --- from any thread ---------------------------------------------------------------------------------------

    def switch(self, *, monitor: bool, notify: bool) -> None:
        """Turn the looking, and the notifications, on or off."""
        was_on, self._on, self._notify = self._on, monitor, notify
        if was_on or monitor:
            self.wake()

    def listed(self, entries: Sequence[Listed], *, anew: bool) -> None:
        """The module's ca_channels. `anew`: after a LOAD; what was taken as it was is taken once more."""
        if entries or anew or any(point.module for point in tuple(self._memory.points.values())):
            self._orders.append((entries, anew))
            self.wake()

    def wake(self) -> None:
        """There is something to do."""
        if os.getpid() != self._pid:
            return  # a child that user code has forked has no host
        # User code is interrupted anywhere, also here: `threading.Thread` would not survive that.
        if not self._keeping.locked():
            _thread.start_new_thread(self._keep, ())
        self._awake.ring()

    def flush(self, timeout_s: float) -> None:
        """Wait until the host was told what was set: the process is about to end."""
        until = time.monotonic() + timeout_s
        while self._untold() != ([], []) and time.monotonic() < until:
            self.wake()
            time.sleep(0.005)

    # --- the thread --------------------------------------------------------------------------------------------

    def _keep(self) -> None:
        if not self._keeping.acquire(blocking=False):
            return  # there is one
        wait_s: float | None = 0.0
        while True:
            self._awake.wait(wait_s)
            now = time.monotonic()
            try:
                while self._orders:
                    self._listing.take(*self._orders.pop(0), now)
                self._tell()
                wait_s = self._look(now)
                self._tell()  # since when, too
            except Exception as error:  # whatever it is, the host must go on hearing
                self._tell_trouble("the set-point monitor", error)
                wait_s = LOOK_S
            time.sleep(TELL_S)  # not woken by each of many writes

    def _tell_trouble(self, what: str, error: Exception) -> None:
        text = f"{what}: {type(error).__name__}: {error}"
        if text not in self._troubles:
            self._troubles.add(text)
            self._say(text)

    # --- telling -----------------------------------------------------------------------------------------------

    def _untold(self) -> tuple[list[Setpoint], list[str]]:
        points = dict(self._memory.points)  # one step: other threads change it meanwhile
        dated = map(self._dated, points.values())
        new = [one for one in dated if (told := self._told.get(one.channel)) is not one and told != one]
        return new, [full for full in tuple(self._told) if full not in points]

    def _dated(self, point: Setpoint) -> Setpoint:
        since = self._since.get(point.channel, 0.0)
        return point if point.since == since else replace(point, since=since)

    def _tell(self) -> None:
        """Tell the host what was set."""
        points, gone = self._untold()
        while points or gone:
            size = count = 0
            while count < len(points) and size < MESSAGE_BYTES:
                size += len(points[count].value)
                count += 1
            part, points = points[:count], points[count:]
            self._report(Setpoints(points=tuple(part), gone=tuple(gone)))
            self._told.update((point.channel, point) for point in part)
            for full in gone:
                self._told.pop(full, None)
                self._since.pop(full, None)
            gone = []

    # --- looking -----------------------------------------------------------------------------------------------

    def _look(self, now: float) -> float | None:
        """Look at all channels, if it is time; in how many seconds to come again."""
        if not self._on:
            self._rest()
            return None
        if not self._on_since:
            self._on_since, self._look_at = now, now
        if now < self._look_at:
            return self._look_at - now
        self._look_at = now + LOOK_S
        self._listing.look(now)
        points = dict(self._memory.points)
        self._forget_but(points)
        unknown = 0
        for full, point in points.items():
            seen = self._seen.get(full)
            if seen is None or seen.point is not point:
                seen = self._seen[full] = self._begin(point, seen, now)
            unknown += self._judge(seen, now)
        self._show(unknown, now)
        return LOOK_S if self._seen or self._listing.wanted else None

    def _rest(self) -> None:
        """The monitor is off."""
        if self._on_since:
            self._on_since = 0.0
            self._seen.clear()
            self._since.clear()
            self._forget_but({})
            self._say_differences()

    def _forget_but(self, points: dict[str, Setpoint]) -> None:
        for full in [full for full in self._seen if full not in points]:
            del self._seen[full]
            self._since.pop(full, None)
        for full in [full for full in self._apart if full not in points and full not in self._listing.wanted]:
            self._channels.give_back([self._apart.pop(full)])

    def _begin(self, point: Setpoint, before: _Seen | None, now: float) -> _Seen:
        """A channel that was set, or set anew. What the last worker has seen is not forgotten."""
        again = before is not None and (before.point.value, before.point.mask) == (point.value, point.mask)
        since = self._since.get(point.channel, 0.0) if before is None or again else 0.0
        if not since:
            self._since.pop(point.channel, None)
        known_s = max(DEAD_S - FIRST_S, 0.0) if since else 0.0  # so it is told as soon as anything is
        lost_at = before.lost_at if before is not None else now - known_s
        told = before.told if before is not None and again else None  # until it is seen to be as it was set
        if before is not None and (apart := self._apart.get(point.channel)):
            apart.distrust()  # set through an Ezca of the code's own, so only the server knows it below the dead band
        settled_at = now if since else now + SETTLE_S
        return _Seen(point=point, settled_at=settled_at, lost_at=lost_at, doubted_at=since, told=told)

    def _judge(self, seen: _Seen, now: float) -> bool:
        """Look at one channel; whether it cannot be told how it is."""
        point = seen.point
        try:
            found = self._found(seen, now)
        except EzcaConnectError:  # between two lines
            found = _UNKNOWN
        except Exception as error:
            self._tell_trouble(f"{point.channel} is not watched", error)
            found = _UNKNOWN
        if found is _UNKNOWN:
            return True
        if found is _AS_SET:
            seen.told, seen.notice, seen.doubted_at = None, None, 0.0
            self._since.pop(point.channel, None)
        elif seen.doubted_at:
            since = self._since[point.channel] = seen.doubted_at
            seen.told = Difference(channel=point.channel, set=shown_of(point), now=found, at=point.at, since=since)
        else:
            seen.doubted_at = round(time.time(), 3)
        return False

    def _found(self, seen: _Seen, now: float) -> Any:
        """_AS_SET, _UNKNOWN, or what is there instead of what was set, for people."""
        channel = self._channel(seen.point.channel)
        if not channel.connected:
            channel.search_again()
            seen.sample = None
            if seen.lost_at is None:
                seen.lost_at = now
            if now - seen.lost_at < DEAD_S:
                return _UNKNOWN
            seen.doubted_at = seen.doubted_at or round(time.time() - DEAD_S, 3)
            return DEAD
        seen.lost_at = None
        if seen.point.channel in self._memory.busy:
            seen.settled_at = now + SETTLE_S
        if now < seen.settled_at:
            return _UNKNOWN
        sample = channel.peek()
        if sample is None:
            channel.inquire()
            return _UNKNOWN
        if sample is not seen.sample:
            shape = channel.shape()
            if seen.expected is _UNKNOWN:
                seen.expected = self._expected(seen.point, channel)
            as_text = isinstance(seen.expected, str)
            value = plain_value(sample, is_array=shape.is_array, as_text=as_text)
            if same(seen.expected, value, mask=seen.point.mask):
                seen.result = _AS_SET
            else:
                learn_labels(channel)
                label = self._channels.words(seen.point, value) or channel.label(value)
                seen.result = shown(value, label)
            seen.sample = sample
        return seen.result

    def _expected(self, point: Setpoint, channel: Channel) -> Any:
        """What a channel was set to; what the module says of it, as the channel takes it: a label is a number."""
        value, is_array = unpacked(point.value), channel.shape().is_array
        if not point.module or point.mask:
            return value
        payload = channel.encode(value, time.monotonic() + ASK_S)
        return plain_value(payload, is_array=is_array, as_text=isinstance(value, str))

    def _channel(self, full: str) -> Channel:
        """That of user code, else one of our own."""
        used = self._channels.used(full)
        if used is not None:
            if full in self._apart:
                self._channels.give_back([self._apart.pop(full)])
            return used
        if full not in self._apart:
            self._apart[full] = channel = self._channels.apart(full, _no_news)
            channel.open()
        return self._apart[full]

    # --- showing -----------------------------------------------------------------------------------------------

    def _show(self, unknown: int, now: float) -> None:
        for seen in self._seen.values():
            told, notice = seen.told, seen.notice
            if told is None or told == notice:
                continue
            moves = notice is not None and DEAD not in (told.now, notice.now)
            if not moves or now - seen.noticed_at >= NOTICE_S:
                seen.notice, seen.noticed_at = told, now
        if self._shown is None and unknown and now - self._on_since < FIRST_S:
            return  # what the last worker has told may stand yet
        self._say_differences()

    def _say_differences(self) -> None:
        found = [seen.told for seen in self._seen.values() if seen.told is not None]
        differences = Differences(count=len(found), first=tuple(found[:MOST_TOLD]))
        if differences != self._shown:
            self._shown = differences
            self._report(differences)
        noticed = [seen.notice for seen in self._seen.values() if seen.notice is not None]
        standing = notices(noticed, len(noticed)) if self._notify else ()
        if standing != self._standing:
            self._standing = standing
            self._stand(standing)


def _no_news() -> None:
    pass
