"""caproto's channels with writes that cost what they change.

A write of caproto takes 32 us when nobody listens: it checks limits that are not there, writes metadata that were not
given, and publishes what has not changed. Here a plain ``await channel.write(value)`` of a scalar

* checks limits only if there are any (two that are equal are none, as everywhere in EPICS);
* sets value and time and nothing else;
* is no event if value and alarm are what they were, see :mod:`ioc.cas.audience`.

Everything else (metadata, hooks of a subclass, arrays of other kinds) goes caproto's way.

:class:`Announcing` is the part that tells an audience directly; channels with writes of their own build on it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import caproto as ca

from ioc.cas.pacing import PACE

if TYPE_CHECKING:
    from ioc.cas.audience import Audience

_LIMITS = (
    ("lower_alarm_limit", "upper_alarm_limit"),
    ("lower_warning_limit", "upper_warning_limit"),
    ("lower_ctrl_limit", "upper_ctrl_limit"),
)
_PROPERTIES = frozenset(
    {
        "units",
        "precision",
        "enum_strings",
        "upper_disp_limit",
        "lower_disp_limit",
        *(one for pair in _LIMITS for one in pair),
    }
)


class Announcing:
    """Stands before caproto's class in the bases: tells its audiences itself that it was written."""

    audiences: tuple[Audience, ...] = ()

    async def publish(self, flags: Any) -> None:
        """Called by caproto after each write."""
        for audience in self.audiences:
            audience.written(int(flags) & int(ca.SubscriptionType.DBE_PROPERTY))
        await super().publish(flags)  # type: ignore[misc]  # for other servers of the same channel
        await PACE.turn()

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()  # type: ignore[assignment]
        state.pop("audiences", None)  # a copy has no audience
        return state

    def announce(self, flags: int) -> None:
        """Send the present value to whoever waits for one of these events, changed or not."""
        for audience in self.audiences:
            audience.announce(flags)


class CheapWrites(Announcing):
    """Stands before caproto's class in the bases.

    A class that has hooks of its own for what is written keeps them, and caproto's costs.
    """

    _hooked = True

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        own = {cls.verify_value, cls.update_fields, cls.write_metadata}  # type: ignore[attr-defined]
        cls._hooked = any(hook.__module__ != "caproto._data" for hook in own)

    async def write(self, value: Any, *, flags: int = 0, **how: Any) -> None:
        data = self._data  # type: ignore[attr-defined]
        if (
            how
            or self._hooked
            or self._max_length != 1  # type: ignore[attr-defined]
            or self._fill_at_next_write  # type: ignore[attr-defined]
            or self._limited(data)
        ):
            if not _PROPERTIES.isdisjoint(how):
                flags |= ca.SubscriptionType.DBE_PROPERTY
            await super().write(value, flags=flags, **how)  # type: ignore[misc]
            return
        data["value"] = self._kept(value)
        data["timestamp"] = ca.TimeStamp.from_unix_timestamp(time.time())
        await self.publish(flags)

    def _limited(self, data: dict[str, Any]) -> bool:
        alarm = self.alarm._data  # type: ignore[attr-defined]
        if alarm["severity"] or alarm["status"]:
            return True  # caproto's write takes an alarm away
        return any(data.get(low, 0) != data.get(high, 0) for low, high in _LIMITS)

    def _kept(self, value: Any) -> Any:
        return self.preprocess_value(value)  # type: ignore[attr-defined]


class ChannelShort(CheapWrites, ca.ChannelShort):
    """16 bits."""


class ChannelInteger(CheapWrites, ca.ChannelInteger):
    """32 bits."""


class ChannelFloat(CheapWrites, ca.ChannelFloat):
    """Single precision."""


class ChannelDouble(CheapWrites, ca.ChannelDouble):
    """Double precision."""


class ChannelString(CheapWrites, ca.ChannelString):
    """Text of up to 39 bytes."""


class ChannelEnum(CheapWrites, ca.ChannelEnum):
    """One of up to 16 labels, kept as the label; anything else is refused."""

    def _kept(self, value: Any) -> Any:
        value = super()._kept(value)
        labels = self.enum_strings
        if isinstance(value, str):
            if value in labels:
                return value
        elif 0 <= value < len(labels):
            return labels[int(value)]
        raise ca.CaprotoValueError(f"{value!r} is none of {', '.join(labels)}")
