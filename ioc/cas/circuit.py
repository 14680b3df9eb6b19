"""What one client asks for: channels, subscriptions, values; and what it is told.

* **Requests on a channel that is gone** are passed over: the client had not heard yet. The numbers of channels are not
  used again, so a number below the next one was a channel once.
* **VERSION is sent on connecting and may come again** with another priority, as with rsrv: libca does so where it found
  the server by EPICS_CA_NAME_SERVERS. caproto closes the circuit then.
* **Access rights** are told when a channel is made and whenever they change: when the client says who it is, and when
  the server says that they changed (:meth:`Circuit.judge`). caproto tells them once.
* **Events off**: what changes meanwhile is only noted, once for each subscription, and its value is sent when they are
  on again, in the order in which they changed first.

Closing costs what the client has, and nothing of what others have. Writes are in :mod:`ioc.cas.puts`.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import caproto as ca

from ioc.cas import wire
from ioc.cas.audience import Subscription, packed_for
from ioc.cas.channel import Channel
from ioc.cas.connection import SLICE, Connection
from ioc.cas.filters import is_sound
from ioc.cas.packing import Packed, failed, known_type
from ioc.cas.puts import PATIENCE_S, Puts, ends_at_once
from ioc.cas.search import MAX_NAME, find, found, not_found

if TYPE_CHECKING:
    from ioc.cas.context import Context

log = logging.getLogger(__name__)

#: Channels of one client, so that none takes all memory.
MAX_CHANNELS = 200_000
#: Subscriptions of one client to one PV: each costs at every update of it, whoever else waits.
MAX_SAME = 1000
#: Bytes that the values of all subscriptions of one client may have: so much may wait for it if it does not read.
MAX_WATCHED_BYTES = 2**28
#: Reads of one client that may be under way.
MAX_READS = 100

_STATUS = ca.CAStatus


class Circuit(Connection):
    """One client. Made by the Context for each connection."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.channels: dict[int, Channel] = {}
        self.events_on = True
        self.missed: dict[Subscription, None] = {}
        self._puts = Puts(self)
        self._version = 0
        self._last_sid = 0
        self._subscriptions: dict[tuple[int, int], Subscription] = {}
        self._told_full = False
        self._watched = 0
        self._reads: set[asyncio.Task[None]] = set()

    def handle(self, message: wire.Message) -> None:
        handler = self._handlers.get(message.command)
        if handler is None:
            raise wire.ProtocolError(f"command {message.command} is none of a client's")
        handler(self, message)

    def ended(self) -> None:
        for task in self._reads:
            task.cancel()
        self.in_slices(self.channels.values(), self._drop, lambda _: None)

    def object_to(self, message: wire.Message, channel: Channel, status: ca.CAStatus, sentence: str) -> None:
        """Tell the client that its request has failed, and why."""
        self.line.answer(wire.error(message, channel.cid, status, sentence))

    def channel(self, sid: int) -> Channel | None:
        """The channel of this number; None if it is gone.

        Raises
        ------
        ProtocolError : it never was.
        """
        channel = self.channels.get(sid)
        if channel is None and not 0 < sid <= self._last_sid:
            raise wire.ProtocolError(f"channel {sid} never was")
        return channel

    # -- who it is, what there is --------------------------------------------------------------------------------------

    def _on_version(self, message: wire.Message) -> None:
        self._version = message.elements

    def _on_host_name(self, message: wire.Message) -> None:
        self.client_hostname = message.text[:MAX_NAME]
        self._judge_all()

    def _on_client_name(self, message: wire.Message) -> None:
        self.client_username = message.text[:MAX_NAME]
        self._judge_all()

    def _judge_all(self) -> None:
        if self.channels:
            self.in_slices(self.channels.values(), self.judge, self.hold())

    def judge(self, channel: Channel) -> None:
        """Ask the PV again what this client may do with it, and tell it what has changed."""
        rights = channel.judged()
        if rights == channel.rights or channel.sid not in self.channels:
            return
        could_read, channel.rights = channel.readable, rights
        self.line.answer(wire.message(wire.ACCESS_RIGHTS, 0, 0, channel.cid, rights))
        if channel.readable != could_read:  # the value, or that it may not be had
            for sub in channel.subscriptions:
                channel.audience.show(sub)

    def _on_echo(self, message: wire.Message) -> None:
        self.line.answer(wire.message(wire.ECHO, message.data_type, message.elements, message.one, message.two))

    def _on_search(self, message: wire.Message) -> None:
        if find(self.context, message.text) is not None:
            self.line.answer(found(self.context.port, message.one))
        elif message.data_type == wire.DO_REPLY:
            self.line.answer(not_found(message))

    # -- channels ------------------------------------------------------------------------------------------------------

    def _on_create(self, message: wire.Message) -> None:
        name = message.text
        data = find(self.context, name) if len(name) <= MAX_NAME else None
        if data is None or not is_sound(name):
            self.line.answer(wire.message(wire.CREATE_CH_FAIL, 0, 0, message.one))
            return
        if len(self.channels) >= MAX_CHANNELS:
            if not self._told_full:
                self._told_full = True
                log.warning("%s has %d channels; %s and more are not given to it", self.who, MAX_CHANNELS, name)
            self.line.answer(wire.message(wire.CREATE_CH_FAIL, 0, 0, message.one))
            return
        sid = self._last_sid = self._last_sid + 1
        channel = Channel(self, name, cid=message.one, sid=sid, audience=self.context.audience(data))
        self.channels[sid] = channel
        channel.audience.channels[channel] = None
        self.line.answer(
            wire.message(wire.ACCESS_RIGHTS, 0, 0, channel.cid, channel.rights)
            + wire.message(wire.CREATE_CHAN, channel.data_type, channel.count, channel.cid, sid)
        )

    def _on_clear(self, message: wire.Message) -> None:
        channel = self.channel(message.one)
        if channel is not None:
            self._drop(channel)
            self.line.answer(wire.message(wire.CLEAR_CHANNEL, 0, 0, message.one, message.two))

    def take_away(self, channel: Channel) -> None:
        """Disconnect the client from this channel; it keeps the others, and may search for it again."""
        self._drop(channel)
        self.line.answer(wire.message(wire.SERVER_DISCONN, 0, 0, channel.cid))

    def _drop(self, channel: Channel) -> None:
        if self.channels.pop(channel.sid, None) is None:
            return  # it was taken away while the client was leaving
        for sub in channel.subscriptions:
            self._forget(sub)
        channel.subscriptions.clear()
        del channel.audience.channels[channel]
        self.context.left(channel.audience)

    # -- subscriptions -------------------------------------------------------------------------------------------------

    def _on_event_add(self, message: wire.Message) -> None:
        channel = self.channel(message.one)
        if channel is None or not self._possible(message, channel):
            return
        if (message.one, message.two) in self._subscriptions:
            raise wire.ProtocolError(f"subscription {message.two} was made twice")
        if len(message.payload) < 14:  # three floats, then the mask
            raise wire.ProtocolError("a subscription without a mask")
        if channel.audience.count_of(self) >= MAX_SAME:
            sentence = f"{channel.name}: {MAX_SAME} subscriptions of one client are enough"
            self.object_to(message, channel, _STATUS.ECA_ALLOCMEM, sentence)
            return
        mask = int.from_bytes(message.payload[12:14], "big")
        sub = Subscription(
            channel, message.two, data_type=message.data_type, count=self._count(message, channel), mask=mask
        )
        if self._watched + sub.most_bytes > MAX_WATCHED_BYTES:
            sentence = f"{channel.name}: with it this client would watch more than {MAX_WATCHED_BYTES} bytes"
            self.object_to(message, channel, _STATUS.ECA_ALLOCMEM, sentence)
            return
        self._watched += sub.most_bytes
        self._subscriptions[message.one, message.two] = sub
        channel.subscriptions[sub] = None
        channel.audience.add(sub)

    def _on_event_cancel(self, message: wire.Message) -> None:
        channel = self.channel(message.one)
        if channel is None:
            return
        sub = self._subscriptions.get((message.one, message.two))
        if sub is None:
            raise wire.ProtocolError(f"subscription {message.two} never was")
        del channel.subscriptions[sub]
        self._forget(sub)
        self.line.answer(wire.message(wire.EVENT_ADD, sub.data_type, sub.count, message.one, message.two))

    def _forget(self, sub: Subscription) -> None:
        sub.alive = False
        self._watched -= sub.most_bytes
        self.missed.pop(sub, None)
        del self._subscriptions[sub.channel.sid, sub.number]
        sub.channel.audience.remove(sub)

    def _on_events_off(self, _: wire.Message) -> None:
        self.events_on = False

    def _on_events_on(self, _: wire.Message) -> None:
        release = self.hold()

        def some() -> None:
            """What changes meanwhile is missed once more, and has its turn behind."""
            for sub in list(itertools.islice(self.missed, SLICE)):
                del self.missed[sub]
                sub.channel.audience.show(sub)
            if self.missed:
                self.loop.call_soon(some)
            else:
                self.events_on = True
                release(None)

        some()

    # -- reads ---------------------------------------------------------------------------------------------------------

    def _on_read(self, message: wire.Message) -> None:
        channel = self.channel(message.one)
        if channel is None or not self._possible(message, channel):
            return
        if not channel.readable:
            if message.command == wire.READ_NOTIFY:
                self._send_read(message, channel, failed(message.data_type, message.elements), _STATUS.ECA_NORDACCESS)
            else:
                self.object_to(message, channel, _STATUS.ECA_NORDACCESS, f"{channel.name}: it may not be read")
        elif len(self._reads) >= MAX_READS:
            self.object_to(message, channel, _STATUS.ECA_GETFAIL, f"{MAX_READS} reads of this client are under way")
        elif ends_at_once(channel.data, writing=False):
            self._read(message, channel)
        else:
            self.in_task(self._read_later(message, channel), self._reads)

    async def _read_later(self, message: wire.Message, channel: Channel) -> None:
        try:
            # As the type that costs nothing: what matters is that the channel brings its value up to date.
            await channel.data.auth_read(
                self.client_hostname, self.client_username, ca.ChannelType.STSACK_STRING, user_address=self.address
            )
        except Exception as error:
            log.info("%s: %s could not be read: %r", self.who, channel.name, error)
            self.object_to(message, channel, _STATUS.ECA_GETFAIL, f"{type(error).__name__}: {error}")
        else:
            self._read(message, channel)

    def _read(self, message: wire.Message, channel: Channel) -> None:
        packed = packed_for(channel, message.data_type, self._count(message, channel))
        if packed is None:
            self._send_read(message, channel, failed(message.data_type, message.elements), _STATUS.ECA_GETFAIL)
        else:
            self._send_read(message, channel, packed, _STATUS.ECA_NORMAL)

    def _send_read(self, message: wire.Message, channel: Channel, packed: Packed, status: ca.CAStatus) -> None:
        one = wire.code(status) if message.command == wire.READ_NOTIFY else channel.cid
        payload, count = packed
        self.line.answer(wire.head(message.command, len(payload), message.data_type, count, one, message.two) + payload)

    def _possible(self, message: wire.Message, channel: Channel) -> bool:
        """Whether so much can be asked for as this; says no if not."""
        if not known_type(message.data_type):
            self.object_to(
                message, channel, _STATUS.ECA_BADTYPE, f"{channel.name}: there is no type {message.data_type}"
            )
        elif message.elements > max(channel.count, 1):
            sentence = f"{channel.name}: {message.elements} elements, there are at most {channel.count}"
            self.object_to(message, channel, _STATUS.ECA_BADCOUNT, sentence)
        else:
            return True
        return False

    def _count(self, message: wire.Message, channel: Channel) -> int:
        """How many elements are asked for; before version 13 of the protocol, 0 meant none and was not sent."""
        return message.elements or (channel.count if 0 < self._version < 13 else 0)

    # -- what takes longer ---------------------------------------------------------------------------------------------

    def in_task(self, coroutine: Coroutine[Any, Any, None], kept_in: set[asyncio.Task[None]]) -> asyncio.Task[None]:
        """Do it in a task. The messages behind it wait a moment."""
        release = self.hold()
        task = self.loop.create_task(coroutine, name=f"for {self.who}")
        kept_in.add(task)
        timer = self.loop.call_later(PATIENCE_S, release, None)
        task.add_done_callback(lambda _: timer.cancel())
        task.add_done_callback(kept_in.discard)
        task.add_done_callback(release)
        return task

    def _on_write(self, message: wire.Message) -> None:
        channel = self.channel(message.one)
        if channel is not None:
            self._puts.take(message, channel)

    def _on_nothing(self, _: wire.Message) -> None:
        """READ_SYNC asks that earlier answers be sent first; they are."""

    _handlers: dict[int, Callable[[Circuit, wire.Message], None]] = {
        wire.VERSION: _on_version,
        wire.HOST_NAME: _on_host_name,
        wire.CLIENT_NAME: _on_client_name,
        wire.ECHO: _on_echo,
        wire.SEARCH: _on_search,
        wire.CREATE_CHAN: _on_create,
        wire.CLEAR_CHANNEL: _on_clear,
        wire.EVENT_ADD: _on_event_add,
        wire.EVENT_CANCEL: _on_event_cancel,
        wire.EVENTS_OFF: _on_events_off,
        wire.EVENTS_ON: _on_events_on,
        wire.READ: _on_read,
        wire.READ_NOTIFY: _on_read,
        wire.WRITE: _on_write,
        wire.WRITE_NOTIFY: _on_write,
        wire.READ_SYNC: _on_nothing,
    }
