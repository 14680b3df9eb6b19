"""R14: what ``notify(text)`` shows, and for how long.

A text stands from the moment it is given until a whole run() has passed without it, and for at least a second after it
was given last: one that comes in every other run() does not flicker. What is sent is always the whole list, so nothing
has to be remembered at the other end. A flood of ever new texts is slowed down to a few lists a second and cut to the
newest ones; it costs nobody else anything.

Beside these stand texts of our own (the set-point monitor's), for as long as they are said to.

User threads may give texts too. The lock is safe because nothing interrupts the main thread while it is held: the loop
calls between two methods, and user code through a shield. It can be taken twice: a signal handler or ``__del__`` of
user code may call ``notify`` in the middle of anything.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

MIN_SHOWN_S = 1.0
MIN_SEND_S = 0.05
MAX_TEXTS = 20
MAX_TEXT = 400


class Notices:
    """The notifications of a node. ``send`` gets the texts that stand now."""

    def __init__(self, send: Callable[[tuple[str, ...]], None], clock: Callable[[], float]) -> None:
        self._send = send
        self._clock = clock
        self._lock = threading.RLock()
        self._shown: dict[str, float] = {}  # when each was given last
        self._given: set[str] = set()  # during the present call
        self._standing: tuple[str, ...] = ()
        self._sent: tuple[str, ...] = ()
        self._sent_at = float("-inf")

    def give(self, text: str) -> None:
        """User code has called notify(text)."""
        text = text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 3] + "..."
        with self._lock:
            now = self._clock()
            is_new = text not in self._shown
            self._given.add(text)
            self._shown[text] = now
            while len(self._shown) > MAX_TEXTS:
                oldest = next(iter(self._shown))
                del self._shown[oldest]
                self._given.discard(oldest)
            if is_new and now - self._sent_at >= MIN_SEND_S:
                self._tell(now)

    def stand(self, texts: tuple[str, ...]) -> None:
        """These texts of our own stand from now on, instead of those before; they come behind those of user code."""
        with self._lock:
            self._standing = texts
            self._tell(self._clock())

    def calling(self) -> None:
        """A method is about to be called."""
        with self._lock:
            self._given.clear()

    def called(self, *, whole_run: bool) -> None:
        """The call is over; ``whole_run``: it was run() and it came to its end, so what it did not say may go."""
        with self._lock:
            now = self._clock()
            if whole_run:
                for text, given_at in list(self._shown.items()):
                    if text not in self._given and now - given_at >= MIN_SHOWN_S:
                        del self._shown[text]
            self._tell(now)

    def _tell(self, now: float) -> None:
        texts = (*self._shown, *self._standing)
        if texts != self._sent:
            self._sent, self._sent_at = texts, now
            self._send(texts)
