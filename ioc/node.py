"""One row of the interface table as a Channel Access channel: what a client sees of it, and how a new value gets there.

The channels are caproto's, with three differences that a node needs.

* **Publishing is a plain call.** caproto's ``write()`` is a coroutine, so two values of one step could be torn apart by
  whatever the loop does in between. :meth:`RowChannel.post` sets value, severity and stamp, and when it returns the
  update stands in the line to every subscriber.
* **What is posted is an event**, changed or not: the node posts what somebody must see. As with a C IOC a changed
  severity is an ALARM event besides, and a severity that changes alone is nothing else.
* **A write is taken in a plain call** too (:meth:`RowChannel.take`), so what it changed is on its way before the client
  hears that it was accepted.

Texts are UTF-8. A long one ends with a NUL, as a C IOC's long strings do, so it is never an empty array. What does not
fit is cut between two characters and ends in ``...``; a NUL inside and halves of surrogate pairs are replaced.

Cost: about 3 kB a channel, so descriptions are made when somebody asks for one.
"""

from __future__ import annotations

import asyncio
import logging
from functools import lru_cache
from typing import Any

import caproto as ca
import numpy as np

from guardian.core.interface import Kind, Row
from guardian.core.names import STRING_BYTES
from guardian.core.texts import clip
from guardian.enums import Severity
from guardian.errors import RefusedError
from guardian.host.face import Put, Unreadable, Update
from ioc.cas.audience import NEW_ALARM, NEW_VALUE
from ioc.cas.cheap import Announcing
from ioc.cas.connection import Connection
from ioc.cas.puts import Refused
from ioc.cas.wire import Message
from ioc.decode import decode
from ioc.rights import READ, Rights, who_is

log = logging.getLogger(__name__)

INT_RANGE = (-(2**31), 2**31 - 1)
_STATUS = {
    Severity.NO_ALARM: ca.AlarmStatus.NO_ALARM,
    Severity.MINOR: ca.AlarmStatus.STATE,
    Severity.MAJOR: ca.AlarmStatus.STATE,
    Severity.INVALID: ca.AlarmStatus.UDF,
}


def text_for(value: object, size: int) -> str:
    """A text that can be sent: UTF-8, no NUL inside, at most `size` bytes."""
    text = str(value)
    if len(text) <= size and text.isascii() and "\0" not in text:
        return text
    return clip(text.replace("\0", "\ufffd").encode("utf-8", "replace").decode(), size)


@lru_cache(maxsize=1)
def _time_stamp(epoch_s: float) -> ca.TimeStamp:
    """As Channel Access has it. All rows of a step have the same."""
    return ca.TimeStamp.from_unix_timestamp(max(epoch_s, ca.EPICS2UNIX_EPOCH))


class RowChannel(Announcing):
    """What the channels of all kinds share; stands before caproto's class in the bases.

    Parameters
    ----------
    row : of the interface table. put : takes the writes of clients. rights : what they are told they may do.
    """

    _data: dict[str, Any]
    alarm: Any

    def __init__(self, row: Row, put: Put, rights: Rights, **more: Any) -> None:
        self.row = row
        self.put = put
        self.rights = rights
        # One kept update a subscription is all that caproto's bookkeeping needs; its 1000 would be kept for good.
        more |= {"alarm": ca.ChannelAlarm(), "string_encoding": "utf-8", "max_subscription_backlog": 1}
        super().__init__(**more)

    def rights_of(self, client: Connection) -> int:
        """What a client may do, told to it when it connects."""
        return self.rights.of(self.row.asg, client)

    @property
    def text(self) -> str | None:
        """What a LONG shows; None for the other kinds."""
        return None

    def post(self, value: Any, severity: Severity, stamp: float) -> None:
        """Set value, severity and stamp (epoch seconds), and hand them to all subscribers before returning."""
        data, alarm = self._data, self.alarm._data
        sent, flags = self.sent(value), 0
        if not _same(sent, data["value"]):
            flags = NEW_VALUE
        if severity != alarm["severity"]:
            flags |= NEW_ALARM
            alarm["severity"], alarm["status"] = ca.AlarmSeverity(severity), _STATUS[severity]
        data["value"] = sent
        data["timestamp"] = _time_stamp(stamp)
        self.announce(flags or NEW_VALUE)

    def take(self, message: Message, client: Connection) -> asyncio.Future[None] | None:
        """A client's write: accepted and published when this returns, see :class:`ioc.cas.puts.Taking`."""
        value: Any
        try:
            value = decode(self.row, message)
        except RefusedError as error:
            value = Unreadable(str(error))  # the node refuses it, and tells its operator
        try:
            return self.put(self.row.name, value, who_is(client))
        except RefusedError as error:
            raise Refused(str(error)) from None
        except Exception:
            log.exception("%s: %r by %s was not taken; please report this", self.row.name, value, client.who)
            raise Refused("an error inside the guardian; its log says more") from None

    def sent(self, value: Any) -> Any:
        """The value as caproto keeps it."""
        raise NotImplementedError


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return bool(one.tobytes() == other.tobytes())
    return bool(one == other)


class EnumChannel(RowChannel, ca.ChannelEnum):
    """ENUM and BOOL."""

    def __init__(self, row: Row, put: Put, rights: Rights) -> None:
        super().__init__(row, put, rights, value=0, enum_strings=row.labels)

    def sent(self, value: Any) -> int:
        return int(value)


class _Limited(RowChannel):
    """Numbers have units and limits."""

    def __init__(self, row: Row, put: Put, rights: Rights, **more: Any) -> None:
        low, high = row.low or 0, row.high or 0
        super().__init__(
            row,
            put,
            rights,
            units=row.units,
            lower_disp_limit=low,
            upper_disp_limit=high,
            lower_ctrl_limit=low,
            upper_ctrl_limit=high,
            **more,
        )


class IntChannel(_Limited, ca.ChannelInteger):
    """INT: 32 bits, which hold at their ends rather than wrap."""

    def __init__(self, row: Row, put: Put, rights: Rights) -> None:
        super().__init__(row, put, rights, value=0)

    def sent(self, value: Any) -> int:
        low, high = INT_RANGE
        return max(low, min(high, int(value)))


class DoubleChannel(_Limited, ca.ChannelDouble):
    """DOUBLE."""

    def __init__(self, row: Row, put: Put, rights: Rights) -> None:
        super().__init__(row, put, rights, value=0.0, precision=row.precision)

    def sent(self, value: Any) -> float:
        return float(value)


class StringChannel(RowChannel, ca.ChannelString):
    """STRING: at most 39 bytes."""

    def __init__(self, row: Row, put: Put, rights: Rights) -> None:
        super().__init__(row, put, rights, value="", max_length=1)

    def sent(self, value: Any) -> str:
        return text_for(value, STRING_BYTES)


class StringsChannel(RowChannel, ca.ChannelString):
    """STRINGS: an array of at most ``row.size`` strings, which may be empty."""

    def __init__(self, row: Row, put: Put, rights: Rights) -> None:
        super().__init__(row, put, rights, value=[], max_length=row.size)

    def sent(self, value: Any) -> list[str]:
        return [text_for(one, STRING_BYTES) for one in value[: self.row.size]]


class LongChannel(RowChannel, ca.ChannelChar):
    """LONG: the text is kept as the bytes that are sent, 262 kB of JSON would be converted for each reader else."""

    def __init__(self, row: Row, put: Put, rights: Rights) -> None:
        super().__init__(row, put, rights, value="", max_length=row.size + 1)
        self._data["value"] = self.sent("")

    @property
    def text(self) -> str:
        return bytes(self._data["value"]).removesuffix(b"\0").decode()

    def sent(self, value: Any) -> Any:
        return np.frombuffer(text_for(value, self.row.size).encode() + b"\0", dtype=np.uint8)


_CLASSES: dict[Kind, type[Any]] = {
    Kind.ENUM: EnumChannel,
    Kind.BOOL: EnumChannel,
    Kind.INT: IntChannel,
    Kind.DOUBLE: DoubleChannel,
    Kind.STRING: StringChannel,
    Kind.STRINGS: StringsChannel,
    Kind.LONG: LongChannel,
}


def channel(update: Update, stamp: float, put: Put, rights: Rights) -> RowChannel:
    """The channel of a row, showing a first value."""
    made: RowChannel = _CLASSES[update.row.kind](update.row, put, rights)
    made.post(update.value, update.severity, stamp)
    return made


class Names(dict[str, Any]):
    """All names that are served, and their channels. ``NAME.VAL`` is NAME; ``NAME.DESC`` its text, made when asked for.

    caproto looks names up here, and stores what it has found under the full name; :meth:`forget` knows them all.
    """

    def __missing__(self, name: str) -> Any:
        base, dot, field = name.rpartition(".")
        if not dot or field not in ("VAL", "DESC"):
            raise KeyError(name)
        found = dict.get(self, base)
        if not isinstance(found, RowChannel):
            raise KeyError(name)
        if field == "VAL":
            return found
        self[name] = described = _Description(found.row.text)
        return described

    def known(self, name: str) -> list[str]:
        """`name` and its fields that somebody has asked for."""
        return [one for one in (name, f"{name}.VAL", f"{name}.DESC") if one in self]

    def forget(self, name: str) -> None:
        """Serve `name` and its fields no longer."""
        for one in self.known(name):
            del self[one]


class _Description(ca.ChannelString):
    def __init__(self, text: str) -> None:
        super().__init__(value=text_for(text, STRING_BYTES), string_encoding="utf-8", max_length=1)

    def check_access(self, _hostname: str, _username: str) -> Any:
        return READ
