"""When a manager asks again for what it has asked before: revive and set_request are called in every cycle."""

from __future__ import annotations

from dataclasses import replace

from guardian.core.peer import AGAIN_S, Bond, Peer

STALLED = Peer(request="ALIGNED", cmd="TOP#1", state="TRIPPED", target="TRIPPED", status="RUN", stalled=True)
ON_ITS_WAY = replace(STALLED, target="SAFE", stalled=False)


def asked(now: float = 0.0) -> Bond:
    bond = Bond(node="SUS_1")
    bond.asked("ALIGNED", "TOP#1", now)
    return bond


def test_a_peer_that_stays_stalled_when_it_is_asked_is_not_asked_in_every_cycle() -> None:
    bond = asked()
    bond.see(STALLED, "TOP")
    for anyway in (False, True):
        assert not bond.needs_writing("ALIGNED", STALLED, AGAIN_S / 2, anyway=anyway)
        assert bond.needs_writing("ALIGNED", STALLED, AGAIN_S, anyway=anyway)
        assert bond.needs_writing("SAFE", STALLED, 0.0, anyway=anyway), "another state is asked for at once"


def test_a_peer_that_has_moved_and_stalled_again_is_revived_at_once() -> None:
    bond = asked()
    bond.see(STALLED, "TOP")
    bond.see(ON_ITS_WAY, "TOP")
    bond.see(STALLED, "TOP")
    assert bond.needs_writing("ALIGNED", STALLED, AGAIN_S / 100)


def test_a_peer_that_is_not_stalled_is_asked_again_if_that_is_what_is_wanted() -> None:
    bond = asked()
    bond.see(ON_ITS_WAY, "TOP")
    assert bond.needs_writing("ALIGNED", ON_ITS_WAY, 0.1, anyway=True)
    assert not bond.needs_writing("ALIGNED", ON_ITS_WAY, 0.1)
