"""Ramps of the gain and the offset of LIGO's filter modules: begun, watched, and waited for.

The front end raises a bit while it ramps, some time after the write that begins the ramp, and a short ramp is over
before anybody looks. So the changes of the bit are kept as they come (:class:`History`), from before the write. Knows
nothing of the package ``ezca``, whose ``Ramp`` this replaces: see :mod:`guardian.access.ligo`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Protocol

from guardian.access import wire
from guardian.access.channel import Channel
from guardian.access.wire import Sample
from guardian.errors import EzcaConnectError

#: How long a wait for the end of a ramp goes on before it asks whether the channel is still there.
_LOOK_S = 1.0
#: Changes that are kept; of interest are those since a ramp was begun.
_KEPT = 64


class Ramped(Protocol):
    """The part of the channels that is needed here."""

    @property
    def timeout(self) -> float: ...
    @property
    def ca_enable_read(self) -> bool: ...
    @property
    def ca_enable_write(self) -> bool: ...
    @property
    def ca_fail_no_connect(self) -> bool: ...
    def full_name(self, name: str) -> str: ...
    def read(self, channel: str) -> Any: ...
    def disconnected(self) -> tuple[str, ...]: ...
    def apart(self, full: str, news: Callable[[], None]) -> Channel: ...
    def history(self, channel: str) -> History: ...


class History:
    """The changes of a channel. libca's thread adds to it, everybody may look."""

    def __init__(self, channels: Ramped, channel: str) -> None:
        self._channels = channels
        self._name = channel
        self._seen: deque[Sample] = deque(maxlen=_KEPT)
        self._apart: Channel | None = None

    def _news(self) -> None:
        sample = self._apart.latest if self._apart is not None else None
        if sample is not None:
            self._seen.append(sample)

    def samples(self) -> tuple[Sample, ...]:
        """What came, oldest first; at least the present value.

        Raises
        ------
        EzcaConnectError, EzcaError
            As :meth:`Channels.read`.
        """
        channel = self._apart
        if channel is None:
            self._channels.read(self._name)  # a channel that user code has used is one that R13 looks after
            channel = self._apart = self._channels.apart(self._channels.full_name(self._name), self._news)
            channel.open()
        latest = channel.peek()
        if latest is None:
            channel.open()  # if an interrupt came in the way
            channel.search_again()
            self._channels.read(self._name)  # if the server is gone, this knows it, too
            if channel.name not in self._channels.disconnected():
                channel.wait_for_news(lambda: channel.peek() is not None, time.monotonic() + self._channels.timeout)
            latest = channel.peek()
        if latest is None:
            raise EzcaConnectError(f"{channel.name}: no value came in time. Is its IOC overloaded?", (channel.name,))
        seen = tuple(self._seen)
        return seen if seen and seen[-1].order >= latest.order else (*seen, latest)

    def wait(self, ready: Callable[[], bool], timeout_s: float) -> bool:
        """Until `ready` is true, asked after each change."""
        assert self._apart is not None
        return self._apart.wait_for_news(ready, time.monotonic() + timeout_s)


class Ramp:
    """The ramp of the gain or the offset of a filter module, begun and waited for.

    The front end raises a bit while it ramps, and it does so some time after the write that begins it. So whoever has
    just begun a ramp waits until the bit is up, or was, or the time-out has passed: then there is none, because the
    value was there already.

    Parameters
    ----------
    monitor : the channel with the bit. is_up : whether a value of it has the bit. begin : writes what begins the ramp.
    """

    def __init__(
        self, monitor: str, is_up: Callable[[Any], bool], begin: Callable[..., None], channels: Ramped
    ) -> None:
        self._monitor = monitor
        self._is_up = is_up
        self._begin = begin
        self._channels = channels
        self._begun_at = float("-inf")
        self._before = 0  #: what had come before it began

    def start_ramp(self, *args: Any, wait: bool = False, **kwargs: Any) -> None:
        """Begin one; with `wait` until it is over."""
        if not self._channels.ca_enable_write:
            self._begin(*args, **kwargs)  # which begins nothing
            return
        seen = self._samples()
        self._before = seen[-1].order if seen else 0
        self._begin(*args, **kwargs)
        self._begun_at = time.monotonic()
        while wait and self.is_ramping():
            self._history.wait(lambda: not self._now(), _LOOK_S)

    def is_ramping(self) -> bool:
        """Whether it ramps; just after the beginning it waits for the answer."""
        left_s = self._begun_at + self._channels.timeout - time.monotonic()
        if self._samples() and left_s > 0:
            self._history.wait(lambda: self._now() or self._has_risen(), left_s)
        return self._now()

    @property
    def _history(self) -> History:
        return self._channels.history(self._monitor)

    def _samples(self) -> tuple[Sample, ...]:
        """What came of the bit; nothing, where EZCA_CA says that this is no error."""
        if not self._channels.ca_enable_read:
            return ()
        try:
            return self._history.samples()
        except EzcaConnectError:
            if self._channels.ca_fail_no_connect:
                raise
            return ()

    def _now(self) -> bool:
        seen = self._samples()
        return bool(seen) and self._up(seen[-1])

    def _has_risen(self) -> bool:
        """Since it began."""
        seen = self._samples()
        return any(new.order > self._before and self._up(new) and not self._up(old) for old, new in pairwise(seen))

    def _up(self, sample: Sample) -> bool:
        return self._is_up(wire.decode(sample, is_array=False))
