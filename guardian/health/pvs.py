"""PVs as heartbeats: a node, a host of nodes, or any IOC with devIocStats, watched over Channel Access.

``{prefix}HEARTBEAT`` is a counter that its owner moves once a second; it may as well be a time (a node's is). While it
is connected, a heartbeat is made of it each period; so a lost connection is silence, and a connected PV that stands is
a stall. Which process it is of is told by the PVs beside it, as far as they are there.
"""

from __future__ import annotations

import atexit
import json
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from guardian.access import wire
from guardian.access.bells import Bell
from guardian.access.channel import Channel
from guardian.access.libca import Library
from guardian.core.heartbeat import TEXT_LENGTH, Heartbeat, check_name, check_period
from guardian.enums import ProcessState
from guardian.errors import ExosError, EzcaError

#: PVs beside HEARTBEAT: of a node, of a host, and of devIocStats.
BESIDE = ("PROC_STATE", "PROC_PID", "PROCESS_ID", "STARTTOD", "HOSTNAME", "MEM_USED", "THREADS")
#: How long a PV beside HEARTBEAT is waited for once that is connected, and after which it is taken for missing.
SETTLE_S, MISSING_S = 1.0, 10.0


class PvWatch:
    """Makes heartbeats of PVs, in a thread of its own.

    Parameters
    ----------
    receive : is given them.
    """

    def __init__(self, receive: Callable[[Heartbeat], None]) -> None:
        self._receive = receive
        alone = "epics" not in sys.modules
        self._library = Library()
        if alone:
            _end_at_once()
        atexit.register(self.close)
        self._watched: dict[str, _Watched] = {}
        self._bell = Bell()
        self._ended = False
        self._thread = threading.Thread(target=self._work, name="guardian-hub-pvs", daemon=True)
        self._thread.start()

    def add(self, prefix: str, name: str | None, *, period_s: float, stall_s: float) -> str:
        """Watch these, see `Hub.watch`; returns the name under which it is told."""
        prefix = check_prefix(prefix)
        told = check_name(prefix.rstrip(":_-.") if name is None else name)
        watched = _Watched(
            self._library,
            prefix,
            told,
            period_s=check_period("period_s", period_s),
            stall_s=check_period("stall_s", stall_s),
        )
        before, self._watched[told] = self._watched.get(told), watched
        if before is not None:
            before.close()
        self._bell.ring()
        return told

    def remove(self, name: str) -> None:
        """Watch it no more."""
        watched = self._watched.pop(name, None)
        if watched is not None:
            watched.close()

    def close(self) -> None:
        """Watch nothing any more."""
        self._ended = True
        atexit.unregister(self.close)
        self._bell.ring()
        self._thread.join(2.0)
        for name in tuple(self._watched):
            self.remove(name)

    def _work(self) -> None:
        while not self._ended:
            now = time.monotonic()
            for watched in tuple(self._watched.values()):
                heartbeat = watched.look(now)
                if heartbeat is not None and not self._ended:
                    self._receive(heartbeat)
            self._bell.wait(min((one.due_at for one in tuple(self._watched.values())), default=now + 60) - now)


def _end_at_once() -> None:
    """Have the program end without the tidy end of libca, which waits half a minute for a server that is stopped.

    That is for programs that do not use pyepics themselves: its channels may call back until that end. Ours are closed.
    """
    from epics import ca

    atexit.unregister(ca.finalize_libca)


def check_prefix(prefix: str) -> str:
    """`prefix`, if there can be PVs whose names begin so; that of HEARTBEAT itself is taken, too.

    Raises
    ------
    ExosError
        There can be none.
    """
    prefix = prefix.removesuffix("HEARTBEAT")
    if not prefix or prefix[-1].isalnum():
        raise ExosError(f"a prefix ends with : or _ or the like, as X1:GRD-SUS_MC1_ does; {prefix!r:.100} does not")
    return prefix


class _Watched:
    """The PVs of one prefix."""

    def __init__(self, library: Library, prefix: str, name: str, *, period_s: float, stall_s: float) -> None:
        self._name = name
        self._period_s, self._stall_s = period_s, stall_s
        self.due_at = 0.0  #: monotonic seconds of the next look
        self._seq = 0
        self._up_since: float | None = None
        self._known: dict[str, str] = {}  # what was said last, also before a loss
        self._fresh: set[str] = set()  # what was said since the connection is there
        self._beat = Channel(library, f"{prefix}HEARTBEAT")
        self._beside = {row: Channel(library, f"{prefix}{row}") for row in BESIDE}
        try:
            for channel in self._channels:
                channel.open()
        except EzcaError as error:
            self.close()
            raise ExosError(f"{prefix}HEARTBEAT cannot be watched: {error}") from None

    @property
    def _channels(self) -> tuple[Channel, ...]:
        return (self._beat, *self._beside.values())

    def look(self, now: float) -> Heartbeat | None:
        """A heartbeat, if it is time for one and the PVs are there."""
        if now < self.due_at:
            return None
        self.due_at = now + self._period_s
        beat = self._beat.peek()
        if beat is None:
            self._up_since, self._fresh = None, set()
            if self._beat.circuit:  # it was there
                self._beat.search_again()
            return None
        if self._up_since is None:
            self._up_since = now
        self._read_beside(now - self._up_since)
        if now - self._up_since < SETTLE_S and not self._fresh >= self._beside.keys():
            self.due_at = now + min(self._period_s, 0.1)
            return None
        self._seq += 1
        known = self._known
        return Heartbeat(
            name=self._name,
            beat=wire.sample_text(beat),
            host=known.get("HOSTNAME", ""),
            pid=_whole(known.get("PROC_PID", "")) or _whole(known.get("PROCESS_ID", "")),
            run=known.get("STARTTOD", ""),
            state=_state(known.get("PROC_STATE", "")),
            mem_bytes=_whole(known.get("MEM_USED", "")),
            late=_late(known.get("THREADS", "")),
            sent=time.time(),
            seq=self._seq,
            period_s=self._period_s,
            stall_s=self._stall_s,
        )

    def _read_beside(self, up_s: float) -> None:
        for row, channel in tuple(self._beside.items()):
            sample = channel.peek()
            if sample is not None:
                text = wire.sample_text(sample)
                self._fresh.add(row)
                if row not in ("PROC_PID", "PROCESS_ID") or _whole(text):  # 0: there is none just now
                    self._known[row] = text if row == "THREADS" else text[:TEXT_LENGTH]
            elif channel.circuit:
                channel.search_again()
            elif up_s > MISSING_S:  # it is not searched for for ever
                channel.close()
                del self._beside[row]

    def close(self) -> None:
        for channel in self._channels:
            channel.close()


def _whole(text: str) -> int:
    try:
        return max(0, int(float(text[:40])))
    except (ValueError, OverflowError):
        return 0


def _state(text: str) -> ProcessState:
    """Of PROC_STATE, an enum; what has none is there, so it is READY."""
    return ProcessState(int(text)) if text in {str(int(state)) for state in ProcessState} else ProcessState.READY


def _late(text: str) -> tuple[str, ...]:
    """Of THREADS: the names of those that are late."""
    try:
        document: Any = json.loads(text or "{}")
        return tuple(check_name(one["name"]) for one in document.get("threads", ()) if one["state"] == "LATE")
    except (ValueError, TypeError, KeyError, AttributeError, ExosError):
        return ()
