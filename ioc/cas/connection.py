"""The connection of one client: bytes in, messages out one by one, a fair share of the loop, and an end.

caproto has three tasks and two queues for each client, and a task for each write, so a read may overtake a write and
an answer the updates that the write caused. Here a block of bytes is worked off in the call that receives it.

* **Fair.** After its share of :data:`SHARE_S`, which it has with all clients that have more to ask, a client waits for
  the next turn of the loop. What takes long for one client (:meth:`Connection.in_slices`) is spread over turns too.
* **Bounded.** A client is not read from while an earlier message of it is worked on, nor while it asks for more than it
  reads; the rest stays in its own socket.
* **Not the last descriptors.** A client that gets one of the last :data:`RESERVED` of the process is turned away at
  once; one that waited for an answer would not know. It comes again, and is let in when there is room.
* **Bad bytes close this connection**, with one line in the log. So does a line that stays full (:mod:`ioc.cas.line`).
* Nagle's algorithm is off, as it holds each second small message for 40 ms.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ioc.cas import wire
from ioc.cas.line import KERNEL_BYTES, Line

if TYPE_CHECKING:
    from ioc.cas.context import Context

log = logging.getLogger(__name__)

SHARE_S = 0.005
SMALLEST_SHARE_S = 0.00005
#: Who has waited long for a turn, since others keep the loop busy, gets this part of that time: one write in each turn
#: of a second would be minutes for a script that writes to all nodes of a host.
SHARE_OF_WAIT = 1 / 10
#: Things that are done for one client in one turn of the loop, of those that take a microsecond or two.
SLICE = 1000
#: Descriptors that are kept for the process itself, its files and the processes it starts; of few, this part.
RESERVED, RESERVED_PART = 32, 8
#: Bytes of a name that a client claims, of UTF-8; the name of a machine has 64 on Linux. A longer one is cut.
NAME_BYTES = 64


def _most_descriptors() -> int:
    """The first one that no client gets. The kernel gives the lowest that is free, so all below it are in use."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most - min(RESERVED, most // RESERVED_PART) if most != resource.RLIM_INFINITY else sys.maxsize


@lru_cache(256)  # each channel of a client asks for its names
def _fit(name: str) -> str:
    """The text for bytes that came, each of them a character: UTF-8, or Latin-1 if they are none.

    What cannot be shown is replaced, not left out: else one name could become another, and be taken for it.
    """
    data = name.encode("latin-1", "replace")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    shown = "".join(c if c.isprintable() else "\ufffd" for c in text).encode()
    if len(shown) > NAME_BYTES:
        return shown[: NAME_BYTES - 3].decode(errors="ignore") + "..."
    return shown.decode() or "?"


class Connection(asyncio.Protocol):
    """What is the same whatever the messages mean; :meth:`handle` and :meth:`ended` are the subclass's."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.client_hostname = ""
        self.client_username = ""
        self.address: tuple[str, int] = ("?", 0)
        self.line: Line
        self.loop = asyncio.get_running_loop()
        self._transport: Any = None
        self._parser = wire.Parser(context.longest_message)
        self._messages: Iterator[wire.Message] = iter(())
        self._more = False  # messages that have come and are not worked off
        self._working = self._reading_stopped = self._turn_asked = False
        self._asked_at = self._waited_s = 0.0  # since when it waits for its turn; for how long it had to
        self._held = 0

    def __repr__(self) -> str:
        return f"the client {self.who}"

    @property
    def claims(self) -> tuple[str, str]:
        """The user and the host that the client claims to be, fit to be shown."""
        return _fit(self.client_username), _fit(self.client_hostname)

    @property
    def who(self) -> str:
        """The client as it claims to be, and where it really is: "user@host (address)"."""
        user, host = self.claims
        return f"{user}@{host} ({self.address[0]})"

    def handle(self, message: wire.Message) -> None:
        """Work off one message.

        Raises
        ------
        ProtocolError : it makes no sense, the connection is closed.
        """
        raise NotImplementedError

    def ended(self) -> None:
        """The connection is gone."""
        raise NotImplementedError

    # -- its life ------------------------------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self.line = Line(transport, self._stuck)
        address = transport.get_extra_info("peername")
        if address is None or self.context.stopping:  # it was gone before we came to it, or we are going
            transport.abort()
            return
        self.address = address
        connection = transport.get_extra_info("socket")
        if connection.fileno() >= _most_descriptors():
            self.context.turned_away += 1
            self.context.complaints.about(address[0], f"{address[0]} is turned away: descriptors are used up")
            transport.abort()
            return
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # as rsrv: a machine that was switched off
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)
        transport.set_write_buffer_limits(high=0)
        self.context.circuits.add(self)
        self.line.answer(wire.message(wire.VERSION, 0, wire.MINOR_VERSION))

    def connection_lost(self, exc: Exception | None) -> None:
        self.line.close()
        self.context.circuits.discard(self)
        self._messages, self._more = iter(()), False
        self.ended()

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

    def _bad(self, error: wire.ProtocolError) -> None:
        sentence = f"{self.who} sent what is not Channel Access; disconnected: {error}"
        self.context.complaints.about(self.address[0], sentence)
        self.abort()

    # -- what comes ----------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        # Taken apart one by one, when their turn has come. No other block comes before this one is worked off.
        self._messages, self._more = self._parser.feed(data), True
        self._work()

    def hold(self) -> Callable[[Any], None]:
        """Let the next messages wait until what is returned has been called; it takes one argument, of no meaning."""
        self._held += 1
        over = False

        def release(_: Any) -> None:
            nonlocal over
            if not over:
                over = True
                self._held -= 1
                self._work()

        return release

    def in_slices(self, items: Iterable[Any], do: Callable[[Any], None], done: Callable[[Any], None]) -> None:
        """Do something to each, a :data:`SLICE` in each turn of the loop, then call `done` with None."""
        rest = list(items)

        def some() -> None:
            slice_, rest[-SLICE:] = rest[-SLICE:], []
            for item in slice_:
                try:
                    do(item)
                except Exception:  # a PV's own code may be in it; the others have their turn
                    log.exception("%s: %s was passed over. Please report this", self.who, item)
            if rest:
                self.loop.call_soon(some)
            else:
                done(None)

        some()

    def _work(self) -> None:
        """Answer what has come, for as long as it is this client's turn."""
        if self._working:
            return
        self._working = self.line.corked = True
        until = 0.0
        while self._more and not self._held and not self.line.crowded and not self._transport.is_closing():
            if not until:
                share_s = max(SHARE_S, SHARE_OF_WAIT * self._waited_s) / (1 + self.context.waiting)
                until = time.monotonic() + max(share_s, SMALLEST_SHARE_S)
                self._waited_s = 0.0
            elif time.monotonic() > until:
                self._ask_for_a_turn()
                break
            message = None
            try:
                message = next(self._messages, None)
                if message is None:
                    self._more = False
                else:
                    self.handle(message)
            except wire.ProtocolError as error:
                self._bad(error)
            except Exception:  # a fault of ours, or of a PV's own code: one client pays for it, and the log says so
                log.exception("%s: %s could not be worked off; disconnected. Please report this", self.who, message)
                self.abort()
        self._working = self.line.corked = False
        self.line.flush()
        if self._more != self._reading_stopped and not self._transport.is_closing():
            self._reading_stopped = not self._reading_stopped
            (self._transport.pause_reading if self._reading_stopped else self._transport.resume_reading)()

    def _ask_for_a_turn(self) -> None:
        if not self._turn_asked:
            self._turn_asked, self._asked_at = True, time.monotonic()
            self.context.waiting += 1
            self.loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._turn_asked, self._waited_s = False, time.monotonic() - self._asked_at
        self.context.waiting -= 1
        self._work()
