"""One client's connection: its messages are worked off one by one, as they come, in plain calls.

caproto has three tasks and two queues for each client, and a task for each write, so a read may overtake a write and
an answer the updates that the write caused. Here a block of bytes is worked off in the call that receives it.

* **Fair.** After its share of :data:`SHARE_S`, which it has with all clients that have more to ask, a client waits for
  the next turn of the loop; a client that asks for more than it reads is not read from until it has caught up.
* **Bad bytes close this circuit**, with one line in the log. So does a line that stays full (:mod:`ioc.cas.line`).
* **Requests on a channel that is gone** are passed over: the client had not heard yet. The numbers of channels are not
  used again, so a number below the next one was a channel once.
* **VERSION is sent on connecting and may come again** with another priority, as with rsrv: libca does so where it found
  the server by EPICS_CA_NAME_SERVERS. Nagle's algorithm is off, as it holds each second small message for 40 ms.
* **Access rights** are told when a channel is made and whenever they change: when the client says who it is, and when
  the server says that they changed (:meth:`Circuit.judge`).
* **Events off**: what changes meanwhile is only noted, once for each subscription, and its value is sent when they are
  on again, in the order in which they changed first.

Closing costs what the client has, and nothing of what others have.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import caproto as ca

from ioc.cas import puts, wire
from ioc.cas.audience import NEW_VALUE, Audience, Subscription
from ioc.cas.filters import modifiers_of, part_of
from ioc.cas.line import KERNEL_BYTES, Line
from ioc.cas.packing import Packed, failed, known_type, pack, run_now
from ioc.cas.search import find, found, not_found

if TYPE_CHECKING:
    from ioc.cas.context import Context

log = logging.getLogger(__name__)

SHARE_S = 0.005
SMALLEST_SHARE_S = 0.0002
#: Bytes of a name that a client claims.
NAME_BYTES = 60
#: Channels of one client, so that none takes all memory.
MAX_CHANNELS = 200_000
#: Writes of one client that may be under way.
MAX_WRITES = 100

_READ, _WRITE = int(ca.AccessRights.READ), int(ca.AccessRights.WRITE)
_STATUS = ca.CAStatus


class Channel:
    """A client's hold on one PV."""

    __slots__ = ("audience", "cid", "circuit", "count", "data", "data_type", "filter", "long_string", "name", "rights",
                 "sid", "subscriptions")  # fmt: skip

    def __init__(self, circuit: Circuit, name: str, cid: int, sid: int, audience: Audience) -> None:
        self.circuit, self.name, self.cid, self.sid, self.audience = circuit, name, cid, sid, audience
        self.data = data = audience.data
        self.filter, self.long_string = modifiers_of(name)
        self.data_type, self.count = int(data.data_type), int(data.max_length)
        if self.long_string and self.data_type == ca.ChannelType.STRING:
            self.data_type, self.count = int(ca.ChannelType.CHAR), int(data.long_string_max_length)
        self.rights = self.judged()
        self.subscriptions: dict[Subscription, None] = {}

    @property
    def readable(self) -> bool:
        return bool(self.rights & _READ)

    def judged(self) -> int:
        """What the client may do, as the PV says now."""
        return int(self.data.check_access(self.circuit.client_hostname, self.circuit.client_username))


class Circuit(asyncio.Protocol):
    """One client. Made by the Context for each connection."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.client_hostname = ""
        self.client_username = ""
        self.address: tuple[str, int] = ("?", 0)
        self.events_on = True
        self.missed: dict[Subscription, None] = {}
        self.line: Line
        self.channels: dict[int, Channel] = {}
        self._transport: Any = None
        self._loop = asyncio.get_running_loop()
        self._parser = wire.Parser(context.longest_message)
        self._inbox: deque[wire.Message] = deque()
        self._busy = self._reading_stopped = self._going_on = self._full = False
        self._held = 0
        self._version = 0
        self._subscriptions: dict[tuple[int, int], Subscription] = {}
        self._sids = itertools.count(1)
        self._last_sid = 0
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._writing: dict[Any, asyncio.Task[None]] = {}

    def __repr__(self) -> str:
        return f"the client {self.who}"

    @property
    def who(self) -> str:
        """The client as it claims to be, and where it really is: "user@host (address)"."""
        user, host = (
            "".join(c for c in str(name or "?")[:NAME_BYTES] if c.isprintable())
            for name in (self.client_username, self.client_hostname)
        )
        return f"{user}@{host} ({self.address[0]})"

    # -- the connection ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self.line = Line(transport, self._stuck)
        address = transport.get_extra_info("peername")
        if address is None:  # it was gone before we came to it
            transport.abort()
            return
        self.address = address
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # as rsrv: a machine that was switched off
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)
        transport.set_write_buffer_limits(high=0)
        self.context.circuits.add(self)
        self.line.answer(wire.message(wire.VERSION, 0, wire.MINOR_VERSION))

    def connection_lost(self, exc: Exception | None) -> None:
        self.line.close()
        self.context.circuits.discard(self)
        self._inbox.clear()
        for task in self._tasks:
            task.cancel()
        for channel in list(self.channels.values()):
            self._drop(channel)

    def pause_writing(self) -> None:
        self.line.pause()

    def resume_writing(self) -> None:
        self.line.resume()
        self._work()

    def abort(self) -> None:
        """Close the connection; what waits to be sent is dropped."""
        self.line.close()
        self._transport.abort()

    def _stuck(self, how: str) -> None:
        log.warning("%s does not read what it asked for: %s; it is disconnected", self.who, how)
        self.abort()

    # -- what comes ----------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        try:
            self._inbox.extend(self._parser.feed(data))
        except wire.ProtocolError as error:
            self._bad(error)
            return
        self._work()

    def _bad(self, error: Exception) -> None:
        why = str(error).split("\n")[0]
        self.context.complaints.about(
            self.address[0], f"{self.who} sent what is not Channel Access; disconnected: {why}"
        )
        self.abort()

    def _work(self) -> None:
        """Answer what has come, for as long as it is this client's turn."""
        if self._busy:
            return
        self._busy = self.line.corked = True
        until = 0.0
        while self._inbox and not self._held and not self.line.crowded and not self._transport.is_closing():
            if not until:
                until = time.monotonic() + max(SHARE_S / (1 + self.context.waiting), SMALLEST_SHARE_S)
            elif time.monotonic() > until:
                if not self._going_on:
                    self._going_on = True
                    self.context.waiting += 1
                    self._loop.call_soon(self._next_turn)
                break
            message = self._inbox.popleft()
            handler = self._handlers.get(message.command)
            try:
                if handler is None:
                    raise wire.ProtocolError(f"command {message.command} is none of a client's")
                handler(self, message)
            except wire.ProtocolError as error:
                self._bad(error)
            except Exception:
                log.exception("%s: %s could not be worked off; disconnected. Please report this", self.who, message)
                self.abort()
        self._busy = self.line.corked = False
        self.line.flush()
        if bool(self._inbox) != self._reading_stopped and not self._transport.is_closing():
            self._reading_stopped = not self._reading_stopped
            (self._transport.pause_reading if self._reading_stopped else self._transport.resume_reading)()

    def _next_turn(self) -> None:
        self._going_on = False
        self.context.waiting -= 1
        self._work()

    def _hold(self) -> Callable[[Any], None]:
        """Let the next messages wait until what is returned has been called."""
        self._held += 1
        over = False

        def release(_: Any = None) -> None:
            nonlocal over
            if not over:
                over = True
                self._held -= 1
                self._work()

        return release

    def _channel(self, sid: int) -> Channel | None:
        channel = self.channels.get(sid)
        if channel is None and not 0 < sid <= self._last_sid:
            raise wire.ProtocolError(f"channel {sid} never was")
        return channel

    def _object(self, message: wire.Message, channel: Channel, status: ca.CAStatus, sentence: str) -> None:
        self.line.answer(wire.error(message, channel.cid, status, sentence))

    # -- who it is, what there is --------------------------------------------------------------------------------------

    def _on_version(self, message: wire.Message) -> None:
        self._version = message.elements

    def _on_host_name(self, message: wire.Message) -> None:
        self.client_hostname = message.text
        self.judge(self.channels.values())

    def _on_client_name(self, message: wire.Message) -> None:
        self.client_username = message.text
        self.judge(self.channels.values())

    def judge(self, channels: Any) -> None:
        """Ask the PVs again what this client may do with its channels, and tell it what has changed."""
        for channel in tuple(channels):
            rights = channel.judged()
            if rights == channel.rights:
                continue
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
        data = find(self.context, name)
        if data is None:
            self.line.answer(wire.message(wire.CREATE_CH_FAIL, 0, 0, message.one))
            return
        if len(self.channels) >= MAX_CHANNELS:
            if not self._full:
                self._full = True
                log.warning("%s has %d channels; %s and more are not given to it", self.who, MAX_CHANNELS, name)
            self.line.answer(wire.message(wire.CREATE_CH_FAIL, 0, 0, message.one))
            return
        sid = self._last_sid = next(self._sids)
        channel = Channel(self, name, message.one, sid, self.context.audience(data))
        self.channels[sid] = channel
        channel.audience.channels[channel] = None
        self.line.answer(
            wire.message(wire.ACCESS_RIGHTS, 0, 0, channel.cid, channel.rights)
            + wire.message(wire.CREATE_CHAN, channel.data_type, channel.count, channel.cid, sid)
        )

    def _on_clear(self, message: wire.Message) -> None:
        channel = self._channel(message.one)
        if channel is not None:
            self._drop(channel)
            self.line.answer(wire.message(wire.CLEAR_CHANNEL, 0, 0, message.one, message.two))

    def take_away(self, channel: Channel) -> None:
        """Disconnect the client from this channel; it keeps the others, and may search for it again."""
        self._drop(channel)
        self.line.answer(wire.message(wire.SERVER_DISCONN, 0, 0, channel.cid))

    def _drop(self, channel: Channel) -> None:
        for sub in channel.subscriptions:
            self._forget(sub)
        channel.subscriptions.clear()
        del self.channels[channel.sid]
        del channel.audience.channels[channel]
        self.context.left(channel.audience)

    # -- subscriptions -------------------------------------------------------------------------------------------------

    def _on_event_add(self, message: wire.Message) -> None:
        channel = self._channel(message.one)
        if channel is None or not self._possible(message, channel):
            return
        if (message.one, message.two) in self._subscriptions:
            raise wire.ProtocolError(f"subscription {message.two} was made twice")
        if len(message.payload) < 14:  # three floats, then the mask
            raise wire.ProtocolError("a subscription without a mask")
        mask = int.from_bytes(message.payload[12:14], "big")
        sub = Subscription(
            channel, message.two, data_type=message.data_type, count=self._count(message, channel), mask=mask
        )
        self._subscriptions[message.one, message.two] = sub
        channel.subscriptions[sub] = None
        channel.audience.add(sub)

    def _on_event_cancel(self, message: wire.Message) -> None:
        channel = self._channel(message.one)
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
        self.missed.pop(sub, None)
        del self._subscriptions[sub.channel.sid, sub.number]
        sub.channel.audience.remove(sub)

    def _on_events_off(self, _: wire.Message) -> None:
        self.events_on = False

    def _on_events_on(self, _: wire.Message) -> None:
        self.events_on = True
        missed, self.missed = self.missed, {}
        for sub in missed:
            sub.channel.audience.show(sub)

    # -- reads ---------------------------------------------------------------------------------------------------------

    def _on_read(self, message: wire.Message) -> None:
        channel = self._channel(message.one)
        if channel is None or not self._possible(message, channel):
            return
        if not channel.readable:
            if message.command == wire.READ_NOTIFY:
                self._send_read(message, channel, failed(message.data_type, message.elements), _STATUS.ECA_NORDACCESS)
            else:
                self._object(message, channel, _STATUS.ECA_NORDACCESS, f"{channel.name}: it may not be read")
        elif puts.ends_at_once(channel.data, writing=False):
            self._read(message, channel)
        else:
            self._start(self._read_later(message, channel), channel)

    async def _read_later(self, message: wire.Message, channel: Channel) -> None:
        try:
            # As the type that costs nothing: what matters is that the channel brings its value up to date.
            await channel.data.auth_read(
                self.client_hostname, self.client_username, ca.ChannelType.CLASS_NAME, user_address=self.address
            )
        except Exception as error:
            log.info("%s: %s could not be read: %r", self.who, channel.name, error)
            self._object(message, channel, _STATUS.ECA_GETFAIL, f"{type(error).__name__}: {error}")
        else:
            self._read(message, channel)

    def _read(self, message: wire.Message, channel: Channel) -> None:
        count = self._count(message, channel)
        try:
            packed = pack(
                channel.data,
                message.data_type,
                count,
                long_string=channel.long_string,
                part=part_of(channel.filter),
                stamp=ca.TimeStamp.now() if channel.filter.ts else None,
            )
        except Exception as error:
            log.debug("%s: %s cannot be had as type %d: %r", self.who, channel.name, message.data_type, error)
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
            self._object(message, channel, _STATUS.ECA_BADTYPE, f"{channel.name}: there is no type {message.data_type}")
        elif message.elements > max(channel.count, 1):
            sentence = f"{channel.name}: {message.elements} elements, there are at most {channel.count}"
            self._object(message, channel, _STATUS.ECA_BADCOUNT, sentence)
        else:
            return True
        return False

    def _count(self, message: wire.Message, channel: Channel) -> int:
        """How many elements are asked for; before version 13 of the protocol, 0 meant none and was not sent."""
        return message.elements or (channel.count if 0 < self._version < 13 else 0)

    # -- writes --------------------------------------------------------------------------------------------------------

    def _on_write(self, message: wire.Message) -> None:
        channel = self._channel(message.one)
        if channel is None:
            return
        if not channel.rights & _WRITE:
            log.info("%s wrote on %s, which is read only", self.who, channel.name)
            self._object(message, channel, _STATUS.ECA_NOWTACCESS, f"{channel.name}: it is read only")
            return
        if not 0 <= message.data_type <= 38:
            self._object(message, channel, _STATUS.ECA_BADTYPE, f"{channel.name}: there is no type {message.data_type}")
            return
        data: Any = channel.data
        if hasattr(data, "take"):
            self._take(message, channel, data)
            return
        if message.elements > channel.count:
            sentence = f"{channel.name}: {message.elements} values were written, at most {channel.count} fit"
            self._object(message, channel, _STATUS.ECA_BADCOUNT, sentence)
            return
        try:
            values, data_type, metadata = puts.written_by(puts.request_of(message), data)
        except Exception as error:
            self._refuse(message, channel, f"{channel.name}: the write cannot be read ({error})")
            return
        written = data.auth_write(
            self.client_hostname, self.client_username, values, data_type, metadata, user_address=self.address
        )
        if puts.ends_at_once(data, writing=True) and data not in self._writing:
            try:
                status = run_now(written)
            except Exception as error:
                self._refuse(message, channel, f"{type(error).__name__}: {error}")
            else:
                self._confirm(message, channel, status)
        else:
            self._writing[data] = self._start(
                self._write_later(message, channel, written, self._writing.get(data)), channel
            )

    def _take(self, message: wire.Message, channel: Channel, data: puts.Taking) -> None:
        try:
            kept = data.take(message, self.who)
        except puts.Refused as error:
            self._refuse(message, channel, str(error))
            return
        if kept is None or message.command == wire.WRITE:
            self._confirm(message, channel)
            return
        release = self._hold()

        def done(_: Any = None) -> None:
            timer.cancel()
            if message.one in self.channels and not confirmed:
                confirmed.append(True)
                self._confirm(message, channel)
            release(None)

        confirmed: list[bool] = []
        timer = self._loop.call_later(puts.CONFIRM_S, done)
        kept.add_done_callback(done)

    async def _write_later(
        self, message: wire.Message, channel: Channel, written: Any, before: asyncio.Task[None] | None
    ) -> None:
        try:
            if before is not None:
                await asyncio.wait([before])
        except BaseException:
            written.close()
            raise
        try:
            status = await written
        except Exception as error:
            log.info("%s: its put on %s was refused: %r", self.who, channel.name, error)
            self._refuse(message, channel, f"{type(error).__name__}: {error}")
        else:
            self._confirm(message, channel, status)
        finally:
            if self._writing.get(channel.data) is asyncio.current_task():
                del self._writing[channel.data]

    def _start(self, coroutine: Coroutine[Any, Any, None], channel: Channel) -> asyncio.Task[None]:
        """Do it in a task; the messages behind it wait a moment, or where too much is under way, for its end."""
        release = self._hold()
        task = self._loop.create_task(coroutine, name=f"{channel.name} for {self.who}")
        self._tasks[task] = None
        if len(self._tasks) < MAX_WRITES:
            timer = self._loop.call_later(puts.PATIENCE_S, release, None)
            task.add_done_callback(lambda _: timer.cancel())
        task.add_done_callback(lambda _: self._tasks.pop(task, None))
        task.add_done_callback(release)
        return task

    def _confirm(self, message: wire.Message, channel: Channel, status: Any = None) -> None:
        if message.command == wire.WRITE_NOTIFY and message.one in self.channels:
            one = 1 if status is None else int(status)
            answer = wire.message(wire.WRITE_NOTIFY, message.data_type, message.elements, one, message.two)
            self.line.answer(answer)

    def _refuse(self, message: wire.Message, channel: Channel, sentence: str) -> None:
        if message.one in self.channels:
            channel.audience.announce(NEW_VALUE)
            self._object(message, channel, _STATUS.ECA_PUTFAIL, sentence)

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
