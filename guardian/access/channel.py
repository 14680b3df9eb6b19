"""One channel: its connection, its monitor, reading and writing.

Who may do what
---------------
Callbacks run in threads of libca, which hold up every other channel of the process meanwhile. Here they copy bytes,
set attributes and ring bells: no library call, no lock that a waiting thread holds, no user code, no decoding.

Everybody else waits on `bells`, so that user code can be interrupted at any bytecode. A request that nobody waits for
any more stays in a table until its answer comes; libca carries only the number of its row, so an answer that comes late
or never does no harm.

What a read returns
-------------------
Monitors keep the last event; reads cost no network. After an own write the event may be still under way, or never come
(MDEL), so the next read asks the server. From then on the answer is the floor: an event that arrives later but carries
an older time stamp was on its way before; it is not believed, and the server is asked once more. As the floor always
moves to what the server said last, a server whose clock steps backwards costs one extra question and no stale value.
An own write without waiting (``wait=False``) gets this only as far as the server handles requests in order.
"""

from __future__ import annotations

import ctypes
import itertools
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from guardian.access import wire
from guardian.access.bells import Bells
from guardian.access.callbacks import refuse_to_wait
from guardian.access.libca import (
    CONNECTED,
    DISCONNECTED,
    NORMAL,
    UP,
    VALUE_OR_ALARM,
    ConnectionCallback,
    EventCallback,
    Library,
)
from guardian.access.wire import Facts, Kind, Payload, Sample, Shape
from guardian.errors import EzcaConnectError, EzcaError

#: How long after a loss, and at most how often, a channel is searched for with a new libca channel.
_SEARCH_AGAIN_S = (0.5, 30.0)


def _no_news() -> None:
    pass


class Reply:
    """A request under way; the callback fills it in, `done` last."""

    __slots__ = ("circuit", "count", "data", "done", "is_put", "order", "status")

    def __init__(self, is_put: bool, circuit: int) -> None:
        self.is_put = is_put
        self.circuit = circuit
        self.done = False
        self.status = 0
        self.order = 0
        self.count = 0
        self.data = b""


class Channel:
    """One channel and its monitor. Making it touches nothing; :meth:`open` does.

    Parameters
    ----------
    news : called after each change of the value or the connection, in a thread of libca: it may set a flag, no more.

    Attributes
    ----------
    name : full name on the network.
    connected : whether there is a circuit now.
    waited : whether somebody has once waited for the connection, with success or in vain, or has found it made.

    Raises
    ------
    EzcaError
        No channel can have that name.
    """

    def __init__(self, library: Library, name: str, news: Callable[[], None] = _no_news) -> None:
        self._asked_for = wire.encode_name(name)
        self.name = name
        self.connected = False
        self.waited = False
        self._news = news
        self._library = library
        self._call = library.call
        # libca writes both handles itself, so an exception between the call and the next line loses none of them.
        self._channel = ctypes.c_void_p()
        self._subscription = ctypes.c_void_p()
        self._on_connection = ConnectionCallback(self._connection)
        self._on_event = EventCallback(self._event)
        self._setup = threading.RLock()
        self._closed = False
        self._bells = Bells(name)
        self._arrivals = itertools.count(1)
        self._replies: dict[int, Reply] = {}
        self._numbers = itertools.count(1)
        self._lost_at = time.monotonic()
        self._search_at = self._lost_at + _SEARCH_AGAIN_S[0]
        self._connections = 0  #: counts circuits; a new one may be of another kind
        self._described = -1  #: the circuit that `_shape` and `_facts` are of
        self._shape = Shape(kind=Kind.DOUBLE, length=1)
        self._facts: Facts | None = None
        self._latest: Sample | None = None
        self._fetched: Sample | None = None
        self._unsure = False  #: an own write may be newer than what is kept here
        self._put_done = 0  #: arrival of the last answer to a write
        self._inquiry: Reply | None = None  #: a question that nobody waits for
        self._written: Payload | None = None

    # -- in threads of libca ----------------------------------------------------------------------------------------

    def _connection(self, args: Any) -> None:
        if args.what == UP:
            self._connections += 1
            self.connected = True
        else:
            self.connected = False
            self._latest = self._fetched = None
            self._lost_at = time.monotonic()
            self._search_at = self._lost_at + _SEARCH_AGAIN_S[0]
        self._bells.ring()
        self._news()

    def _event(self, args: Any) -> None:
        order = next(self._arrivals)
        data = b""
        if args.status == NORMAL and args.data:
            data = ctypes.string_at(args.data, self._size(args.type, args.count))
        if args.user is None:
            if data:
                self._latest = Sample(order=order, kind=Kind(args.type - wire.TIME), count=args.count, raw=data)
        else:
            reply = self._replies.pop(args.user, None)
            if reply is not None:
                if reply.is_put:
                    self._put_done, self._unsure = order, True
                reply.data, reply.count, reply.order, reply.status = data, args.count, order, args.status
                reply.done = True
        self._bells.ring()
        if args.user is None:
            self._news()

    @staticmethod
    def _size(form: int, count: int) -> int:
        if form == wire.GR + Kind.ENUM:
            return wire.GR_ENUM_SIZE
        return wire.GR_NUMBER_SIZE if form >= wire.GR else wire.time_size(Kind(form - wire.TIME), count)

    # -- in any other thread ----------------------------------------------------------------------------------------

    def open(self) -> None:
        """Begin to search, until :meth:`close`. After a loss libca connects again by itself, within 3 to 13 s."""
        with self._setup:
            if self._closed:
                return
            self._library.attach()
            if not self._channel:
                self._subscription, self._described = ctypes.c_void_p(), -1
                status = self._call.ca_create_channel(
                    self._asked_for, self._on_connection, None, 0, ctypes.byref(self._channel)
                )
                if status != NORMAL:
                    raise EzcaError(f"{self.name!r:.200} is not a channel name ({self._library.message(status)}).")
            self._call.ca_flush_io()

    def seek(self) -> None:
        """Begin to search, or search anew for one that was opened a while ago: somebody is about to wait for it."""
        self.open()
        self.search_again()

    def wait_connected(self, deadline: float) -> bool:
        """True once connected; False when the monotonic clock passes `deadline`."""
        connected = self._bells.wait(lambda: self.connected, deadline)
        self.waited = True
        return connected

    def search_again(self, longest_s: float = _SEARCH_AGAIN_S[1]) -> None:
        """Search for a channel that is not connected as if it were new, which finds it within a tenth of a second.

        Call it as often as you like: it happens half a second after the loss, and then each time the channel has been
        away for a quarter longer, at least every `longest_s` seconds, so that a name that will never exist costs the
        network next to nothing.
        """
        now = time.monotonic()
        if self.connected or now < self._search_at:
            return
        shortest_s = _SEARCH_AGAIN_S[0]
        self._search_at = now + min(max((now - self._lost_at) / 4, shortest_s), longest_s)
        self.search_now()

    def search_now(self) -> None:
        """The same, at once: something has just come from the same server."""
        with self._setup:  # other threads may be about to use it
            if not self.connected and not self._closed:
                self._clear()
                self.open()

    def shape(self) -> Shape:
        """Kind and length of the connected channel. Asks anew, and renews the monitor, after each connection."""
        if self._described == self._connections:
            return self._shape
        with self._setup:
            if not self.connected:
                raise self._lost()
            self._library.attach()
            connections = self._connections
            kind, length = self._call.ca_field_type(self._channel), self._call.ca_element_count(self._channel)
            if not Kind.STRING <= kind <= Kind.DOUBLE or length < 1:
                raise self._lost()  # between two lines
            shape = Shape(kind=Kind(kind), length=length)
            if self._subscription and shape != self._shape:
                outdated, self._subscription = self._subscription, ctypes.c_void_p()
                self._call.ca_clear_subscription(outdated)
                self._latest = None
            if not self._subscription:
                status = self._call.ca_create_subscription(
                    shape.kind + wire.TIME,
                    0 if shape.is_array else 1,  # 0: as many as there are now
                    self._channel,
                    VALUE_OR_ALARM,
                    self._on_event,
                    None,
                    ctypes.byref(self._subscription),
                )
                if status != NORMAL:
                    raise self._lost()
            self._call.ca_flush_io()  # here, so that it is repeated after an interrupt between the two calls
            self._shape, self._facts, self._described = shape, None, connections
        return shape

    def value(self, deadline: float) -> Any:
        """The present value: the monitor's, or the server's if that may be older than an own write."""
        shape = self.shape()
        sample = self._believed()
        if sample is None and self._latest is None and not self._unsure:
            if not self._call.ca_read_access(self._channel):
                raise self._no_value()
            self._bells.wait(lambda: self._latest is not None or not self.connected, deadline)
            sample = self._believed()
            if sample is None and self._latest is None:
                raise self._no_value()
        return wire.decode(sample or self._fetch(deadline), shape.is_array)

    def renew(self, deadline: float) -> None:
        """Ask the server for the value, whatever the monitor says: :meth:`value` gives what it answers, or newer."""
        self.shape()
        self._fetch(deadline)

    @property
    def circuit(self) -> int:
        """The number of the present circuit, or of the last one."""
        return self._connections

    @property
    def wait_for_news(self) -> Callable[[Callable[[], bool], float], bool]:
        """``wait_for_news(ready, deadline)``: True as soon as ``ready()`` is, asked after each change."""
        return self._bells.wait

    @property
    def latest(self) -> Sample | None:
        """The last event of the monitor, as it came. Touches nothing, so it may be looked at in a thread of libca."""
        return self._latest

    def peek(self) -> Sample | None:
        """The newest value that has come, without waiting for one; the first call starts the monitor."""
        if not self.connected:
            return None
        with suppress(EzcaConnectError):  # lost between the lines
            self.shape()
        if not self.connected or (self._unsure and not self._take_answer()):
            return None
        return self._believed() or self._fetched

    def distrust(self) -> None:
        """What is kept here may be older than what was done elsewhere: nothing is known until the server is asked."""
        with self._setup:
            self._unsure, self._written, self._inquiry = True, None, None

    def inquire(self) -> None:
        """After :meth:`distrust`: ask the server, without waiting; :meth:`peek` takes its answer.

        Call it as often as you like: it asks again only what was asked in vain.
        """
        with self._setup, suppress(EzcaConnectError):  # lost between the lines
            if self.asks() or not self.connected or not self._unsure:
                return
            shape = self.shape()
            number, reply, status = self._question(shape.kind + wire.TIME, 0 if shape.is_array else 1)
            if status == NORMAL:
                self._inquiry = reply
            else:
                self._replies.pop(number, None)

    def asks(self) -> bool:
        """Whether the answer to an inquiry is under way."""
        self.peek()
        inquiry = self._inquiry
        return inquiry is not None and not self._is_gone(inquiry)

    def text(self, deadline: float) -> str:
        """The present value as text: the label of an enum, a long string, a number with its precision."""
        return wire.as_text(self.value(deadline), self._shape, self.facts(deadline))

    def would_change(self, payload: Payload, deadline: float) -> bool:
        """Whether writing `payload` changes what is known here of the value; True if nothing is known."""
        is_array = self.shape().is_array
        known: Sample | Payload | None = self._written if self._unsure else self._believed()
        if known is None and self._latest is None and self._call.ca_read_access(self._channel):
            now = time.monotonic()  # the question must not use up the time of the write
            self._bells.wait(lambda: self._latest is not None or not self.connected, now + (deadline - now) / 4)
        known = known or self._latest
        return known is None or not wire.same(wire.decode(known, is_array), wire.decode(payload, is_array))

    def facts(self, deadline: float, *, anew: bool = False) -> Facts:
        """Labels or precision, asked once a connection, or `anew`."""
        kind = self.shape().kind
        if kind not in (Kind.ENUM, Kind.FLOAT, Kind.DOUBLE):
            return Facts()
        facts = None if anew else self._facts
        if facts is None:
            reply = self._ask(kind + wire.GR, 1, deadline)
            facts = self._facts = wire.decode_facts(kind, reply.data)
        return facts

    def label(self, value: Any) -> str:
        """The label of an enum's number, "" if it has none that is known here; asks nobody."""
        facts = self._facts
        if facts is None or self._shape.kind is not Kind.ENUM or not isinstance(value, int):
            return ""
        return facts.labels[value] if 0 <= value < len(facts.labels) else ""

    def encode(self, value: Any, deadline: float) -> Payload:
        """`value` as it goes over the wire. A label that is not known is looked up once more before it is refused."""
        shape = self.shape()
        if shape.kind is not Kind.ENUM:
            return wire.encode(self.name, value, shape)
        try:
            return wire.encode(self.name, value, shape, self.facts(deadline).labels)
        except EzcaError:
            return wire.encode(self.name, value, shape, self.facts(deadline, anew=True).labels)

    def put(self, payload: Payload, *, wait: bool, deadline: float) -> None:
        """Write; with `wait` until the server says that it has processed the write.

        Raises
        ------
        EzcaError
            No write access, refused, or no answer in time.
        EzcaConnectError
            The circuit was lost meanwhile; whether the server took the value is not known.
        DeadlockDetectedError
            This is a callback of libca, which cannot wait. Nothing was written.
        """
        if wait:
            refuse_to_wait(self.name)
        with self._setup:  # another thread may be about to close it
            self._may_write()
            self._unsure, self._written, self._inquiry = True, None, None
            number, reply = self._new_request(is_put=True)
            arguments = (payload.kind, payload.count, self._channel, payload.raw)
            if wait:
                status = self._call.ca_array_put_callback(*arguments, self._on_event, number)
            else:
                self._replies.pop(number)
                status = self._call.ca_array_put(*arguments)
            if status == NORMAL:
                self._call.ca_flush_io()
        if wait:
            answer = self._answer(number, reply, status, deadline)
            if answer is None:
                raise EzcaError(
                    f"{self.name}: the write was sent and not confirmed in time. "
                    "Is the record still processing? Allow more time, or write with wait=False."
                )
            status = answer
        elif not self.connected:
            raise self._lost()
        if status != NORMAL:
            raise EzcaError(
                f"{self.name}: the server refused the write ({self._library.message(status)}). "
                "Its log should say why; check the value against the limits of the channel."
            )
        self._written = payload

    def send(self, payload: Payload) -> Reply:
        """Write, and do not wait: :meth:`said` tells what the server said.

        Raises
        ------
        EzcaError, EzcaConnectError
            As :meth:`put`, for what is known at once.
        """
        with self._setup:  # another thread may search for it again
            self._may_write()
            number, reply = self._new_request(is_put=True)
            arguments = (payload.kind, payload.count, self._channel, payload.raw)
            status = self._call.ca_array_put_callback(*arguments, self._on_event, number)
            if status != NORMAL:
                self._replies.pop(number, None)
                raise self._lost()
            self._call.ca_flush_io()
        return reply

    def said(self, reply: Reply) -> bool | None:
        """Whether the server took what was sent; None: it has not said so, or never will."""
        return reply.status == NORMAL if reply.done and reply.status != DISCONNECTED else None

    def lost(self, reply: Reply) -> bool:
        """Whether the circuit was lost before the server said whether it took what was sent."""
        return reply.status == DISCONNECTED if reply.done else self._is_gone(reply)

    def _may_write(self) -> None:
        if not self.connected:
            raise self._lost()
        if not self._call.ca_write_access(self._channel):
            if not self._is_up:
                raise self._lost()
            raise EzcaError(
                f"{self.name}: this process has no write access. "
                "The server's access security decides by user and host: ask for the right, or write as somebody else."
            )
        self._library.attach()

    def close(self) -> None:
        """Clear the channel and its monitor, for good. Returns when no callback of it is running any more."""
        self._closed = True
        self._clear()

    # -- helpers ----------------------------------------------------------------------------------------------------

    def _clear(self) -> None:
        self.connected = False
        with self._setup:
            channel, self._channel = self._channel, ctypes.c_void_p()
            if channel:
                self._library.attach()
                self._call.ca_clear_channel(channel)
                self.connected = False  # once more: a last callback may have said otherwise
                self._call.ca_flush_io()

    def _believed(self) -> Sample | None:
        """What is kept here, if it can be neither older than an own write nor than an earlier answer; else None."""
        event, fetched = self._latest, self._fetched
        if self._unsure:
            return None
        if fetched is None or event is None:
            return event if fetched is None else fetched
        if event.order < fetched.order:
            return fetched
        return event if event.stamp >= fetched.stamp else None

    def _take_answer(self) -> bool:
        """Whether the answer to an inquiry has come; from now on it is what is known."""
        with self._setup:  # an answer to an earlier question must not be taken for that to a later one
            inquiry = self._inquiry
            if inquiry is None or not inquiry.done:
                return False
            self._inquiry = None
            if inquiry.status != NORMAL or not inquiry.data or self._is_gone(inquiry):
                return False
            kind, put_done = self._shape.kind, self._put_done
            if inquiry.order < put_done:
                return False  # it may tell of the time before that write
            self._fetched = Sample(order=inquiry.order, kind=kind, count=inquiry.count, raw=inquiry.data)
            self._unsure = False
            if self._put_done != put_done:  # just now, in a thread of libca
                self._unsure = True
                return False
        return True

    def _fetch(self, deadline: float) -> Sample:
        self._unsure = False  # before asking: a write that completes meanwhile sets it again
        try:
            reply = self._ask(self._shape.kind + wire.TIME, 0 if self._shape.is_array else 1, deadline)
            sample = Sample(order=reply.order, kind=self._shape.kind, count=reply.count, raw=reply.data)
            self._fetched = sample
        except BaseException:
            self._unsure = True
            raise
        return sample

    def _ask(self, form: int, count: int, deadline: float) -> Reply:
        with self._setup:  # another thread may be about to close it
            if not self.connected:
                raise self._lost()
            number, reply, status = self._question(form, count)
        answer = self._answer(number, reply, status, deadline)
        if answer is None or (answer == NORMAL and not reply.data):
            raise self._no_value()
        if answer != NORMAL:
            raise EzcaError(f"{self.name}: the server gave no value ({self._library.message(answer)}).")
        return reply

    def _question(self, form: int, count: int) -> tuple[int, Reply, int]:
        """Send a question; its number, where the answer comes, and the status of sending it. Hold `_setup`."""
        self._library.attach()
        number, reply = self._new_request(is_put=False)
        status = self._call.ca_array_get_callback(form, count, self._channel, self._on_event, number)
        if status == NORMAL:
            self._call.ca_flush_io()
        return number, reply, status

    def _new_request(self, *, is_put: bool) -> tuple[int, Reply]:
        number, reply = next(self._numbers), Reply(is_put, self._connections)
        self._replies[number] = reply
        return number, reply

    def _answer(self, number: int, reply: Reply, status: int, deadline: float) -> int | None:
        """Status of the answer to a request that was sent with `status`; None if there is none by `deadline`."""
        if status == NORMAL:
            self._bells.wait(lambda: reply.done or self._is_gone(reply), deadline)
            if reply.done and reply.status == NORMAL:
                return NORMAL
            status = reply.status
        else:
            self._replies.pop(number, None)
        if self._is_gone(reply) or status == DISCONNECTED:  # libca tells of the answers first
            raise self._lost()
        return status or None

    @property
    def _is_up(self) -> bool:
        """What libca says. It knows of a loss before it tells, and then grants no access any more."""
        with self._setup:
            return bool(self._channel) and bool(self._call.ca_state(self._channel) == CONNECTED)

    def _is_gone(self, reply: Reply) -> bool:
        return not self.connected or self._connections != reply.circuit

    def _lost(self) -> EzcaConnectError:
        return EzcaConnectError(
            f"{self.name}: the connection was lost during the operation. Is its IOC running?", (self.name,)
        )

    def _no_value(self) -> EzcaError | EzcaConnectError:
        if not self.connected or not self._is_up:
            return self._lost()
        if not self._call.ca_read_access(self._channel):
            return EzcaError(f"{self.name}: this process has no read access. Ask for the right at the server.")
        return EzcaError(f"{self.name}: connected, but no value came in time. Is the IOC overloaded or stopped?")
