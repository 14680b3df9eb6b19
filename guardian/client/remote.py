"""One node over Channel Access: its channels, what they say now, and a write with the answer to it.

A node of ours says all in one PV, SUMMARY, so what is known of it is of one moment. One without it, an original
Guardian's, is read by its plain PVs.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from guardian.client.ca import Channel, Reading, Session
from guardian.client.names import Names
from guardian.client.writing import kind_of, text_of, write
from guardian.core.facts import PLAIN_ROWS, Facts, from_rows, from_summary
from guardian.errors import ExpectedError


class Remote:
    """One node.

    Parameters
    ----------
    rows : PVs that are going to be read or written, beside those that :meth:`facts` needs. The node may lack them.
    answer_s : seconds that connections and answers may take.
    """

    def __init__(self, session: Session, names: Names, node: str, rows: Sequence[str] = (), *, answer_s: float) -> None:
        self.node = node
        self.answer_s = answer_s
        self.session = session
        self._names = names
        self.channels: dict[str, Channel] = {}
        self.open("SUMMARY", "WHY", "STATE", *rows)
        self.news = False  # something was heard since the caller set this to False
        self._heard: dict[str, Reading] = {}

    def open(self, *rows: str) -> None:
        """Begin to look for more of its PVs."""
        for row in rows:
            if row not in self.channels:
                self.channels[row] = self.session.channel(self._names.pv(self.node, row))

    @property
    def there(self) -> bool:
        """Whether anybody answers for it."""
        return self.channels["STATE"].connected

    @property
    def ours(self) -> bool:
        return self.has("SUMMARY")

    @property
    def complete(self) -> bool:
        return all(channel.connected for channel in self.channels.values())

    def has(self, row: str) -> bool:
        return row in self.channels and self.channels[row].connected

    def text(self, row: str) -> str:
        """A row as text, "" if the node has none.

        Raises
        ------
        ExpectedError
            It is lost, or does not answer in time.
        """
        return text_of(self._read(row)) if self.has(row) else ""

    def facts(self) -> Facts:
        """What it says now.

        Raises
        ------
        ExpectedError
            It is lost, or does not answer in time, or its SUMMARY is none.
        """
        if not self.there:
            return Facts(node=self.node)
        return self._facts({row: self._read(row) for row in self._telling()})

    def _telling(self) -> tuple[str, ...]:
        """The rows that tell what is known of it."""
        return ("SUMMARY", "WHY") if self.ours else tuple(row for row in PLAIN_ROWS if self.has(row))

    def follow(self) -> None:
        """Keep what :meth:`heard` returns up to date, by monitors."""
        for row in self._telling():
            self._heard[row] = self._read(row)
            self.channels[row].monitor(kind_of(self.channels[row]), 0, partial(self._hear, row))

    def _hear(self, row: str, reading: Reading) -> None:
        """In a thread of libca."""
        self._heard[row] = reading
        self.news = True

    def heard(self) -> Facts:
        """What it said last. While it is not connected nobody knows."""
        return self._facts(dict(self._heard)) if self.there else Facts(node=self.node)

    def _facts(self, said: dict[str, Reading]) -> Facts:
        texts = {row: text_of(reading) for row, reading in said.items()}
        where = self.channels["STATE"].host
        if "SUMMARY" not in texts:
            return from_rows(self.node, where, texts)
        try:
            return from_summary(self.node, where, texts["SUMMARY"], texts.get("WHY", ""))
        except ValueError as error:
            raise ExpectedError(f"{self.node}: {error}; is it of another program?") from None

    def _read(self, row: str) -> Reading:
        channel = self.channels[row]
        return channel.get(kind_of(channel), timeout_s=self.answer_s)

    def write(self, row: str, text: str) -> str | None:
        """Write a text (or a label, or a number as text), and wait for the answer.

        A plain put: its refusal comes with the reason, and has arrived when the read behind it has.

        Returns
        -------
        str or None
            Why it was refused.

        Raises
        ------
        ExpectedError
            It is lost, or does not answer in time.
        """
        if row not in self.channels:
            self.open(row)
            self.session.connect([self.channels[row]], self.answer_s)
        return write(self.channels[row], text, node=self.node, answer_s=self.answer_s, patient=not self.ours)
