"""Who listens to a channel: updates go to those whose mask they match, and all of it comes and goes in O(1).

caproto keeps deques of subscriptions by specification, and walks all of a client's to cancel one: 4,000 monitors that
are closed one by one freeze the server for 4.6 s. It ignores the masks of subscriptions, and sends an update for each
write, changed or not.

Here each channel has an :class:`Audience`: its subscriptions, grouped by what they want to see (type, count, filter),
so that a value is packed once a group; and the clients' channels that are connected to it. All are dictionaries.

**What is an event** is what a C IOC says it is. A changed value is VALUE and LOG, a changed alarm is ALARM, changed
limits are PROPERTY. A write that changes nothing is no event and costs a comparison. Arrays are not compared: each
write of one is an event, as for a waveform record.

A channel tells its audience that it was written by :meth:`Audience.written`. Channels of caproto do that through the
queue that they are given for a subscription (:class:`Bell`): of what they put there only the fact matters, so they are
subscribed once, as the type that costs least to convert. The server-side filters ``sync`` need values of other moments:
such a subscription has its own entry there.
"""

from __future__ import annotations

import asyncio
import copy
import logging
from math import isnan
from typing import TYPE_CHECKING, Any, NamedTuple

import caproto as ca
from caproto.server.common import SubscriptionSpec

from ioc.cas import wire
from ioc.cas.cheap import Announcing
from ioc.cas.filters import NO_FILTER, dead_band_of, part_of
from ioc.cas.line import STEPS
from ioc.cas.pacing import PACE
from ioc.cas.packing import SIZES, Packed, base_type, failed, pack

if TYPE_CHECKING:
    from ioc.cas.channel import Channel
    from ioc.cas.circuit import Circuit

log = logging.getLogger(__name__)

NEW_VALUE = int(ca.SubscriptionType.DBE_VALUE | ca.SubscriptionType.DBE_LOG)
NEW_ALARM = int(ca.SubscriptionType.DBE_ALARM)
NEW_PROPERTY = int(ca.SubscriptionType.DBE_PROPERTY)
EVERYTHING = NEW_VALUE | NEW_ALARM | NEW_PROPERTY

_NORMAL = wire.code(ca.CAStatus.ECA_NORMAL)
_GETFAIL = wire.code(ca.CAStatus.ECA_GETFAIL)
_NORDACCESS = wire.code(ca.CAStatus.ECA_NORDACCESS)
AGAIN_S = 0.005
#: Type, count, whether as a long string, filter.
_Key = tuple[int, int, bool, Any]
_NO_PROPERTIES = ("value", "timestamp")
#: The type that any channel of caproto has, at no cost: the alarm alone.
_CHEAPEST = "STSACK_STRING"


class Subscription:
    """One monitor of one client."""

    __slots__ = (
        "alive",
        "band",
        "channel",
        "circuit",
        "count",
        "data_type",
        "last_sync",
        "mask",
        "most_bytes",
        "number",
        "place",
    )

    def __init__(self, channel: Channel, number: int, *, data_type: int, count: int, mask: int) -> None:
        self.circuit, self.channel, self.number = channel.circuit, channel, number
        self.data_type, self.count, self.mask = data_type, count, mask
        self.alive = True
        self.most_bytes = SIZES[base_type(data_type)] * (count or channel.count)
        self.place: int | None = None
        self.band = dead_band_of(channel.filter)
        self.last_sync: bytes | None = None

    def send(self, packed: Packed, status: int = _NORMAL) -> None:
        """Put a value in the line of the client."""
        payload = packed.payload
        header = wire.head(wire.EVENT_ADD, len(payload), self.data_type, packed.elements, status, self.number)
        self.circuit.line.update(self, header, payload)


class _Facts(NamedTuple):
    """What makes a difference to those who listen."""

    value: Any
    alarm: tuple[Any, ...]
    properties: tuple[Any, ...] | None  # None: the channel says itself when they change


class Bell:
    """Where channels of caproto put their updates, in caproto a queue. One for a Context."""

    async def put(self, update: Any) -> None:
        for spec in update.sub_specs:
            spec.audience.rung(spec, update)
        await PACE.turn()


class _Spec(SubscriptionSpec):
    """caproto's key of a subscription, that knows where to ring."""

    audience: Audience


class Audience:
    """All who listen to one channel. Made by the Context when the first client connects to the channel."""

    def __init__(self, data: ca.ChannelData, bell: Bell) -> None:
        self.data = data
        self.channels: dict[Channel, None] = {}
        self._bell = bell
        self._groups: dict[_Key, dict[Subscription, None]] = {}
        self._counts: dict[Circuit, int] = {}
        self._said_again = 0.0
        self._again_due = False
        self._specs: dict[Any, _Spec] = {}
        self._shown: _Facts | None = None
        self._tells = isinstance(data, Announcing)
        self._is_array = data._max_length != 1

    def count_of(self, circuit: Circuit) -> int:
        """How many subscriptions of this client are there."""
        return self._counts.get(circuit, 0)

    @property
    def empty(self) -> bool:
        """Nobody is connected."""
        return not self.channels

    def add(self, sub: Subscription) -> None:
        """Begin to listen; the present value is the first update."""
        if not self._groups:
            self._shown = self._facts()
            self._listen(NO_FILTER)
        if sub.channel.filter.sync is not None:
            self._listen(sub.channel.filter)
        self._groups.setdefault(self._key(sub), {})[sub] = None
        self._counts[sub.circuit] = self._counts.get(sub.circuit, 0) + 1
        self.show(sub)

    def remove(self, sub: Subscription) -> None:
        """Listen no longer."""
        key = self._key(sub)
        group = self._groups[key]
        del group[sub]
        if not group:
            del self._groups[key]
        self._counts[sub.circuit] -= 1
        if not self._counts[sub.circuit]:
            del self._counts[sub.circuit]
        if not self._groups:
            self._deafen()

    def show(self, sub: Subscription) -> None:
        """Send the present value to one."""
        STEPS.next()
        if not sub.channel.readable:
            sub.send(failed(sub.data_type, sub.count), _NORDACCESS)
            return
        packed, status = self._packed(sub)
        if sub.band is not None:
            sub.band.passes(self.data._data["value"])
        if sub.channel.filter.sync is not None:
            sub.last_sync = packed.payload
        sub.send(packed, status)

    def written(self, flags: int = 0) -> None:
        """The channel was written: tell who has to know. `flags`: events that it is in any case."""
        shown, facts = self._shown, self._facts()
        if self._is_array or shown is None or not _same(facts.value, shown.value):
            flags |= NEW_VALUE
        if shown is not None and facts.alarm != shown.alarm:
            flags |= NEW_ALARM
        if shown is not None and facts.properties != shown.properties:
            flags |= NEW_PROPERTY
        if flags:
            self._shown = facts
            self.announce(flags)

    def announce(self, flags: int) -> None:
        """Send the present value to all whose mask has one of these events. Raises nothing, whatever they asked for."""
        STEPS.next()
        value = self.data._data["value"]
        for key, group in self._groups.items():
            if key[3].sync is not None:
                continue
            packed = None
            for sub in group:
                if not sub.mask & flags or not sub.channel.readable:
                    continue
                if not sub.circuit.events_on:
                    sub.circuit.missed[sub] = None
                    continue
                if sub.band is not None and not sub.band.passes(value):
                    continue
                if packed is None:
                    packed = self._packed(sub)
                sub.send(*packed)

    def again(self, channel: Channel) -> None:
        """A write of this client was refused: say what is really there to all, since one may show what was written.

        The client hears it at once; others not more often than each :data:`AGAIN_S`, or it could flood their screens.
        """
        loop = channel.circuit.loop
        if loop.time() - self._said_again > AGAIN_S:
            self._say_again(loop)
            return
        for sub in channel.subscriptions:
            self.show(sub)
        if not self._again_due:
            self._again_due = True
            loop.call_later(AGAIN_S, self._say_again, loop)

    def _say_again(self, loop: asyncio.AbstractEventLoop) -> None:
        self._again_due, self._said_again = False, loop.time()
        self.announce(NEW_VALUE)

    def rung(self, spec: Any, update: Any) -> None:
        """A channel of caproto was written; or one of its states changed, for those who are in step with it."""
        sync = spec.channel_filter.sync
        if sync is None:
            self.written(int(update.flags) & NEW_PROPERTY)
            return
        snapshot = self.data._snapshots[sync.s].get(sync.m)
        for key, group in self._groups.items():
            if key[3].sync != sync or snapshot is None:
                continue
            for sub in group:
                packed, status = self._packed(sub, snapshot)
                if sub.last_sync != packed.payload:
                    sub.last_sync = packed.payload
                    sub.send(packed, status)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _key(self, sub: Subscription) -> _Key:
        return sub.data_type, sub.count, sub.channel.long_string, sub.channel.filter

    def _facts(self) -> _Facts:
        data, alarm = self.data._data, self.data.alarm._data
        properties = None if self._tells else tuple([data[name] for name in data if name not in _NO_PROPERTIES])
        return _Facts(
            data["value"],
            (alarm["status"], alarm["severity"], alarm["must_acknowledge_transient"], alarm["severity_to_acknowledge"]),
            properties,
        )

    def _packed(self, sub: Subscription, data: ca.ChannelData | None = None) -> tuple[Packed, int]:
        packed = packed_for(sub.channel, sub.data_type, sub.count, data)
        return (failed(sub.data_type, sub.count), _GETFAIL) if packed is None else (packed, _NORMAL)

    def _listen(self, channel_filter: Any) -> None:
        sync = channel_filter.sync
        if self._tells and sync is None:
            if self not in self.data.audiences:
                self.data.audiences += (self,)
        elif sync not in self._specs:
            spec = _Spec(self.data, _CHEAPEST, EVERYTHING, channel_filter)
            spec.audience = self
            self._specs[sync] = spec
            self._tell_caproto()

    def _deafen(self) -> None:
        if self._tells:
            self.data.audiences = tuple(one for one in self.data.audiences if one is not self)
        if self._specs:
            self._specs.clear()
            self._tell_caproto()

    def _tell_caproto(self) -> None:
        """Set whom the channel rings; in a new dictionary, as it may be waiting in a walk through the old one."""
        queues = copy.copy(self.data._queues)
        if self._specs:
            queues[self._bell] = {sync: {_CHEAPEST: {spec}} for sync, spec in self._specs.items()}
        else:
            queues.pop(self._bell, None)
        self.data._queues = queues


def packed_for(channel: Channel, data_type: int, count: int, data: ca.ChannelData | None = None) -> Packed | None:
    """The value of a channel in the form in which the client asked for it; None if it cannot be had so.

    Parameters
    ----------
    data : where the value is of another moment, what the PV was then.
    """
    try:
        return pack(
            data or channel.data,
            data_type,
            count,
            long_string=channel.long_string,
            part=part_of(channel.filter),
            stamp=ca.TimeStamp.now() if channel.filter.ts else None,
        )
    except Exception as error:  # of as many kinds as there are values that do not fit a type
        log.debug("%s: %s cannot be had as type %d: %r", channel.circuit.who, channel.name, data_type, error)
        return None


def _same(one: Any, other: Any) -> bool:
    """Whether two scalars are the same value; NaN is."""
    return bool(one == other) or (isinstance(one, float) and isinstance(other, float) and isnan(one) and isnan(other))
