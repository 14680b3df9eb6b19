"""`arrived` and `completed` are never true on stale values (section 7 of the design), in 10,000 random rounds.

A real automaton is the peer. Two Node objects of one manager ask it for states, A, B and A again in quick succession;
so do people and another manager. Their writes are under way for a while, and some are lost. The SUMMARYs come late, and
of several only the latest. The peer trips, stalls, pauses, dies and restarts, with and without its memory; the manager
restarts, and knows what was stored.

The oracle sees what no manager can: whose request was the last that the peer took, at each of its moments. It never
looks at an id. Whoever claims to have arrived must claim it of a moment at which his own last request was the last
that the peer took, and the peer was there.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from dataclasses import dataclass
from random import Random

import pytest

from guardian.core.documents import summary
from guardian.core.events import Requested
from guardian.core.peer import Bond, Peer, of_facts, of_summary
from guardian.core.view import View
from guardian.enums import LEAVING, Mode, Op, Status, Worker
from tests.core.driver import Node, suspension

ROUNDS, BATCH = 10_000, 1_000
STATES = ("SAFE", "DAMPED", "ALIGNED")
ME = "TOP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One moment of the peer, and which of all asks was the last that it took. 0: none."""

    view: View
    ask: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    ask: int
    state: str
    cmd: str


class Asker:
    """One Node object."""

    def __init__(self) -> None:
        self.bond = Bond(node="SUS_MC1")
        self.ask = 0  #: the last one


class World:
    """The peer, those who ask it, and the slow lines between."""

    def __init__(self, seed: int) -> None:
        self.dice = Random(seed)
        self.mono = 0.0
        self.asks = 0
        self.taken = 0
        self.moments: list[Moment] = []
        self.seen = -1  #: the last moment that has come to the manager; -1: it is not connected
        self.writes: deque[Write] = deque()
        self.askers = [Asker(), Asker()]
        self.claims: Counter[str] = Counter()
        self.peer = suspension()
        self.note()

    def note(self) -> None:
        """What the peer has shown since the last time."""
        self.moments += [Moment(view=step.view, ask=self.taken) for step in self.peer.steps]
        self.peer.steps.clear()

    # --- what happens to the peer

    def takes(self, ask: int, state: str, cmd: str, by: str) -> None:
        self.note()
        self.taken = ask
        self.peer.feed(Requested(state=state, by=by, cmd=cmd))
        self.note()

    def goes_on(self) -> None:
        """Its code does something, or its host."""
        peer = self.peer
        if peer.worker is None or not (peer.running or peer.worker.may_call):
            peer.advance(self.dice.choice((0.1, 4.0)))
        else:
            peer.returns(self.dice.choices((True, False, "TRIPPED"), (16, 4, 1))[0])
        self.note()

    def trouble(self) -> None:
        """Somebody or something else."""
        peer, dice = self.peer, self.dice
        match dice.randrange(8):
            case 0:
                peer.op(dice.choice((Op.STOP, Op.PAUSE)))
            case 1 | 2:
                peer.op(Op.EXEC)
            case 3:
                peer.mode(dice.choice((Mode.AUTO, Mode.MANAGED, Mode.MANAGED, Mode.MANUAL)))
            case 4 if peer.worker is not None:
                peer.dies()
            case 5 if peer.view.op is Op.EXEC:
                peer.reenter()
            case 6:
                self.restart_peer()
            case _:
                self.seen = -1
        self.note()

    def restart_peer(self) -> None:
        """Its host restarts: with what it has stored, or after a long time and without (R21)."""
        start = self.peer.engine.start if self.dice.random() < 0.7 else None
        if start is None:
            self.taken = 0
        self.peer = suspension(start=start)
        self.seen = -1
        for write in tuple(self.writes):
            if self.dice.random() < 0.5:
                self.writes.remove(write)

    # --- what comes and goes

    def write_arrives(self) -> None:
        if self.writes:
            write = self.writes.popleft()
            self.takes(write.ask, write.state, write.cmd, f"manager {ME} at ops@l1")

    def summary_arrives(self) -> None:
        """The next one, or a later one: the latest of several."""
        self.seen = self.dice.randint(max(self.seen, len(self.moments) - 12, 0), len(self.moments) - 1)

    def other_asks(self) -> None:
        self.asks += 1
        cmd = self.dice.choice(("", f"IMC#{self.asks}"))
        self.takes(self.asks, self.dice.choice((*STATES, self.peer.view.request)), cmd, "IMC" if cmd else "anna")

    # --- the manager

    def shown(self) -> Peer | None:
        if self.seen < 0:
            return None
        return of_summary(json.dumps(summary(self.moments[self.seen].view)))

    def ask(self, asker: Asker, state: str, *, anyway: bool = False) -> None:
        """As Node.set_request and Node.revive do."""
        peer = self.shown()
        if peer is None:
            return
        asker.bond.see(peer, ME)
        if anyway or asker.bond.needs_writing(state, peer, self.mono):
            self.asks += 1
            asker.ask = self.asks
            asker.bond.asked(state, f"{ME}#{self.asks}", self.mono)
            fate = self.dice.random()
            if fate < 0.95:
                self.writes.append(Write(ask=self.asks, state=state, cmd=asker.bond.cmd))
            if fate > 0.9:
                asker.bond.unheard()

    def restart_manager(self) -> None:
        for asker in self.askers:
            asker.bond = of_facts("SUS_MC1", asker.bond.facts("SUS_MC1"))
        self.seen = -1

    def look(self, asker: Asker) -> None:
        """What it claims now must be true of the moment it has seen."""
        peer, bond = self.shown(), asker.bond
        if peer is None:
            return
        bond.see(peer, ME)
        moment = self.moments[self.seen]
        view = moment.view
        if bond.arrived(peer):
            self.claims["arrived"] += 1
            assert moment.ask == asker.ask != 0, f"arrived by ask {moment.ask}, not by its last, {asker.ask}: {view}"
            assert view.state == view.request == bond.state and view.known and view.status not in LEAVING, view
            assert view.worker in (Worker.RUN, Worker.PAUSE), view
        if bond.completed(peer):
            self.claims["completed"] += 1
            assert bond.arrived(peer) and view.status is Status.DONE, view

    # --- a round

    def round(self) -> None:
        dice = self.dice
        asker = dice.choice(self.askers)
        a, b = dice.sample(STATES, 2)
        for state in dice.choice(((a,), (a, b), (a, b, a), (a, b, a), (a, a))):
            self.ask(asker, state, anyway=dice.random() < 0.1)
            self.look(asker)
            self.happens(dice.randint(0, 4))
        if dice.random() < 0.02:
            self.restart_manager()
        self.happens(dice.randint(2, 12))

    def happens(self, times: int) -> None:
        what = (self.goes_on, self.write_arrives, self.summary_arrives, self.other_asks, self.trouble)
        for action in self.dice.choices(what, (8, 6, 6, 0.6, 0.5), k=times):
            self.mono += self.dice.choice((0.001, 0.05, 1.0))
            action()
            for asker in self.askers:
                self.look(asker)

    def settle(self) -> None:
        """All lines deliver and every state completes: whoever asked last has then arrived, and nobody else."""
        while self.writes:
            self.write_arrives()
        self.peer.op(Op.EXEC)
        self.peer.mode(Mode.AUTO)
        last = self.askers[0]
        self.note()
        self.seen = len(self.moments) - 1
        self.ask(last, self.dice.choice(STATES), anyway=True)
        last.bond.asked(last.bond.state, last.bond.cmd, self.mono)
        self.writes.clear()
        self.takes(last.ask, last.bond.state, last.bond.cmd, ME)
        for _ in range(30):
            self._completes(self.peer)
        self.note()
        self.seen = len(self.moments) - 1
        peer = self.shown()
        assert peer is not None
        assert [asker.bond.completed(peer) for asker in self.askers] == [True, False], (peer, last.bond)

    @staticmethod
    def _completes(peer: Node) -> None:
        if peer.worker is None or not (peer.running or peer.worker.may_call):
            peer.advance(5.0)
        else:
            peer.returns(True)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(ROUNDS // BATCH))
def test_arrived_and_completed_are_never_true_on_stale_values(seed: int) -> None:
    world = World(seed)
    for number in range(BATCH):
        world.round()
        if number % 50 == 49:
            world.settle()
    assert world.claims["arrived"] > BATCH and world.claims["completed"] > BATCH / 5, world.claims
