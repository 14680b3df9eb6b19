"""What is known of another node, and what was asked of it (section 7 of the design): faults, echoes, odd SUMMARYs."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from guardian.core.documents import summary
from guardian.core.peer import ECHO_S, Bond, BondFacts, Peer, manages, of_facts, of_summary
from guardian.enums import Mode, Op
from tests.core.driver import aligned, suspension

ME = "TOP"
#: A peer of ours that has taken TOP#1 and is there; one without SUMMARY.
THERE = Peer(
    request="ALIGNED", cmd="TOP#1", by="manager TOP at ops@l1", state="ALIGNED", target="ALIGNED", status="DONE"
)
PLAIN = replace(THERE, plain=True, cmd="", by="")


def asked(state: str = "ALIGNED", cmd: str = "TOP#1", at: float = 0.0, **more: Any) -> Bond:
    bond = Bond(node="SUS_MC1", **more)
    bond.asked(state, cmd, at)
    return bond


def settled(peer: Peer = THERE, **how: Any) -> Bond:
    """It asked, and `peer` has echoed it."""
    bond = asked(**how)
    bond.see(peer, ME)
    assert bond.asked_at is None
    return bond


def faults(bond: Bond, peer: Peer | None, now: float = 10.0) -> list[str]:
    return [fault.removeprefix("SUS_MC1: ") for fault in bond.faults(peer, ME, now)]


# --- each fault by its sentence ---------------------------------------------------------------------------------------


def test_nothing_is_wrong_with_a_peer_that_is_there_and_was_asked_nothing() -> None:
    assert faults(Bond(node="SUS_MC1"), THERE) == [] == faults(settled(), THERE)


def test_every_fault_names_the_node() -> None:
    assert Bond(node="SUS_MC1").faults(None, ME, 0.0) == ["SUS_MC1: not connected; is its host running?"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"op": "PAUSE"}, "OP is PAUSE, not EXEC"),
        ({"op": "STOP", "worker": "STOP"}, "OP is STOP, not EXEC"),
        ({"worker": "DEAD"}, "its worker is dead"),
        ({"worker": "STOP"}, "it has no worker"),
        ({"error": "ERROR"}, "ERROR in ALIGNED"),
        ({"error": "CONNECT", "connect": ("X1:A", "X1:B")}, "waits for X1:A, X1:B"),
        ({"error": "CONNECT"}, "waits for a channel"),
        ({"request": "SAFE", "cmd": "", "by": "anna@l1"}, "REQUEST is SAFE by anna@l1, ALIGNED was asked for"),
        ({"request": "SAFE", "cmd": "", "by": ""}, "REQUEST is SAFE, ALIGNED was asked for"),
        ({"cmd": "", "by": "anna@l1"}, "REQUEST=ALIGNED was asked for again by anna@l1"),
        ({"cmd": "IMC#7", "by": ""}, "REQUEST=ALIGNED was asked for again by somebody else"),
    ],
)
def test_what_is_wrong_with_a_peer_is_said(changes: dict[str, Any], sentence: str) -> None:
    assert faults(settled(), replace(THERE, **changes)) == [sentence]


@pytest.mark.parametrize(
    ("mode", "manager", "sentence"),
    [
        ("AUTO", "", "MODE is AUTO, not MANAGED any more"),
        ("MANUAL", ME, "MODE is MANUAL, not MANAGED any more"),
        ("MANAGED", "IMC", "MANAGER is IMC, not TOP any more"),
        ("MANAGED", "", "MANAGER is empty, not TOP any more"),
    ],
)
def test_a_peer_that_was_taken_and_is_ours_no_more_is_a_fault(mode: str, manager: str, sentence: str) -> None:
    bond, ours = Bond(node="SUS_MC1"), replace(THERE, mode="MANAGED", manager=ME)
    bond.took(0.0)
    bond.see(ours, ME)
    assert faults(bond, ours) == []
    assert faults(bond, replace(THERE, mode=mode, manager=manager)) == [sentence]
    bond.released()
    assert faults(bond, replace(THERE, mode=mode, manager=manager)) == []


def test_several_faults_are_all_told() -> None:
    bond = settled()
    bond.took(0.0)
    assert len(faults(bond, replace(THERE, error="ERROR", request="SAFE", cmd=""))) == 3


def test_a_refused_request_is_told_at_once_and_its_echo_is_not_waited_for() -> None:
    bond = asked(at=9.9)
    bond.refused = True
    assert faults(bond, replace(THERE, cmd="")) == ["refused REQUEST=ALIGNED; its GRDMSG says why"]
    assert not bond.waits(9.9)


def test_a_notification_of_the_peer_is_no_fault() -> None:
    assert faults(settled(), replace(THERE, notification=True)) == []


# --- between a write and its echo -------------------------------------------------------------------------------------

BEFORE = replace(THERE, request="SAFE", cmd="TOP#0", state="SAFE", target="SAFE")


def test_what_was_written_is_the_truth_until_it_is_echoed() -> None:
    bond = asked(at=10.0)
    bond.took(10.0)
    bond.see(BEFORE, ME)
    shown = bond.written(BEFORE, ME, 10.5)
    assert (shown.request, shown.mode, shown.manager) == ("ALIGNED", "MANAGED", ME)
    assert (shown.state, shown.cmd) == ("SAFE", "TOP#0"), "what the peer does is never made up"
    assert faults(bond, BEFORE, 10.0 + ECHO_S - 0.01) == []
    assert not bond.arrived(BEFORE)


def test_no_echo_in_time_is_a_fault_and_what_the_peer_shows_is_the_truth_again() -> None:
    bond = asked(at=10.0)
    bond.took(10.0)
    assert bond.written(BEFORE, ME, 10.0 + ECHO_S) == BEFORE
    assert faults(bond, BEFORE, 10.0 + ECHO_S) == [
        "no answer to REQUEST=ALIGNED for 2 s; is its host hanging?",
        "MODE is AUTO, not MANAGED any more",
    ]
    bond.see(replace(THERE, mode="MANAGED", manager=ME), ME)
    assert faults(bond, replace(THERE, mode="MANAGED", manager=ME), 13.0) == [], "a late echo is one"


def test_what_did_not_get_through_is_not_waited_for_and_holds_if_it_did_after_all() -> None:
    bond = asked(at=10.0)
    bond.unheard()
    assert faults(bond, BEFORE, 10.0) == ["REQUEST=ALIGNED did not get through"]
    assert bond.needs_writing("ALIGNED", BEFORE, 10.0), "R13: the method is called again, and this write is the one"
    assert bond.written(BEFORE, ME, 10.0) == BEFORE
    bond.see(THERE, ME)
    assert not bond.needs_writing("ALIGNED", THERE, 10.0) and bond.arrived(THERE)


def test_what_did_not_get_through_to_a_plain_peer_is_asked_again_though_its_REQUEST_is_the_same() -> None:
    bond = asked(cmd="")
    bond.unheard()
    bond.see(PLAIN, ME)
    assert not bond.arrived(PLAIN) and bond.needs_writing("ALIGNED", PLAIN, 0.1), "it may be that of somebody else"


def test_nothing_is_unheard_that_was_echoed() -> None:
    bond = settled()
    bond.unheard()
    assert faults(bond, THERE) == []


# --- whether to write -------------------------------------------------------------------------------------------------


def test_asking_every_cycle_for_what_stands_writes_once() -> None:
    bond = Bond(node="SUS_MC1")
    assert bond.needs_writing("ALIGNED", BEFORE, 0.0)
    bond.asked("ALIGNED", "TOP#1", 0.0)
    assert not bond.needs_writing("ALIGNED", BEFORE, 1.0), "its echo is waited for"
    bond.see(THERE, ME)
    assert not bond.needs_writing("ALIGNED", THERE, 60.0)


@pytest.mark.parametrize(
    "peer",
    [
        replace(THERE, request="SAFE", cmd=""),
        replace(THERE, cmd=""),
        replace(THERE, cmd="IMC#1"),
        replace(THERE, stalled=True),
    ],
    ids=["somebody asked otherwise", "asked the same by the plain PV", "asked the same with an id", "stalled"],
)
def test_it_is_written_again_where_it_stands_no_more_or_the_peer_is_stalled(peer: Peer) -> None:
    assert settled().needs_writing("ALIGNED", peer, 0.0)


def test_another_state_is_written_at_once_also_before_the_echo_of_the_last_one() -> None:
    assert asked(at=0.0).needs_writing("SAFE", BEFORE, 0.1)


def test_it_is_written_again_after_a_refusal_and_after_the_time_of_an_echo() -> None:
    bond = asked(at=0.0)
    assert bond.needs_writing("ALIGNED", BEFORE, ECHO_S)
    bond.refused = True
    assert bond.needs_writing("ALIGNED", BEFORE, 0.1)


# --- arrived, completed -----------------------------------------------------------------------------------------------


def test_arrived_is_of_the_last_request_only() -> None:
    bond = settled()
    assert bond.arrived(THERE) and bond.completed(THERE)
    bond.asked("SAFE", "TOP#2", 1.0)
    bond.asked("ALIGNED", "TOP#3", 1.1)
    assert not bond.arrived(THERE), "A, B, A: what it did for the first A counts for nothing"
    assert bond.arrived(replace(THERE, cmd="TOP#3"))


@pytest.mark.parametrize("status", ["JUMP", "REDIRECT", "EDGE"])
def test_a_peer_that_is_leaving_has_not_arrived(status: str) -> None:
    assert not settled().arrived(replace(THERE, status=status))


@pytest.mark.parametrize("worker", ["DEAD", "STOP", "INIT"])
def test_the_state_of_a_peer_whose_code_does_not_live_is_what_was(worker: str) -> None:
    bond = settled()
    assert not bond.arrived(replace(THERE, worker=worker)) and not bond.completed(replace(THERE, worker=worker))


def test_a_peer_that_is_stopped_has_not_arrived_though_its_worker_still_ends() -> None:
    assert not settled().arrived(replace(THERE, op="STOP"))


def test_a_peer_that_pauses_is_where_it_is() -> None:
    assert settled().completed(replace(THERE, op="PAUSE", worker="PAUSE"))


def test_completed_is_arrived_and_DONE() -> None:
    assert not settled().completed(replace(THERE, status="RUN")) and settled().arrived(replace(THERE, status="RUN"))


def test_a_node_that_was_never_asked_has_not_arrived() -> None:
    for peer in (THERE, PLAIN, Peer(), replace(PLAIN, request="", state="")):
        assert not Bond(node="SUS_MC1").arrived(peer)


def test_R21_a_bond_that_was_stored_counts_while_the_peer_shows_its_id() -> None:
    facts = settled().facts("SUS_MC1")
    assert facts == BondFacts(key="SUS_MC1", state="ALIGNED", cmd="TOP#1")
    assert of_facts("SUS_MC1", facts).completed(THERE)
    assert not of_facts("SUS_MC1", facts).arrived(replace(THERE, cmd="TOP#9"))


# --- a peer without SUMMARY -------------------------------------------------------------------------------------------


def test_a_plain_peer_holds_a_request_that_this_object_wrote_to_it() -> None:
    bond = settled(PLAIN, cmd="")
    assert bond.completed(PLAIN) and not bond.needs_writing("ALIGNED", PLAIN, 9.0)
    assert not bond.arrived(replace(PLAIN, request="SAFE"))
    assert faults(bond, replace(PLAIN, request="SAFE")) == ["REQUEST is SAFE, ALIGNED was asked for"]


def test_R21_what_was_stored_of_a_plain_peer_is_asked_again_and_is_no_fault() -> None:
    bond = of_facts("SUS_MC1", settled(PLAIN, cmd="").facts("SUS_MC1"))
    assert not bond.arrived(PLAIN) and bond.needs_writing("ALIGNED", PLAIN, 9.0)
    assert faults(bond, PLAIN) == []


def test_what_was_asked_of_a_peer_without_SUMMARY_does_not_count_once_it_has_one() -> None:
    for by_person in (replace(THERE, cmd=""), THERE):
        assert not settled(PLAIN, cmd="").arrived(by_person)


def test_what_was_asked_of_a_peer_with_SUMMARY_does_not_count_while_it_has_none() -> None:
    assert not settled().arrived(PLAIN) and faults(settled(), PLAIN) == []


# --- SUMMARY ----------------------------------------------------------------------------------------------------------


def test_the_SUMMARY_of_a_node_is_read_as_it_is() -> None:
    peer = of_summary(json.dumps(summary(suspension().view)))
    assert peer is not None and (peer.state, peer.request, peer.states) == ("SAFE", "ALIGNED", 5)
    node = aligned()
    node.mode(Mode.MANAGED)
    node.manager(ME)
    node.returns("TRIPPED")
    node.notifies("careful")
    node.raises(ConnectionError("X1:A", "X1:B"))
    view = node.view
    peer = of_summary(json.dumps(summary(view)))
    assert peer is not None and peer.stalled and peer.notification and not peer.ok
    assert manages(ME, peer) and peer.connect == ("X1:A", "X1:B") and peer.error == "CONNECT"
    assert (peer.id, peer.state, peer.status) == (view.event_id, "TRIPPED", view.status.name)
    assert "X1:A" in peer.why
    node.op(Op.STOP)
    peer = of_summary(json.dumps(summary(node.view)))
    assert peer is not None and (peer.op, peer.worker) == ("STOP", "STOP")


@pytest.mark.parametrize(
    "text",
    ["", "{", "null", "[]", "3", '"SAFE"', "{}", '{"state": null}', '{"state": 3}', "[" * 100_000, '{"state": "SA'],
    ids=lambda text: text[:12] or "empty",
)
def test_what_is_no_SUMMARY_tells_nothing(text: str) -> None:
    assert of_summary(text) is None


@pytest.mark.parametrize("odd", [None, 3.5, [], {}, "x", True, [None, 1, "X1:A"], {"a": 1}, 10**30, float("nan")])
def test_an_odd_key_of_a_SUMMARY_has_its_default_and_spoils_no_other(odd: Any) -> None:
    told = {name: odd for name in Peer.__slots__ if name != "state"}
    peer = of_summary(json.dumps({**told, "state": "SAFE", "unheard_of": odd}))
    assert peer is not None and peer.state == "SAFE" and not peer.plain
    for name in Peer.__slots__:
        assert type(getattr(peer, name)) is type(getattr(Peer(), name)), name
    assert all(isinstance(channel, str) for channel in peer.connect)


def test_names_of_enums_that_are_not_known_here_are_kept() -> None:
    peer = of_summary(json.dumps({"state": "SAFE", "status": "DREAMING", "worker": "TWIN", "op": "DRILL"}))
    assert peer is not None and (peer.status, peer.worker, peer.op) == ("DREAMING", "TWIN", "DRILL")
    assert faults(Bond(node="SUS_MC1"), peer) == ["OP is DRILL, not EXEC"]


def test_who_is_overruled_again_and_again_asks_once_a_second_and_another_state_at_once() -> None:
    bond, now = Bond(node="SUS_MC1"), 10.0
    for _ in range(6):
        assert not bond.requests.pause_s(now)
        bond.asked("ALIGNED", "TOP#1", now)
        now += 0.02
    assert bond.requests.pause_s(now) == pytest.approx(0.98)
    now += 1.0
    bond.asked("ALIGNED", "TOP#2", now)
    assert bond.requests.pause_s(now + 0.02) == pytest.approx(0.98), "as long as it goes on"
    bond.asked("SAFE", "TOP#3", now + 0.02)
    assert not bond.requests.pause_s(now + 0.02)


def test_who_takes_and_releases_is_not_slowed_down_and_who_fights_is() -> None:
    bond = Bond(node="SUS_MC1")
    for _ in range(20):
        bond.taking()
        bond.took(10.0)
        assert not bond.takings.pause_s(10.0)
        bond.released()
    for _ in range(6):
        bond.took(10.0)
    assert bond.takings.pause_s(10.5) == pytest.approx(0.5)


def test_texts_of_a_SUMMARY_are_cut() -> None:
    told = of_summary(json.dumps({"state": "A", "why": "y" * 10_000, "connect": ["X" * 1000] * 1000}))
    assert told is not None and len(told.why) == 300 and len("".join(told.connect)) <= 6000


def test_a_node_that_is_about_to_be_taken_is_not_ours_yet() -> None:
    bond = Bond(node="SUS_MC1")
    bond.taking()
    assert bond.managed and not manages(ME, bond.written(THERE, ME, 0.0))
