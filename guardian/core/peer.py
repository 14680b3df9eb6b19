"""What one node knows of another that it manages or watches, and what it has asked of it. Pure.

A :class:`Peer` is one consistent moment of the other node, as its SUMMARY tells it. An original Guardian has no
SUMMARY; its moment is put together from plain PVs (``plain``), and is as consistent as those are.

A :class:`Bond` is what one Node object has asked: the REQUEST and the id it went out with, and whether the node was
taken. Nothing in a bond is believed by itself. A request *holds* while the peer shows the very id, so "A, then B, then
A again" are three requests, and what the peer did for the first counts for none of the others. So nothing depends on
having seen every step of a peer either: what was missed between two moments changes the later one, or did not matter.

A peer without SUMMARY shows no ids. There a request holds while REQUEST is what this object wrote, as far as anybody
can tell, and one that was only remembered (by the host, over a restart) does not hold at all: it is asked again.

Between a write and its echo the written value is the truth (section 7 of the design); no echo in time is a fault.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

from guardian.enums import LEAVING, NONE_STATE, ErrorKind, Mode, Op, Status, Worker

#: A peer that shows nothing of a write for so long has not heard it.
ECHO_S = 2.0
#: A peer that was asked, and stays stalled all the same (no path leads there, it is stopped), is asked again after so
#: long: managers revive in every cycle.
AGAIN_S = 1.0
#: After so many writes of the same in a row, less than two seconds apart each, there is one a second: two managers that
#: fight for a node overrule each other as fast as the network is, and would fill the disk with the story of it.
FIGHT = 5
_LEAVING = frozenset(status.name for status in LEAVING)
_NO_WORKER = frozenset({Worker.DEAD.name, Worker.STOP.name})
#: What such a peer shows as STATE and STATUS is what was, or nothing yet.
_NO_CODE = _NO_WORKER | {Worker.INIT.name}
_NEVER = float("-inf")
#: No text that another node tells is longer, so that a manager's own reports stay short. Of its lost channels, so many.
TEXT_LENGTH = 300
MOST_CHANNELS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One moment of another node. Names of enums are texts, since an other version may have more of them.

    Parameters
    ----------
    plain : it has no SUMMARY: what it was asked cannot be told from what others asked.
    cmd : id of the REQUEST_CMD that made its present request. by : who made it.
    states : how many states it has; 0: its code is not loaded yet, and every request would be refused.
    since : epoch seconds at which it entered its state. load : how its last LOAD ended.
    says : what it has to say to its operator.
    severity : the worst that is wrong with it, "" if it does not say. why : why it is not OK, in its own words.
    """

    plain: bool = False
    id: int = 0
    request: str = NONE_STATE
    request_id: int = 0
    by: str = ""
    cmd: str = ""
    state: str = ""
    since: float = 0.0
    target: str = ""
    status: str = ""
    stalled: bool = False
    op: str = Op.EXEC.name
    mode: str = Mode.AUTO.name
    manager: str = ""
    worker: str = Worker.RUN.name
    load: str = ""
    states: int = 1
    nominal: str = ""
    error: str = ErrorKind.NONE.name
    connect: tuple[str, ...] = ()
    notification: bool = False
    says: str = ""
    ok: bool = False
    severity: str = ""
    why: str = ""


_KINDS: dict[str, Any] = {name: type(value) for name, value in ((n, getattr(Peer(), n)) for n in Peer.__slots__)}


def of_summary(text: str) -> Peer | None:
    """The moment that a SUMMARY tells; None if it is none. Keys that are missing or odd have their default."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict) or not isinstance(told.get("state"), str):
        return None
    known = {name: _short(told[name]) for name, kind in _KINDS.items() if type(told.get(name)) is kind}
    lost = told.get("connect")
    names = lost[:MOST_CHANNELS] if isinstance(lost, list) else []
    connect = tuple(_short(name) for name in names if isinstance(name, str))
    return Peer(**{**known, "plain": False, "connect": connect})


def _short(value: Any) -> Any:
    return value[:TEXT_LENGTH] if isinstance(value, str) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class BondFacts:
    """A bond as it is stored, and handed to the next worker. ``key``: the peer, and which Node object of it."""

    key: str
    state: str = ""
    cmd: str = ""
    managed: bool = False


@dataclass(slots=True)
class Pace:
    """How often the same was written in a row, and when last."""

    repeats: int = 0
    last: float = _NEVER

    def wrote(self, now: float, *, same: bool = True) -> None:
        self.repeats = self.repeats + 1 if same and now - self.last < 2 * AGAIN_S else 0
        self.last = now

    def pause_s(self, now: float) -> float:
        """How long to wait before it is written once more."""
        return max(0.0, self.last + AGAIN_S - now) if self.repeats >= FIGHT else 0.0


@dataclass(slots=True)
class Bond:
    """What one Node object has asked of its peer. Times are monotonic seconds.

    Parameters
    ----------
    state, cmd : the last request and its id; "" for none. asked_at : when it was written, None once it was echoed.
    plainly : it was written to a peer that shows no ids, by this very object.
    refused : the peer's server said no to it.
    unmoved_since : when it was written, as long as the peer was not seen to move for it.
    requests, takings : of the writes of REQUEST, and of MANAGER and MODE.
    managed : the peer is to be ours, until it is released. took_at : when that was written, None once it was echoed.
    """

    node: str
    state: str = ""
    cmd: str = ""
    asked_at: float | None = None
    plainly: bool = False
    refused: bool = False
    unmoved_since: float = _NEVER
    managed: bool = False
    took_at: float | None = None
    requests: Pace = field(default_factory=Pace)
    takings: Pace = field(default_factory=Pace)

    def facts(self, key: str) -> BondFacts:
        return BondFacts(key=key, state=self.state, cmd=self.cmd, managed=self.managed)

    def asked(self, state: str, cmd: str, now: float) -> None:
        """A request is about to be written. No `cmd`: to a peer that shows no ids."""
        self.requests.wrote(now, same=state == self.state)
        self.state, self.cmd, self.asked_at, self.refused = state, cmd, now, False
        self.plainly, self.unmoved_since = not cmd, now

    def unheard(self) -> None:
        """What was written was lost on the way, as far as is known: nobody waits for its echo."""
        if self.asked_at is not None:
            self.asked_at, self.plainly = _NEVER, False

    def taking(self) -> None:
        """MANAGER and MODE are about to be written."""
        self.managed, self.took_at = True, None

    def took(self, now: float) -> None:
        """They were written."""
        self.managed, self.took_at = True, now
        self.takings.wrote(now)

    def released(self) -> None:
        self.managed, self.took_at, self.takings = False, None, Pace()

    def see(self, peer: Peer, me: str) -> None:
        """Note the echoes in this moment of the peer."""
        if self.holds(peer):
            self.asked_at = None
            if not peer.stalled:
                self.unmoved_since = _NEVER
        if self.took_at is not None and manages(me, peer):
            self.took_at = None

    def holds(self, peer: Peer) -> bool:
        """Whether the last request of this object is still the peer's present one.

        One that was restored holds with a peer that shows its id, and with no other (R21).
        """
        if not self.state or peer.request != self.state:
            return False
        return self.plainly if peer.plain else bool(self.cmd) and peer.cmd == self.cmd

    def waits(self, now: float) -> bool:
        """Whether the last request is under way: written, and neither echoed nor given up."""
        return self.asked_at is not None and not self.refused and now - self.asked_at < ECHO_S

    def is_silent(self) -> bool:
        """Whether the peer has not answered to the last request yet; who hangs is not waited for twice."""
        return self.asked_at is not None and self.asked_at != _NEVER and not self.refused

    def needs_writing(self, state: str, peer: Peer, now: float, *, anyway: bool = False) -> bool:
        """Whether asking for `state` is more than saying again what stands (managers say it every cycle).

        ``anyway``: it is said again, but not over and over to a peer that does not move for it.
        """
        if state != self.state:
            return True
        if self.asked_at is not None:
            return anyway or not self.waits(now)
        if not self.holds(peer):
            return True
        return now - self.unmoved_since >= AGAIN_S if peer.stalled else anyway

    def arrived(self, peer: Peer) -> bool:
        """The peer is where this object asked it to be, its code lives there, and is not leaving."""
        there = peer.state == self.state and peer.status not in _LEAVING
        return there and peer.op != Op.STOP.name and peer.worker not in _NO_CODE and self.holds(peer)

    def completed(self, peer: Peer) -> bool:
        return self.arrived(peer) and peer.status == Status.DONE.name

    def written(self, peer: Peer, me: str, now: float) -> Peer:
        """The peer with what was written and is not echoed yet."""
        if self.asked_at is not None and self.waits(now):
            peer = replace(peer, request=self.state)
        if self.took_at is not None and now - self.took_at < ECHO_S:
            peer = replace(peer, mode=Mode.MANAGED.name, manager=me)
        return peer

    def faults(self, peer: Peer | None, me: str, now: float) -> list[str]:
        """What is wrong between this object and its peer, a sentence each."""
        if peer is None:
            return [f"{self.node}: not connected; is its host running?"]
        return [
            f"{self.node}: {fault}" for fault in (*_life(peer), *self._request(peer, now), *self._rule(peer, me, now))
        ]

    def _request(self, peer: Peer, now: float) -> list[str]:
        if not self.state or self.waits(now):
            return []
        if self.refused:
            return [f"refused REQUEST={self.state}; its GRDMSG says why"]
        if self.asked_at is not None:
            if self.asked_at == _NEVER:
                return [f"REQUEST={self.state} did not get through"]
            return [f"no answer to REQUEST={self.state} for {ECHO_S:g} s; is its host hanging?"]
        if self.holds(peer) or (peer.plain and peer.request == self.state):
            return []
        if peer.request == self.state:
            return [f"REQUEST={self.state} was asked for again by {peer.by or 'somebody else'}"]
        by = f" by {peer.by}" if peer.by else ""
        return [f"REQUEST is {peer.request}{by}, {self.state} was asked for"]

    def _rule(self, peer: Peer, me: str, now: float) -> list[str]:
        if not self.managed or manages(me, peer) or (self.took_at is not None and now - self.took_at < ECHO_S):
            return []
        if peer.mode == Mode.MANAGED.name:
            return [f"MANAGER is {peer.manager or 'empty'}, not {me} any more"]
        return [f"MODE is {peer.mode}, not MANAGED any more"]


def of_facts(node: str, facts: BondFacts) -> Bond:
    """The bond that was stored."""
    return Bond(node=node, state=facts.state, cmd=facts.cmd, managed=facts.managed)


def manages(me: str, peer: Peer) -> bool:
    """Whether `me` is the manager of the peer."""
    return peer.mode == Mode.MANAGED.name and peer.manager == me


def _life(peer: Peer) -> list[str]:
    """What is wrong with the peer itself."""
    if peer.op != Op.EXEC.name:
        return [f"OP is {peer.op}, not EXEC"]
    if peer.worker in _NO_WORKER:
        return ["its worker is dead" if peer.worker == Worker.DEAD.name else "it has no worker"]
    if peer.error == ErrorKind.CONNECT.name:
        return [f"waits for {', '.join(peer.connect) or 'a channel'}"]
    if peer.error != ErrorKind.NONE.name:
        return [f"ERROR in {peer.state}"]
    return []
