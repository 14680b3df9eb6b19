"""One other node: its present moment over Channel Access, and the writes by which it is commanded.

A node of ours is watched by one PV, SUMMARY, so what is told of it is one consistent moment and costs no network. One
that has no SUMMARY, an original Guardian, is watched by its plain PVs (``plain.py``). Channels for writing are opened
when something is first written.

Nothing here waits for long, and nothing is written late: a write to a node that is not there is refused at once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

from guardian.access import wire
from guardian.access.channel import Channel, Reply
from guardian.access.plain import Plain
from guardian.core.peer import Peer, of_summary
from guardian.enums import NONE_STATE, Mode
from guardian.errors import EzcaConnectError

#: How long a write may take to be confirmed before user code goes on; what comes later is noticed later.
CONFIRM_S = 0.5
#: How long the channels for writing may take to connect to a node that is there.
WRITER_S = 2.0
#: A node that is away is searched for at least so often, known or not.
SEARCH_S = 1.0
STRANGER_S = 5.0
#: Without an answer for so long, a node may be one that has no SUMMARY; one that had is rather away.
PROBE_AFTER_S = 0.25
DOUBT_S = 10.0
#: Plain PVs may be found before the SUMMARY of the same node, and one by one: they are believed after so long. A node
#: that looked for a moment as if it had no SUMMARY, or no manager, would be asked by its plain PVs, or given up.
HESITATE_S = 0.25
DISBELIEVE_S = 1.0
#: PVs that a plain node does not have are searched for at least so often.
RARELY_S = 30.0

#: ``open(row, news)``: a channel to a row of the node.
Open = Callable[[str, Callable[[], None]], Channel]
Close = Callable[[list[Channel]], None]


class Subordinate:
    """One other node.

    Parameters
    ----------
    open_channel : opens a channel of it. close : gives channels back.
    news : called from any thread when it may have changed.
    """

    def __init__(self, name: str, open_channel: Open, close: Close, news: Callable[[], None]) -> None:
        self.name = name
        self.owners: WeakSet[Any] = WeakSet()  #: the Node objects that speak of it
        self.wanted_at = time.monotonic()  #: when there was one last
        self._open = open_channel
        self._close = close
        self._news = news
        self._there_at = time.monotonic()  #: when it was last there
        self._summary = open_channel("SUMMARY", news)
        self._plain: Plain | None = None
        self._plain_since = (0, 0.0)  #: over which circuit its plain PVs are there without a SUMMARY, and since when
        self._is_plain = False
        self._writers: dict[str, Channel] = {}
        self._moment: tuple[wire.Sample | None, Peer | None] = (None, None)  # in one piece: two threads look at it
        self._known = False

    @property
    def channel(self) -> str:
        """The name on the network of the channel it is known by."""
        return self._summary.name

    def peer(self) -> Peer | None:
        """The present moment of the node; None while it is not there. Touches no network."""
        sample = self._summary.peek()
        if sample is None:
            plain = self._plain  # the keeper may give it up meanwhile
            return plain.peer() if plain is not None and self._is_believed(plain) else None
        known, peer = self._moment
        if sample is not known:
            peer = of_summary(wire.sample_text(sample))
            self._moment = (sample, peer)
            self._known = True
        return peer

    def tend(self, now: float) -> bool:
        """Start monitors, search again, look for an original Guardian; True if it is to be tended again soon."""
        if self.peer() is not None:
            self._there_at = now
            return any([self._tend_writers(), self._tend_plain(now)])
        self._summary.search_again(SEARCH_S if self._known else STRANGER_S)
        if self._plain is None and now - self._there_at >= (DOUBT_S if self._known else PROBE_AFTER_S):
            self._plain = Plain(self._open, self._news)
        self._tend_plain(now)
        return True

    def _tend_plain(self, now: float) -> bool:
        """Look after the plain PVs; they are given up when there is a SUMMARY, which is looked for all the time."""
        plain = self._plain
        if plain is None:
            return False
        if self._summary.connected:
            if self.peer() is not None:
                self._plain, self._is_plain, self._plain_since = None, False, (0, 0.0)
                self._drop(plain.channels.values())
            return True
        if (circuit := plain.circuit) != self._plain_since[0]:
            self._plain_since = circuit, now
            self._summary.search_now()
        self._summary.search_again(STRANGER_S)
        plain.search_again(RARELY_S if circuit else SEARCH_S if plain.known else STRANGER_S)
        plain.inquire()
        is_plain, self._is_plain = self._is_plain, self._is_believed(plain)
        if self._is_plain and not is_plain:
            watched = tuple(plain.channels.values())
            self._drop(writer for writer in tuple(self._writers.values()) if writer not in watched)
            self._news()
        return True

    def _is_believed(self, plain: Plain) -> bool:
        """Whether it has no SUMMARY, as far as can be told."""
        circuit, since = self._plain_since
        wait_s = DISBELIEVE_S if self._known else HESITATE_S
        return bool(circuit) and plain.circuit == circuit and time.monotonic() - since >= wait_s

    def _tend_writers(self) -> bool:
        lost = [writer for writer in tuple(self._writers.values()) if not writer.connected]
        for writer in lost:
            writer.search_again(RARELY_S if self._is_plain else SEARCH_S)
        return bool(lost)

    def _drop(self, channels: Iterable[Channel]) -> None:
        """Give back channels of what the node was before."""
        gone = list(channels)
        for row, writer in tuple(self._writers.items()):
            if any(writer is channel for channel in gone):
                del self._writers[row]
        self._close(gone)

    def channels(self) -> list[Channel]:
        """All that were opened for it. A plain node is written by the channels that it is watched by."""
        plain = self._plain.channels.values() if self._plain is not None else ()
        return list(dict.fromkeys((self._summary, *self._writers.values(), *plain)))

    # --- writing -----------------------------------------------------------------------------------------------

    def there(self) -> Peer:
        """The present moment.

        Raises
        ------
        EzcaConnectError
            It is not there.
        """
        peer = self.peer()
        if peer is None:
            raise EzcaConnectError(
                f"{self.name}: the node is not there. Is its host running, and in reach of EPICS_CA_ADDR_LIST?",
                (self.channel,),
            )
        return peer

    def ready(self, state: str) -> Peer:
        """The present moment of a node that can be asked for `state`.

        Raises
        ------
        EzcaConnectError
            It is not there, or its code is not loaded yet, so that it would refuse every request.
        """
        peer = self.there()
        if not peer.states and state != NONE_STATE:
            raise EzcaConnectError(
                f"{self.name}: its code is not loaded, so REQUEST={state} must wait; if that lasts, see its WHY",
                (self.channel,),
            )
        return peer

    def prepare(self, *rows: str) -> None:
        """Open the channels for writing these rows, without waiting for them. A plain node has no REQUEST_CMD."""
        peer = self.peer()
        plain = peer is not None and peer.plain
        for row in rows:
            self._open_writer("REQUEST" if plain and row == "REQUEST_CMD" else row)

    def _open_writer(self, row: str) -> Channel:
        writer, plain = self._writers.get(row), self._plain
        if writer is None:
            shared = plain.channels.get(row) if plain is not None and self._is_believed(plain) else None
            writer = self._writers[row] = shared or self._open(row, self._news)
        return writer

    def request(self, state: str, by: str, cmd: str) -> Reply | None:
        """Write a request; without the id `cmd` to a plain node. None: that one has taken it.

        Raises
        ------
        EzcaConnectError, EzcaError
        """
        self.there()
        if not cmd:
            with self._plainly() as put:
                put("REQUEST", state)
            return None
        return self._send("REQUEST_CMD", json.dumps({"state": state, "manager": by, "id": cmd}))

    def take(self, manager: str) -> None:
        """R24: MANAGER, then MODE."""
        self._write(("MANAGER", manager), ("MODE", int(Mode.MANAGED)))

    def release(self) -> None:
        """R24: MODE=AUTO, then no MANAGER."""
        self._write(("MODE", int(Mode.AUTO)), ("MANAGER", ""))

    def refused(self, row: str, reply: Reply) -> bool:
        """Whether the server has said no to what was sent to that row."""
        writer = self._writers.get(row)
        return writer is not None and writer.said(reply) is False

    def lost(self, row: str, reply: Reply) -> bool:
        """Whether the connection was lost before the server answered to what was sent to that row."""
        writer = self._writers.get(row)
        return writer is None or writer.lost(reply)

    def _write(self, *values: tuple[str, Any]) -> None:
        self.prepare(*(row for row, _ in values))
        if self.there().plain:
            with self._plainly() as put:
                for row, value in values:
                    put(row, value)
        else:
            for row, value in values:
                self._send(row, value)

    def _send(self, row: str, value: Any) -> Reply:
        writer, deadline = self._writer(row)
        return writer.send(writer.encode(value, deadline))

    @contextmanager
    def _plainly(self) -> Iterator[Callable[[str, Any], None]]:
        """Writes that are waited for, one by one. What a plain node shows after them is not older than they are."""

        def put(row: str, value: Any) -> None:
            writer, deadline = self._writer(row)
            writer.put(writer.encode(value, deadline), wait=True, deadline=deadline)

        wait_s = 0.0
        try:
            yield put
            wait_s = WRITER_S  # an error or an interrupt must not wait
        finally:
            plain = self._plain
            if plain is not None:
                plain.refresh(time.monotonic() + wait_s)

    def _writer(self, row: str) -> tuple[Channel, float]:
        writer, deadline = self._open_writer(row), time.monotonic() + WRITER_S
        if not writer.wait_connected(deadline):
            raise EzcaConnectError(f"{writer.name}: no server answers, although {self.name} is there.", (writer.name,))
        return writer, deadline
