"""What a Node object makes of its peer: when it asks again, whose request stands, and what is old."""

from __future__ import annotations

from dataclasses import replace

import pytest

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


def test_a_request_of_another_for_the_same_state_is_a_fault_that_says_what_to_do() -> None:
    bond = asked()
    bond.see(STALLED, "TOP")
    other = replace(ON_ITS_WAY, cmd="", by="alice, alice@lab (127.0.0.1)")
    assert bond.faults(other, "TOP", 5.0) == [
        "SUS_1: REQUEST is ALIGNED by alice, alice@lab (127.0.0.1), and TOP has not asked since; have it ask again"
    ]


@pytest.mark.parametrize("gone", [{"op": "STOP"}, {"worker": "STOP"}, {"worker": "DEAD"}])
def test_what_a_peer_shows_that_has_no_worker_is_old_and_so_it_has_not_arrived(gone: dict[str, str]) -> None:
    bond = asked()
    there = replace(ON_ITS_WAY, state="ALIGNED", target="ALIGNED", status="DONE")
    assert bond.arrived(there) and bond.completed(there)
    assert not bond.arrived(replace(there, **gone)) and not bond.completed(replace(there, **gone))
