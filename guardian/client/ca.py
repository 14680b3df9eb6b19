"""Channel Access for people: libca as pyepics carries it, with the answers that pyepics drops.

``epics.PV.put`` cannot tell a refusal: its completion callback ignores the status, and the text that a server sends
with a refused plain put goes to libca's exception handler, which pyepics silences. So requests are made here on the
library itself; from pyepics come the library, its data structures and the connection of channels.

Invariants
----------
* Every wait is bounded, and ends at once when the channel is lost.
* libca calls back in threads of its own. What happens there: decode, store, notify; never a request.
* A value is decoded before the callback returns, since libca reuses the buffer.
* Nobody is waited for at the end. A tidy end of libca, which pyepics would make, waits half a minute for a server that
  is stopped (SIGSTOP, a lost cable). So the channels are given up, that none calls back any more, and the kernel closes
  the sockets.
* Text is UTF-8, or Latin-1 where it is not: no byte a server can send raises.

A plain put is followed by a read. Servers answer in order on a circuit, so a refusal has arrived when the read has;
only a server that writes in a task of its own may be later (see :meth:`Channel.objection`).
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import itertools
import re
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from epics import ca, dbr

from guardian.access.repeater import as_if_repeated
from guardian.errors import ExpectedError

STRING, INT, FLOAT, ENUM, CHAR, LONG, DOUBLE = range(7)
TYPE_NAMES = ("STRING", "INT", "FLOAT", "ENUM", "CHAR", "LONG", "DOUBLE")
_TIME, _CTRL = 14, 28  # added to a native type: the same with time stamp, the same with limits
_NORMAL = 1  # ECA_NORMAL
_TWICE = 200  # ECA_DBLCHNL
_SERVERS = re.compile(r'Channel: "(.*)", Connecting to: (.+), Ignored: (.+)')


class NotConnected(ExpectedError):
    """No server answers for this name, or it went away."""


class Refused(ExpectedError):
    """The server (or its access rights) said no. The message is the server's reason where the protocol carries one."""


class NoAnswer(ExpectedError):
    """The server is connected but did not answer in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One value as it came over the wire.

    values : always a tuple: of str for STRING, of numbers else (an ENUM is its number).
    stamp_utc : seconds since 1970, 0.0 where the server has none. nanoseconds : its fraction.
    """

    values: tuple[Any, ...]
    kind: int
    severity: int
    status: int
    stamp_utc: float
    nanoseconds: int

    def text(self) -> str:
        """The values as text: for CHAR arrays, up to the first NUL."""
        if self.kind == CHAR:
            return _text(bytes(self.values))
        return " ".join(str(value) for value in self.values)


class _EventArgs(ctypes.Structure):
    """``struct event_handler_args``; pyepics' own takes ``usr`` as a Python object, here it is a number."""

    _fields_ = [
        ("usr", ctypes.c_void_p),
        ("chid", ctypes.c_void_p),
        ("type", ctypes.c_long),
        ("count", ctypes.c_long),
        ("raw_dbr", ctypes.c_void_p),
        ("status", ctypes.c_int),
    ]


class _ExceptionArgs(ctypes.Structure):
    """``struct exception_handler_args``."""

    _fields_ = [
        ("usr", ctypes.c_void_p),
        ("chid", ctypes.c_void_p),
        ("type", ctypes.c_long),
        ("count", ctypes.c_long),
        ("addr", ctypes.c_void_p),
        ("stat", ctypes.c_long),
        ("op", ctypes.c_long),
        ("ctx", ctypes.c_char_p),
        ("file", ctypes.c_char_p),
        ("line", ctypes.c_uint),
    ]


@contextlib.contextmanager
def _ctrl_c_held() -> Iterator[None]:
    """Ctrl-C comes afterwards: pyepics takes it for a library that is missing, and tries the next one.

    To block the signal would not do: numpy has threads, which take it for this one.
    """
    if threading.current_thread() is not threading.main_thread():  # no Ctrl-C comes there
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            signal.raise_signal(signal.SIGINT)


_sessions: list[Session] = []  # libca may call back until the process ends, so what it calls must live as long


class Session:
    """The one CA context of this process. Make it in the thread that makes the requests."""

    def __init__(self) -> None:
        self._handlers: dict[int, Callable[[Any], None]] = {}
        self._keys = itertools.count(1)
        self._channels: dict[int, Channel] = {}
        self.twins: dict[str, tuple[str, str]] = {}  # served twice: by whom it is read, and who answered later
        self.changed = threading.Condition()  # notified after every connection, answer, objection
        with as_if_repeated():
            with _ctrl_c_held():
                ca.initialize_libca()
            atexit.unregister(ca.finalize_libca)
            atexit.register(self._end)
            self.lib = ca.libca
            # libca looks for a repeater when it makes its first channel, not before.
            ca.clear_channel(ca.create_channel("repeater", auto_cb=False))
        self._on_event = ctypes.CFUNCTYPE(None, _EventArgs)(self._event)
        self._on_exception = ctypes.CFUNCTYPE(None, _ExceptionArgs)(self._exception)
        self.lib.ca_add_exception_event(self._on_exception, None)
        _sessions.append(self)

    def channel(self, name: str, on_connection: Callable[[bool], None] | None = None) -> Channel:
        """Begin to connect to ``name``; ``on_connection`` is called in a CA thread."""
        channel = Channel(self, name, on_connection)
        self._channels[channel.chid.value] = channel
        self.lib.ca_flush_io()
        return channel

    def wait(self, done: Callable[[], bool], timeout_s: float) -> bool:
        """Flush, then wait until ``done()``; False on the deadline."""
        self.lib.ca_flush_io()
        with self.changed:
            return self.changed.wait_for(done, timeout_s)

    def connect(self, channels: Sequence[Channel], timeout_s: float) -> None:
        """Wait until all are connected, or for ``timeout_s``."""
        self.wait(lambda: all(channel.connected for channel in channels), timeout_s)

    def flush(self) -> None:
        """Send what was asked for."""
        self.lib.ca_flush_io()

    def notify(self) -> None:
        with self.changed:
            self.changed.notify_all()

    def _end(self) -> None:
        """Have libca call nothing of this process any more: a thread that comes into a Python that ends, aborts it."""
        self.lib.ca_add_exception_event(None, None)
        for channel in self._channels.values():
            self.lib.ca_clear_channel(channel.chid)

    def _clear(self, channel: Channel) -> None:
        self._channels.pop(channel.chid.value, None)
        for key in channel.monitors:
            self._forget(key)
        ca.clear_channel(channel.chid)

    def _register(self, handler: Callable[[Any], None]) -> int:
        key = next(self._keys)
        self._handlers[key] = handler
        return key

    def _forget(self, key: int) -> None:
        self._handlers.pop(key, None)

    def _event(self, args: Any) -> None:
        handler = self._handlers.get(args.usr)
        if handler is not None:  # an answer that came after its deadline has none
            handler(args)
            self.notify()

    def _exception(self, args: Any) -> None:
        channel = self._channels.get(args.chid) if args.chid else None
        if args.stat == _TWICE and (said := _SERVERS.match(_text(args.ctx or b""))):
            self.twins[said[1]] = said[2], said[3]
            self.notify()
        elif channel is not None:
            channel.objections.append(_reason(args.stat, args.ctx or b"", channel.name))
            self.notify()


class Channel:
    """One connected (or not yet connected) PV. Made by :meth:`Session.channel`."""

    def __init__(self, session: Session, name: str, on_connection: Callable[[bool], None] | None) -> None:
        self.name = name
        self.connected = False
        self.objections: list[str] = []
        self.monitors: list[int] = []  # what they are registered as
        self.turn = threading.Lock()  # of writes: the last objection is that to the last one
        self._session = session
        self._lib = session.lib
        self._told = on_connection
        self.chid = ca.create_channel(name, auto_cb=False, callback=self._connection)

    # -- facts of a connected channel ------------------------------------------------------------------------------

    @property
    def kind(self) -> int:
        """Native type: STRING .. DOUBLE."""
        return int(ca.field_type(self.chid))

    @property
    def count(self) -> int:
        """How many elements it can hold."""
        return int(ca.element_count(self.chid))

    @property
    def readable(self) -> bool:
        return bool(ca.read_access(self.chid))

    @property
    def writable(self) -> bool:
        return bool(ca.write_access(self.chid))

    @property
    def host(self) -> str:
        """``address:port`` of its server."""
        return str(ca.host_name(self.chid))

    # -- requests --------------------------------------------------------------------------------------------------

    def clear(self) -> None:
        """Give it up: nothing is called for it any more."""
        self._session._clear(self)

    def get(self, kind: int | None = None, *, count: int = 0, timeout_s: float) -> Reading:
        """Ask the server for the value now.

        Parameters
        ----------
        kind : type wanted, STRING .. DOUBLE; the server converts. None: the native one.
        count : how many elements at most; 0 is as many as there are.

        Raises
        ------
        NotConnected, Refused (no read access), NoAnswer
        """
        kind = self.kind if kind is None else kind
        args, values = self._ask(kind + _TIME, min(count, self.count), timeout_s)
        return _reading(kind, args, values)

    def details(self, timeout_s: float) -> dict[str, Any]:
        """Units, limits, precision and enum labels: what the type has of them."""
        args, _values = self._ask(self.kind + _CTRL, 1, timeout_s)
        if self.kind == STRING:
            return {}
        found: dict[str, Any] = {}
        for name in (*dbr.ctrl_limits, "precision"):
            if hasattr(args, name):
                found[name] = getattr(args, name)
        if hasattr(args, "units"):
            found["units"] = _text(args.units)
        if hasattr(args, "strs"):
            found["labels"] = tuple(_text(args.strs[i].value) for i in range(args.no_str))
        return found

    def put(self, kind: int, values: Sequence[Any], *, wait: bool, timeout_s: float) -> None:
        """Write; with ``wait`` until the server says that it is done.

        Without ``wait`` a refusal shows in :meth:`objection` after the next :meth:`get`.

        Raises
        ------
        NotConnected, Refused, NoAnswer
        """
        if not self.connected:
            raise NotConnected(f"{self.name} is not connected")
        if not self.writable:
            raise Refused("no write access")
        data = (len(values) * dbr.Map[kind])()
        for index, value in enumerate(values):
            if kind == STRING:
                data[index].value = value
            else:
                data[index] = value
        self.objections.clear()
        if not wait:
            self._check(self._lib.ca_array_put(kind, len(values), self.chid, data))
            self._lib.ca_flush_io()
            return
        answer: list[int] = []
        key = self._session._register(lambda args: answer.append(args.status))
        try:
            put = self._lib.ca_array_put_callback
            self._check(put(kind, len(values), self.chid, data, self._session._on_event, ctypes.c_void_p(key)))
            self._await(answer, timeout_s, "did not say that it is done")
        finally:
            self._session._forget(key)
        if answer[0] != _NORMAL:
            raise Refused(_reason(answer[0]))

    def objection(self, timeout_s: float = 0.0) -> str | None:
        """Why the last plain put was refused, or None; waits up to ``timeout_s`` for a server that thinks longer."""
        self._session.wait(lambda: bool(self.objections), timeout_s)
        return self.objections[-1] if self.objections else None

    def monitor(self, kind: int | None, count: int, told: Callable[[Reading], None]) -> None:
        """Have ``told`` called (in a CA thread) with every change of value or alarm, across reconnections.

        Raises
        ------
        Refused : libca would not even ask.
        """
        kind = self.kind if kind is None else kind

        def update(args: Any) -> None:
            if args.status == _NORMAL:
                told(_reading(kind, *_decode(args)))

        key = self._session._register(update)
        self.monitors.append(key)
        self._check(
            self._lib.ca_create_subscription(
                kind + _TIME,
                count,
                self.chid,
                dbr.DBE_VALUE | dbr.DBE_ALARM,
                self._session._on_event,
                ctypes.c_void_p(key),
                ctypes.byref(ctypes.c_void_p()),
            )
        )
        self._lib.ca_flush_io()

    # -- inside ----------------------------------------------------------------------------------------------------

    def _ask(self, wire_kind: int, count: int, timeout_s: float) -> tuple[Any, tuple[Any, ...]]:
        if not self.connected:
            raise NotConnected(f"{self.name} is not connected")
        if not self.readable:
            raise Refused("no read access")
        answer: list[Any] = []
        key = self._session._register(
            lambda args: answer.append(_decode(args) if args.status == _NORMAL else args.status)
        )
        try:
            get = self._lib.ca_array_get_callback
            wire_kind = dbr.TIME_STRING if wire_kind == dbr.CTRL_STRING else wire_kind
            self._check(get(wire_kind, count, self.chid, self._session._on_event, ctypes.c_void_p(key)))
            self._await(answer, timeout_s, "did not answer")
        finally:
            self._session._forget(key)
        if isinstance(answer[0], int):
            raise Refused(_reason(answer[0]))
        return answer[0]  # type: ignore[no-any-return]

    def _await(self, answer: list[Any], timeout_s: float, what: str) -> None:
        if self._session.wait(lambda: bool(answer) or not self.connected, timeout_s) and answer:
            return
        if not self.connected:
            raise NotConnected(f"{self.name} disconnected before it answered")
        raise NoAnswer(f"{self.name} {what} in {timeout_s:g} s")

    def _check(self, status: int) -> None:
        if status != _NORMAL:
            raise Refused(_reason(status))

    def _connection(self, conn: bool, **_more: Any) -> None:
        self.connected = bool(conn)
        if self._told is not None:
            self._told(self.connected)
        self._session.notify()


def _decode(args: Any) -> tuple[Any, tuple[Any, ...]]:
    """Copy what libca lends for the time of a callback: the head (alarm, stamp, limits) and the values."""
    head, values = dbr.cast_args(args)
    copied = type(head).from_buffer_copy(head) if head is not None else None
    if values._type_ is dbr.string_t:
        return copied, tuple(_text(value.value) for value in values)
    return copied, tuple(values)


def _reading(kind: int, head: Any, values: tuple[Any, ...]) -> Reading:
    seconds, nanoseconds = head.stamp.secs, head.stamp.nsec
    stamp = dbr.EPICS2UNIX_EPOCH + seconds + nanoseconds * 1e-9 if seconds or nanoseconds else 0.0
    return Reading(
        values=values, kind=kind, severity=head.severity, status=head.status, stamp_utc=stamp, nanoseconds=nanoseconds
    )


def _text(data: bytes) -> str:
    data = data.split(b"\0", 1)[0]
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _reason(status: int, context: bytes = b"", name: str = "") -> str:
    """The server's own words if it sent any, else libca's for the status.

    EPICS base sends the name of the record and no reason; caproto the exception of the put, headed by its class.
    """
    words = re.sub(r"^Python exception: \w+ ", "", _text(context)).strip()
    return words if words and words.split(".")[0] != name.split(".", maxsplit=1)[0] else str(ca.message(int(status)))
