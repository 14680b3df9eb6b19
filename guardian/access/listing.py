"""The module's ca_channels: set points that no code has written.

``('CHAN', value)`` is one at once. A channel alone is taken with the value that it has when the set-point monitor first
sees it; until then it is *wanted*. What code has written counts more than either.

A new worker takes nothing once more: a value that was changed since is what the monitor is to tell. A LOAD does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from guardian.access.channel import Channel
from guardian.access.channels import Channels
from guardian.access.setpoints import plain_value
from guardian.access.wire import Kind
from guardian.core.setpoints import Listed, Setpoint, packed, unpacked, why_too_long
from guardian.errors import EzcaConnectError, EzcaError

#: A channel that is wanted and does not answer for so long is told.
SILENT_S = 10.0
#: How long a server may take to tell the labels of an enum.
ASK_S = 0.5


class Listing:
    """What the module lists, for one `Channels`.

    Parameters
    ----------
    channel : gives the channel of a full name. say : a line for the log.

    Attributes
    ----------
    wanted : by full name, what code calls it, and the monotonic second since when it is wanted.
    """

    def __init__(self, channels: Channels, channel: Callable[[str], Channel], say: Callable[[str], None]) -> None:
        self.wanted: dict[str, tuple[str, float]] = {}
        self._channels = channels
        self._memory = channels.memory
        self._channel = channel
        self._say = say
        self._silent: set[str] = set()

    def take(self, entries: Sequence[Listed], anew: bool, now: float) -> None:
        """The module lists these, and no others. `anew`: after a LOAD."""
        listed = {}
        for entry in entries:
            try:
                listed[self._channels.full_name(entry.name)] = entry
            except Exception as error:
                self._leave_out(entry.name, error)
        points = dict(self._memory.points)
        as_they_are = {full for full, one in listed.items() if not one.value}
        self._memory.unlist(full for full in points if full not in listed or (anew and full in as_they_are))
        self.wanted = {full: (listed[full].name, now) for full in as_they_are if full not in self._memory.points}
        self._silent &= self.wanted.keys()
        for full, one in listed.items():
            if one.value:
                self._take_one(full, one)

    def _take_one(self, full: str, one: Listed) -> None:
        try:
            point = self._channels.masked(one.name, full, unpacked(one.value))
        except EzcaError as error:
            self._leave_out(one.name, error)
            return
        point = point or Setpoint(channel=full, name=one.name, value=one.value, at=time.time())
        self._memory.listed(replace(point, module=True))

    def look(self, now: float) -> None:
        """Take those that are wanted, and answer."""
        for full, (name, since) in tuple(self.wanted.items()):
            try:
                point = self._point(full, name)
            except EzcaConnectError:  # lost between two lines
                continue
            except EzcaError as error:
                self._leave_out(name, error)
                del self.wanted[full]
                continue
            if point is not None:
                del self.wanted[full]
                self._memory.listed(point)
            elif now - since > SILENT_S and full not in self._silent:
                self._silent.add(full)
                self._say(f"ca_channels: {full} does not answer, and is watched from when it does")

    def _point(self, full: str, name: str) -> Setpoint | None:
        """A channel as it is; None while that is not known.

        Raises
        ------
        EzcaError, EzcaConnectError
        """
        channel = self._channel(full)
        if not channel.connected:
            channel.search_again()
            return None
        sample = channel.peek()
        if sample is None:
            channel.inquire()
            return None
        learn_labels(channel)
        value = plain_value(sample, is_array=channel.shape().is_array, as_text=True)
        if why := why_too_long(value):
            raise EzcaError(f"its value has {why}")
        label = channel.label(value)
        return Setpoint(channel=full, name=name, value=packed(value), label=label, at=time.time(), module=True)

    def _leave_out(self, name: str, error: Exception) -> None:
        self._say(f"ca_channels: {name!r} is not watched: {error}")


def learn_labels(channel: Channel) -> None:
    """Of an enum, once a connection; without them its number does."""
    if channel.shape().kind is Kind.ENUM:
        with suppress(EzcaError):
            channel.facts(time.monotonic() + ASK_S)
