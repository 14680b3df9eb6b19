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

It is told anew after whatever may have changed it, and the time is noted when it is another one. Once a second
:class:`Sweep` looks at all connections, and ends those that are in their phase for too long. That is all: no timer is
set, so none can be forgotten. A connection that became a WebSocket is none of these any more, see `feed.py` for how
long that is waited for.

uvicorn's own timer for connections that are kept alive is left without effect.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from enum import Enum
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from guardian.console.guard import HEADERS


class Phase(Enum):
    """Of a connection. The value: how long it may last, in seconds."""

    ANSWER = 60.0
    ASKED = 10.0
    QUIET = 120.0


#: Sockets at the same time. Whoever is one more takes the place of who has been waited for longest.
MOST = 400
#: To send what is left to a client that is being left.
CLOSE_S = 10.0


class PatientProtocol(H11Protocol):
    """HTTP by h11, which knows what it is waited for, and since when."""

    phase, since = Phase.QUIET, 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.since = self.loop.time()
        if len(self.connections) > MOST:
            self._make_room()

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
        if self.phase is Phase.ANSWER or self.transport.is_closing():
            self.transport.abort()
            return
        if self.phase is Phase.ASKED and self.conn.our_state is h11.IDLE:
            self._say(408, f"the request was not complete within {Phase.ASKED.value:g} s")
        self.transport.close()

    def _look(self) -> None:
        phase = self._phase()
        if phase is not self.phase:
            self.phase, self.since = phase, self.loop.time()

    def _phase(self) -> Phase:
        ours, theirs = self.conn.our_state, self.conn.their_state
        if ours in (h11.SEND_RESPONSE, h11.SEND_BODY):
            return Phase.ANSWER
        return Phase.ASKED if theirs is h11.SEND_BODY or self.conn.trailing_data[0] else Phase.QUIET

    def _make_room(self) -> None:
        others = [each for each in self.connections if isinstance(each, PatientProtocol) and each is not self]
        min(others, key=lambda each: (each.phase is Phase.ANSWER, each.since), default=self).end()

    def _say(self, status: int, says: str) -> None:
        body = json.dumps({"error": says}).encode()
        headers = [*HEADERS.items(), ("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        for event in (
            h11.Response(status_code=status, headers=[*headers, ("Connection", "close")]),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")


class Sweep:
    """Ends what is waited for in vain. To be called again and again."""

    def __init__(self) -> None:
        self._closing: dict[Any, float] = {}

    def __call__(self, connections: Iterable[Any], now: float) -> None:
        """Look at all that are open, WebSockets too: one that reads nothing cannot even be closed."""
        closing = {}
        for each in tuple(connections):
            if each.transport.is_closing():
                closing[each] = self._closing.get(each, now)
                if now - closing[each] > CLOSE_S:
                    each.transport.abort()
            elif isinstance(each, PatientProtocol) and now - each.since > each.phase.value:
                each.end()
        self._closing = closing
