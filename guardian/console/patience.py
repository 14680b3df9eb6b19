"""How long the server waits for whom, so that slow clients and many of them keep nobody from being served.

Theory
------
A connection is in one of three phases, and which one can always be told from what h11 knows of it:

==========  ===========================  ==============================================================================
phase       what h11 says                what it is
==========  ===========================  ==============================================================================
``ANSWER``  we have begun, or have to    somebody asked, and the answer is not out yet; also while we wait for its body
``ASKED``   part of a request is there   a request is coming in, or what is left of one that is answered already
``QUIET``   nothing is there             kept alive; also one that never sent anything
==========  ===========================  ==============================================================================

It is told anew after whatever may have changed it. Those of a phase stand in a queue, in the order in which they came
into it. Once a second the :class:`Crowd` looks at who is first, and ends those that have been there for too long; and
one more than there may be takes the place of who is first. That is all: no timer is set, so none can be forgotten. A
connection that became a WebSocket is none of these any more, see `feed.py` for how long that is waited for; one that
asked for it in a way that nobody could read is ended at once.

Nor does anybody fill the memory: who sends much ahead of the answers is ended (:data:`AHEAD`), and who asks a WebSocket
whether it lives, and does not read that it does, is told no more.

Cost: a few dictionary accesses for each change, however many connections there are. A rush of clients that come and
go must not take the loop from the others.

uvicorn's own timer for connections that are kept alive is left without effect.
"""

from __future__ import annotations

import asyncio
import json
from enum import Enum
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from guardian.console.guard import HEADERS


class Phase(Enum):
    """Of a connection. The value: how long it may last, in seconds."""

    ANSWER = 60.0
    ASKED = 10.0
    QUIET = 120.0


#: Connections at the same time, with those of pages.
MOST = 400
#: Bytes of requests that may come before those in front of them are answered: a browser sends none.
AHEAD = 131_072
#: To send what is left to a client that is being left.
CLOSE_S = 10.0


class Crowd(ServerState):
    """All connections of a server: where uvicorn keeps them, and who is waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._queues: dict[Phase, dict[PatientProtocol, None]] = {phase: {} for phase in Phase}
        self._closing: dict[Any, float] = {}

    def move(self, one: PatientProtocol, phase: Phase | None) -> None:
        """Of now on it is in this phase; None: in none."""
        if one.phase is not None:
            self._queues[one.phase].pop(one, None)
        if phase is not None:
            self._queues[phase][one] = None

    def make_room(self, newcomer: PatientProtocol) -> None:
        """If there are too many, end who is waited for longest, else whose answer takes longest, else the newcomer."""
        if len(self.connections) <= MOST:
            return
        waiting = [first for phase in (Phase.ASKED, Phase.QUIET) if (first := self._first(phase)) is not None]
        one = min(waiting, key=lambda each: each.since, default=None) or self._first(Phase.ANSWER) or newcomer
        one.end()

    def sweep(self, now: float) -> None:
        """End those that are waited for in vain. What is being closed, a WebSocket too, may have to be forced."""
        for phase in Phase:
            while (first := self._first(phase)) is not None and now - first.since > phase.value:
                first.end()
        closing = [each for each in self.connections if each.transport.is_closing()]
        self._closing = {each: self._closing.get(each, now) for each in closing}
        for each, since in self._closing.items():
            if now - since > CLOSE_S:
                each.transport.abort()

    def _first(self, phase: Phase) -> PatientProtocol | None:
        return next(iter(self._queues[phase]), None)


class PatientProtocol(H11Protocol):
    """HTTP by h11, which knows what it is waited for, and since when."""

    server_state: Crowd
    phase: Phase | None = None
    since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.server_state.make_room(self)
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._look()

    def data_received(self, data: bytes) -> None:
        """Some bytes came. While an answer is made they are kept, be it that uvicorn has asked for more of them."""
        super().data_received(data)
        if len(self.conn.trailing_data[0]) > AHEAD:
            self.transport.abort()
            self._look()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """It is to become a WebSocket. One whose request is none, or too long, was left open by uvicorn for ever."""
        super().handle_websocket_upgrade(event)
        feed = self.transport.get_protocol()
        assert isinstance(feed, PatientSocket)
        if not feed.handshake_initiated:
            self.send_400_response("")

    def handle_events(self) -> None:
        """What h11 has got is worked off; called for what comes in, and once an answer is out."""
        super().handle_events()
        self._look()

    def on_response_complete(self) -> None:
        """The answer is out."""
        super().on_response_complete()
        self._look()

    def timeout_keep_alive_handler(self) -> None:
        """The end of uvicorn's timer: ours is another one."""

    def send_400_response(self, msg: str) -> None:
        """It is no HTTP."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._say(400, "this is no request that could be understood")
        self.transport.close()

    def end(self) -> None:
        """It is not waited for any longer."""
        if self.phase is Phase.ASKED and self.conn.our_state is h11.IDLE:
            self._say(408, f"the request was not complete within {Phase.ASKED.value:g} s, or others needed the place")
        if self.phase is Phase.ANSWER:
            self.transport.abort()
        else:
            self.transport.close()
        self._look()

    def _look(self) -> None:
        phase = self._phase()
        if phase is not self.phase:
            self.server_state.move(self, phase)
            self.phase, self.since = phase, self.loop.time()

    def _phase(self) -> Phase | None:
        if self not in self.connections or self.transport.is_closing():
            return None
        ours, theirs = self.conn.our_state, self.conn.their_state
        if ours in (h11.SEND_RESPONSE, h11.SEND_BODY):
            return Phase.ANSWER
        return Phase.ASKED if theirs is h11.SEND_BODY or self.conn.trailing_data[0] else Phase.QUIET

    def _say(self, status: int, says: str) -> None:
        body = json.dumps({"error": says}).encode()
        headers = [*HEADERS.items(), ("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        for event in (
            h11.Response(status_code=status, headers=[*headers, ("Connection", "close")]),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")


class PatientSocket(WebSocketsSansIOProtocol):
    """A WebSocket that keeps no answers for who does not read them."""

    def handle_ping(self) -> None:
        """Somebody asks whether it lives."""
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()  # the answer, which is dropped
