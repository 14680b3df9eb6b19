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

import copy
import logging
import time
from collections import ChainMap
from math import isnan
from typing import TYPE_CHECKING, Any

import caproto as ca
import numpy as np
from caproto import apply_arr_filter
from caproto._utils import apply_deadband_filter
from caproto.server.common import SubscriptionSpec, host_endian

from ioc.cas import wire
from ioc.cas.cheap import Announcing
from ioc.cas.pacing import PACE
from ioc.cas.packing import SIZES, Packed, base_type, failed, pack, run_now
from ioc.cas.search import NO_FILTER

if TYPE_CHECKING:
    from ioc.cas.circuit import Channel

log = logging.getLogger(__name__)

NEW_VALUE = int(ca.SubscriptionType.DBE_VALUE | ca.SubscriptionType.DBE_LOG)
NEW_ALARM = int(ca.SubscriptionType.DBE_ALARM)
NEW_PROPERTY = int(ca.SubscriptionType.DBE_PROPERTY)
EVERYTHING = NEW_VALUE | NEW_ALARM | NEW_PROPERTY

_NORMAL = wire.code(ca.CAStatus.ECA_NORMAL)
_GETFAIL = wire.code(ca.CAStatus.ECA_GETFAIL)
_NORDACCESS = wire.code(ca.CAStatus.ECA_NORDACCESS)
#: The type that caproto converts at no cost.
_CHEAPEST = "CLASS_NAME"


class Subscription:
    """One monitor of one client."""

    __slots__ = (
        "alive", "channel", "circuit", "count", "data_type", "last_kept", "last_sync", "mask", "number", "place",
    )  # fmt: skip

    def __init__(self, channel: Channel, number: int, *, data_type: int, count: int, mask: int) -> None:
        self.circuit, self.channel, self.number = channel.circuit, channel, number
        self.data_type, self.count, self.mask = data_type, count, mask
        self.alive = True
        self.place: int | None = None
        self.last_kept: Any = None  # of a deadband filter
        self.last_sync: bytes | None = None

    # What caproto's filters look at.

    @property
    def channel_filter(self) -> Any:
        return self.channel.filter

    @property
    def db_entry(self) -> Any:
        return self.channel.data

    def send(self, packed: Packed, status: int = _NORMAL) -> None:
        """Put a value in the line of the client."""
        payload = packed.payload
        header = wire.head(wire.EVENT_ADD, len(payload), self.data_type, packed.elements, status, self.number)
        self.circuit.line.update(self, header, payload)


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
        self._groups: dict[tuple[int, int, bool, Any], dict[Subscription, None]] = {}
        self._specs: dict[Any, _Spec] = {}
        self._shown: tuple[Any, int, int] | None = None
        self._tells = isinstance(data, Announcing)

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
        self.show(sub)

    def remove(self, sub: Subscription) -> None:
        """Listen no longer."""
        key = self._key(sub)
        group = self._groups[key]
        del group[sub]
        if not group:
            del self._groups[key]
        if not self._groups:
            self._deafen()

    def show(self, sub: Subscription) -> None:
        """Send the present value to one."""
        if not sub.channel.readable:
            sub.send(failed(sub.data_type, sub.count), _NORDACCESS)
            return
        sub.send(*self._packed(self._key(sub), sub))

    def written(self, flags: int = 0) -> None:
        """The channel was written: tell who has to know. `flags`: events that it is in any case."""
        shown, facts = self._shown, self._facts()
        if facts[0] is None or shown is None or not _same(facts[0], shown[0]):
            flags |= NEW_VALUE
        if shown is not None and facts[1:] != shown[1:]:
            flags |= NEW_ALARM
        if flags:
            self._shown = facts
            self.announce(flags)

    def announce(self, flags: int) -> None:
        """Send the present value to all whose mask has one of these events."""
        for key, group in self._groups.items():
            packed = None
            for sub in group:
                if not sub.mask & flags:
                    continue
                if not sub.circuit.events_on:
                    sub.circuit.missed[sub] = None
                    continue
                if not sub.channel.readable:
                    continue
                if key[3] is not NO_FILTER:
                    if key[3].sync is None:
                        self._filtered(sub, key, flags)
                    continue
                if packed is None:
                    packed = self._packed(key, sub)
                sub.send(*packed)

    def rung(self, spec: Any, update: Any) -> None:
        """A channel of caproto was written."""
        if spec.channel_filter.sync is None:
            self.written(int(update.flags) & NEW_PROPERTY)
        else:
            self._synchronous(spec.channel_filter, update)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _key(self, sub: Subscription) -> tuple[int, int, bool, Any]:
        return sub.data_type, sub.count, sub.channel.long_string, sub.channel.filter

    def _facts(self) -> tuple[Any, int, int]:
        """Value (None where it is an array, which is not compared), status and severity."""
        data, alarm = self.data._data, self.data.alarm._data
        value = data["value"]
        if self.data._max_length != 1:
            value = None
        return value, alarm["status"], alarm["severity"]

    def _packed(self, key: tuple[int, int, bool, Any], sub: Subscription) -> tuple[Packed, int]:
        data_type, count, long_string, channel_filter = key
        try:
            if channel_filter is not NO_FILTER:
                return self._sliced(data_type, count, channel_filter), _NORMAL
            return pack(self.data, data_type, count, long_string=long_string), _NORMAL
        except Exception as error:
            log.debug("%s cannot be sent to %s as type %d: %r", sub.channel.name, sub.circuit.who, data_type, error)
            return failed(data_type, count), _GETFAIL

    def _sliced(self, data_type: int, count: int, channel_filter: Any) -> Packed:
        """With caproto's own reading, for filters."""
        return from_caproto(run_now(self.data._read(ca.ChannelType(data_type))), data_type, count, channel_filter)

    def _filtered(self, sub: Subscription, key: Any, flags: int) -> None:
        if sub.channel.filter.dbnd is not None:
            values = np.atleast_1d(np.asarray(self.data._data["value"]))
            kept = apply_deadband_filter(
                previous_value=sub.last_kept, new_value=values, sub=sub, flags=flags, host_endian=host_endian
            )
            if kept is None:
                return
            sub.last_kept = kept
        sub.send(*self._packed(key, sub))

    def _synchronous(self, channel_filter: Any, update: Any) -> None:
        for (data_type, count, _, its_filter), group in self._groups.items():
            if its_filter != channel_filter:
                continue
            snapshot = self.data._snapshots[channel_filter.sync.s].get(channel_filter.sync.m)
            if snapshot is None:
                continue
            read = run_now(snapshot._read(ca.ChannelType(data_type)))
            packed = from_caproto(read, data_type, count, channel_filter)
            for sub in group:
                if sub.last_sync != packed.payload:
                    sub.last_sync = packed.payload
                    sub.send(packed)

    def _listen(self, channel_filter: Any) -> None:
        if self._tells:
            if self not in self.data.audiences:
                self.data.audiences += (self,)
        elif channel_filter.sync not in self._specs:
            spec = _Spec(self.data, _CHEAPEST, EVERYTHING, channel_filter)
            spec.audience = self
            self._specs[channel_filter.sync] = spec
            self._tell_caproto()

    def _deafen(self) -> None:
        if self._tells:
            self.data.audiences = tuple(one for one in self.data.audiences if one is not self)
        else:
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


def _same(one: Any, other: Any) -> bool:
    """Whether two scalars are the same value; NaN is."""
    return bool(one == other) or (isinstance(one, float) and isinstance(other, float) and isnan(one) and isnan(other))


def from_caproto(read: tuple[Any, Any], data_type: int, count: int, channel_filter: Any) -> Packed:
    """A payload of what caproto has read (metadata and values), with the filters that change it."""
    metadata, values = read
    values = apply_arr_filter(channel_filter.arr, values)
    if channel_filter.ts and ca.ChannelType(data_type) in ca.time_types:
        kept = {field: getattr(metadata, field) for field, _ in metadata._fields_}
        metadata = type(metadata)(**ChainMap({"stamp": ca.TimeStamp.from_unix_timestamp(time.time())}, kept))
    values = values[:count] if count else values
    elements = values if isinstance(values, bytes) else values.tobytes()
    count = count or len(values)
    return Packed(wire.padded(bytes(metadata) + elements.ljust(count * SIZES[base_type(data_type)], b"\0")), count)
