"""What waits to be sent to one client: one line, bounded, in which the latest value of a subscription wins.

caproto has a queue for the whole server and one for each client; the loop between them waits where a client's queue is
full, and with it all other clients: one frozen screen silences every screen. It also holds an update that follows
another one within 10 ms, and lets answers overtake the updates that they depend on.

Here an update is put into the lines of its subscribers in the call that posts it, which never waits. What came in one
turn of the loop goes out at its end, in one piece. While the client's socket is full, the line *collects*:

* Up to :data:`MANY` messages (or :data:`MUCH` bytes) it keeps them all: who is a little late misses nothing.
* From then on it *merges*: each subscription has one place in the line, and its value is the latest. So the line is
  never much longer than the client has subscriptions.
* When the socket has taken all, what was collected is frozen and goes out whole.

**The order of a step is kept.** What is posted inside one :meth:`Steps.one` is a step; else each update is one. A new
value takes the place that its subscription has, unless something of the *same* step stands behind that: then it gets
the last place, and the old one is left empty. So what comes of one step comes in its order. And a place that need not
move does not: if each step that posts STATE posts STATUS first, STATUS keeps its place before STATE. As a batch is sent
whole, with the latest value of everything, no client sees a new STATE with the STATUS of an old one. (A C IOC
overwrites the *last* update in its ring buffer, which has no such rule.)

Answers are never merged nor dropped; a client that asks for more than it reads is not read from (:attr:`Line.crowded`).

**A line that stays full is closed.** If the socket takes less than :data:`ALIVE_BYTES` in :data:`FULL_S` seconds
while something waits, the client is frozen, gone without a word, or might as well be. It is disconnected with a line in
the log, and finds the present values when it comes back. The kernel's own buffer is made small (:data:`KERNEL_BYTES`),
it would hide 10 s of stale updates else.

Cost: an update is a header of 16 bytes and a reference to a payload that all subscribers share.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

MANY = 2000
MUCH = 2**19
CROWDED_BYTES = 2**18
KERNEL_BYTES = 2**17
FULL_S = 30.0
ALIVE_BYTES = 4096


class Steps:
    """Numbers what is posted together."""

    def __init__(self) -> None:
        self.number = 0
        self._open = False

    @contextmanager
    def one(self) -> Iterator[None]:
        """All that is posted inside is one step."""
        self.number += 1
        self._open = True
        try:
            yield
        finally:
            self._open = False

    def next(self) -> None:
        """Something is posted: a step of its own, unless one is open."""
        if not self._open:
            self.number += 1


#: Of this process: there is one loop that posts.
STEPS = Steps()
_EMPTY: tuple[Any, bytes, bytes, int] = (None, b"", b"", 0)


class Subscriber(Protocol):
    """Whom an update is for."""

    place: int | None  # where it stands in the line of its client
    alive: bool  # not cancelled


class Line:
    """The line of one circuit.

    Parameters
    ----------
    transport : takes the bytes; tells by :meth:`pause` and :meth:`resume` when its socket is full.
    stuck : called with a sentence when the line has stayed full.
    """

    def __init__(self, transport: asyncio.Transport, stuck: Callable[[str], None]) -> None:
        self._transport = transport
        self._stuck = stuck
        self._loop = asyncio.get_running_loop()
        # (subscriber, header, payload, step); answers have no subscriber
        self._items: list[tuple[Any, bytes, bytes, int]] = []
        self._step = self._last = 0  # the step that was put in last, and the last place that it has
        self._empty = 0  # places that were left
        self._bytes = 0
        self._merging = False
        self._paused = False
        self._closed = False
        self._due = False
        self.corked = False  # whoever sets it will flush
        self._written = 0
        self._watch: asyncio.TimerHandle | None = None

    @property
    def crowded(self) -> bool:
        """The client asks for more than it reads."""
        return self._paused and self._bytes > CROWDED_BYTES

    def answer(self, data: bytes) -> None:
        """Add a message that must arrive."""
        if not self._closed:
            self._items.append((None, data, b"", 0))
            self._bytes += len(data)
            self._soon()

    def update(self, to: Subscriber, header: bytes, payload: bytes) -> None:
        """Add an update, or replace the one that waits."""
        if self._closed:
            return
        item = (to, header, payload, STEPS.number)
        if self._merging:
            self._put(item)
        else:
            self._items.append(item)
            self._bytes += len(header) + len(payload)
            if len(self._items) > MANY or self._bytes > MUCH:
                self._merge()
        self._soon()

    def flush(self) -> None:
        """Hand what waits to the socket, unless that is full."""
        if self._paused or self._closed or not self._items:
            return
        if self._merging:
            self._merging = False
            for to, *_ in self._items:
                if to is not None:
                    to.place = None
        batch = b"".join(
            [part for to, header, payload, _ in self._items if to is None or to.alive for part in (header, payload)]
        )
        self._items.clear()
        self._bytes = 0
        if batch:
            self._written += len(batch)
            self._transport.write(batch)

    def pause(self) -> None:
        """The socket is full."""
        self._paused = True
        if self._watch is None and not self._closed:
            self._watch = self._loop.call_later(FULL_S, self._look, self._taken())

    def resume(self) -> None:
        """The socket has taken everything."""
        self._paused = False
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self.flush()

    def close(self) -> None:
        """Drop what waits and what comes."""
        self._closed = True
        self._items.clear()
        self._bytes = 0
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _soon(self) -> None:
        if not (self._due or self._paused or self.corked):
            self._due = True
            self._loop.call_soon(self._flush_now)

    def _flush_now(self) -> None:
        self._due = False
        self.flush()

    def _merge(self) -> None:
        """From now on each subscription has one place; as if that had been so from the beginning."""
        self._merging = True
        items, self._items = self._items, []
        self._bytes = self._step = self._last = self._empty = 0
        for item in items:
            self._put(item)

    def _put(self, item: tuple[Any, bytes, bytes, int]) -> None:
        to, header, payload, step = item
        if to is None:
            self._items.append(item)
            self._bytes += len(header)
            return
        if not to.alive:
            return
        if step != self._step:
            self._step, self._last = step, -1
            if self._empty > MANY + len(self._items) // 2:
                self._close_ranks()
        if to.place is not None:
            _, old_header, old_payload, _ = self._items[to.place]
            self._bytes -= len(old_header) + len(old_payload)
            if to.place < self._last:
                self._items[to.place] = _EMPTY
                self._empty += 1
                to.place = None
        if to.place is None:
            to.place = len(self._items)
            self._items.append(item)
        else:
            self._items[to.place] = item
        self._last = to.place
        self._bytes += len(header) + len(payload)

    def _close_ranks(self) -> None:
        """Drop the places that were left."""
        self._items = [item for item in self._items if item is not _EMPTY]
        self._empty = 0
        for place, (to, *_) in enumerate(self._items):
            if to is not None:
                to.place = place

    def _taken(self) -> int:
        return self._written - self._transport.get_write_buffer_size()

    def _look(self, before: int) -> None:
        self._watch = None
        taken = self._taken()
        if taken - before < ALIVE_BYTES:
            self._stuck(
                f"it took {taken - before} bytes in {FULL_S:g} s, while {len(self._items)} messages of {self._bytes} "
                f"bytes wait"
            )
        else:
            self._watch = self._loop.call_later(FULL_S, self._look, taken)
