"""An original Guardian, which has no SUMMARY: its moment put together from its plain PVs.

These come one by one, so a moment may mix two steps of the node. What it cannot do is to be older than an own write:
after one, every PV is asked anew, and monitors that were under way before the answer are not believed
(:mod:`guardian.access.channel`). What is not answered in time is not known until it is.

PVs that are missing, but for STATE and REQUEST, count as what is usual. WORKER is not read: an original Guardian has
one, but numbers it in a way of its own.
"""

from __future__ import annotations

from collections.abc import Callable

from guardian.access import wire
from guardian.access.channel import Channel
from guardian.core.peer import Peer
from guardian.enums import NONE_STATE, ErrorKind, Mode, Op, Status

#: Of a number that is only asked whether it is 0.
_DIGITS = 40
#: What must be there for a node to be one.
NEEDED = ("STATE", "REQUEST")
#: What tells more of it. The twins with _S are read first: in some versions the PV itself shows an index.
MORE = (
    "STATE_S",
    "REQUEST_S",
    "TARGET_S",
    "TARGET",
    "STATUS",
    "STALLED",
    "OP",
    "MODE",
    "MANAGER",
    "ERROR",
    "NOTIFICATION",
    "OK",
)


class Plain:
    """The plain PVs of one node. Parameters as those of :class:`guardian.access.subordinate.Subordinate`."""

    def __init__(self, open_channel: Callable[[str, Callable[[], None]], Channel], news: Callable[[], None]) -> None:
        self.channels = {row: open_channel(row, news) for row in (*NEEDED, *MORE)}
        self.known = False  #: it was there once

    def peer(self) -> Peer | None:
        """The present moment; None while what is needed of it is not there. Touches no network."""
        state, request = self._text("STATE"), self._text("REQUEST")
        if state is None or request is None:
            return None
        self.known = True
        target = self._text("TARGET")
        rests = target is not None and state == target != request != NONE_STATE
        return Peer(
            plain=True,
            state=state,
            request=request,
            target=target or state,
            status=self._label("STATUS", Status, ""),
            stalled=bool(self._number("STALLED", rests)),
            op=self._label("OP", Op, Op.EXEC.name),
            mode=self._label("MODE", Mode, Mode.AUTO.name),
            manager=self._text("MANAGER") or "",
            error=self._label("ERROR", ErrorKind, ErrorKind.NONE.name),
            notification=bool(self._number("NOTIFICATION", 0)),
            ok=bool(self._number("OK", 0)),
        )

    @property
    def circuit(self) -> int:
        """Number of the circuit over which it is there; 0: it is not."""
        state = self.channels["STATE"]
        return state.circuit if state.connected else 0

    def refresh(self, deadline: float) -> None:
        """Ask for every value anew. One that does not come in time is unknown until it does."""
        for channel in self.channels.values():
            channel.distrust()
        self.inquire()
        for channel in self.channels.values():
            channel.wait_for_news(lambda asked=channel: not asked.asks(), deadline)  # type: ignore[misc]

    def inquire(self) -> None:
        """Ask, without waiting, for what is not known since a write."""
        for channel in self.channels.values():
            channel.inquire()

    def search_again(self, longest_s: float) -> None:
        for channel in self.channels.values():
            channel.search_again(longest_s)

    def _text(self, row: str) -> str | None:
        twin = self.channels.get(f"{row}_S")
        sample = (twin if twin is not None and twin.connected else self.channels[row]).peek()
        return None if sample is None else wire.sample_text(sample)

    def _number(self, row: str, default: int) -> int:
        sample = self.channels[row].peek()
        if sample is None:
            return default
        text = wire.sample_text(sample)
        return int(float(text[:_DIGITS])) if text.replace(".", "", 1).isdecimal() else int(text not in ("", "False"))

    def _label(self, row: str, enum: type[Op | Mode | Status | ErrorKind], default: str) -> str:
        """The name of an enum; original and successor number them alike."""
        sample = self.channels[row].peek()
        if sample is None:
            return default
        text = wire.sample_text(sample)
        numbers = {str(int(member)): member.name for member in enum}
        return numbers.get(text.removesuffix(".0"), text)
