"""R14: what ``notify(text)`` shows, and for how long.

A text stands from the moment it is given until a whole run() has passed without it, and for at least a second. What is
sent is always the whole list, so nothing has to be remembered at the other end. A flood of ever new texts is slowed
down to a few lists a second and cut to the newest ones; it costs nobody else anything.
"""

from __future__ import annotations

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
        self._shown: dict[str, float] = {}
        self._given: set[str] = set()
        self._sent: tuple[str, ...] = ()
        self._sent_at = float("-inf")

    def give(self, text: str) -> None:
        """User code has called notify(text)."""
        text = text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 3] + "..."
        self._given.add(text)
        if text not in self._shown:
            self._shown[text] = self._clock()
            while len(self._shown) > MAX_TEXTS:
                oldest = next(iter(self._shown))
                del self._shown[oldest]
                self._given.discard(oldest)
            if self._clock() - self._sent_at >= MIN_SEND_S:
                self._tell()

    def called(self, *, whole_run: bool) -> None:
        """A call is over; ``whole_run``: it was run() and it came to its end, so what it did not say may go."""
        if whole_run:
            now = self._clock()
            for text, since in list(self._shown.items()):
                if text not in self._given and now - since >= MIN_SHOWN_S:
                    del self._shown[text]
            self._given.clear()
        self._tell()

    def _tell(self) -> None:
        texts = tuple(self._shown)
        if texts != self._sent:
            self._sent = texts
            self._sent_at = self._clock()
            self._send(texts)
