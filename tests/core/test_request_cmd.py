"""REQUEST_CMD: how programs ask, so that who is behind a request is known (section 6, R17, R21)."""

# mypy: disable-error-code="comparison-overlap"
# (a node changes between two looks at it)

from __future__ import annotations

import json

import pytest

from guardian.core.documents import summary
from guardian.core.engine import Start
from guardian.core.events import Requested, Subnodes
from guardian.core.interface import BY_NAME, COMMAND_BYTES
from guardian.core.request_cmd import read_command
from guardian.core.texts import clip
from guardian.core.view import Subnode
from guardian.core.who import Who
from guardian.enums import Mode
from tests.core.driver import Node, aligned, suspension


def _asks(node: Node, state: str, cmd: str) -> None:
    node.feed(Requested(state=state, by="manager IMC_LOCK at ops@l1", cmd=cmd))


def test_the_summary_shows_the_id_of_the_command_until_somebody_else_asks() -> None:
    node = aligned()
    _asks(node, "SAFE", "IMC_LOCK#1")
    assert (summary(node.view)["request"], summary(node.view)["cmd"]) == ("SAFE", "IMC_LOCK#1")
    _asks(node, "SAFE", "IMC_LOCK#2")
    assert summary(node.view)["cmd"] == "IMC_LOCK#2", "the same state asked for again is another request"
    assert json.loads(BY_NAME["REQUEST_CMD"].value(node.view)) == {"state": "SAFE", "id": "IMC_LOCK#2"}
    node.request("SAFE")
    assert summary(node.view)["cmd"] == "" and BY_NAME["REQUEST_CMD"].value(node.view) == "{}"


def test_R21_a_restart_keeps_the_id_with_the_request() -> None:
    node = aligned()
    _asks(node, "SAFE", "IMC_LOCK#1")
    again = suspension(start=node.engine.start)
    assert (again.view.request, again.view.request_cmd) == ("SAFE", "IMC_LOCK#1")


def test_R21_a_request_that_is_gone_takes_its_id_along() -> None:
    node = suspension(start=Start(request="GONE", request_cmd="IMC_LOCK#1"))
    assert (node.view.request, node.view.request_cmd) == ("NONE", "")


def test_R6_a_held_node_is_revived_by_a_command_for_the_same_state() -> None:
    node = aligned()
    node.mode(Mode.MANAGED)
    node.returns("TRIPPED")
    assert node.view.stalled
    _asks(node, "ALIGNED", "IMC_LOCK#1")
    assert not node.view.held and node.view.request_cmd == "IMC_LOCK#1"


def test_WHY_of_a_manager_goes_on_with_its_subordinates() -> None:
    node = aligned()
    node.request("SAFE")
    why = "STALLED in TRIPPED after a jump, request SAFE (since 12:03:05Z)"
    before = BY_NAME["WHY"].value(node.view)
    node.hears(*_subnodes(Subnode(node="SUS_MC1", there=True, ok=True), Subnode(node="SUS_MC2", there=True, why=why)))
    assert "because" not in before
    assert BY_NAME["WHY"].value(node.view) == before, "what was decided elsewhere is no fault of subordinates"
    node.request("ALIGNED")
    assert f"; because SUS_MC2: {why}" in BY_NAME["WHY"].value(node.view)
    assert [BY_NAME[f"SUBNODES_{row}"].value(node.view) for row in ("TOTAL", "NOT_OK")] == [2, 1]
    assert [one["node"] for one in json.loads(BY_NAME["SUBNODES"].value(node.view))] == ["SUS_MC1", "SUS_MC2"]


def test_WHY_names_those_it_manages_before_those_it_watches_and_counts_the_rest() -> None:
    node = aligned()
    node.returns(False)
    mine = [Subnode(node=f"SUS_{n}", mine=True, why="not connected") for n in range(5)]
    node.hears(*_subnodes(Subnode(node="PSL", why="ERROR in ON"), *mine))
    why = BY_NAME["WHY"].value(node.view)
    assert "PSL" not in why and "SUS_2: not connected; and 2 more" in why


def test_SUBNODES_of_thousands_is_JSON_all_the_same_and_names_those_in_trouble_first() -> None:
    node = aligned()
    node.hears(*_subnodes(*(Subnode(node=f"SUS_{n}", ok=n < 2000, why="" if n < 2000 else "é") for n in range(2010))))
    told = BY_NAME["SUBNODES"].value(node.view)
    assert len(told.encode()) <= BY_NAME["SUBNODES"].size
    assert [one["node"] for one in json.loads(told)][:10] == [f"SUS_{n}" for n in range(2000, 2010)]
    assert BY_NAME["SUBNODES_TOTAL"].value(node.view) == 2010


def _subnodes(*nodes: Subnode) -> tuple[Subnodes, ...]:
    return (Subnodes(subnodes=nodes),)


@pytest.mark.parametrize(
    ("said", "through"),
    [
        ({}, "ops@l1 (10.1.2.3)"),
        ({"person": "ann"}, "ann at ops@l1 (10.1.2.3)"),
        ({"person": "ops"}, "ops@l1 (10.1.2.3)"),
        ({"person": 'ann "the boss"'}, "\"ann 'the boss'\" at ops@l1 (10.1.2.3)"),
        ({"person": "ann@ws3 (10.9.9.9)"}, '"ann@ws3 (10.9.9.9)" at ops@l1 (10.1.2.3)'),
        ({"manager": "IFO for bob"}, 'manager "IFO for bob" at ops@l1 (10.1.2.3)'),
        ({"by": "ann"}, "ann at ops@l1 (10.1.2.3)"),
        ({"by": "ann", "person": "bob"}, "bob at ops@l1 (10.1.2.3)"),
        ({"manager": "IFO"}, "manager IFO at ops@l1 (10.1.2.3)"),
        ({"manager": "IFO", "by": "IFO"}, "manager IFO at ops@l1 (10.1.2.3)"),
        ({"manager": "IFO", "person": "ann"}, "manager IFO for ann at ops@l1 (10.1.2.3)"),
    ],
)
def test_REQUEST_BY_says_who_asks_and_through_whom(said: dict[str, str], through: str) -> None:
    command = read_command(json.dumps({"state": "SAFE", **said, "tomorrow": 1}))
    assert command.through("ops@l1 (10.1.2.3)") == through


def test_no_claim_pushes_out_what_is_known() -> None:
    longest = {"state": "SAFE", "person": "p " * 50, "manager": "M " * 19, "by": "b" * 100, "id": "i" * 200}
    longest["reason"] = "r" * 200
    text = json.dumps(longest)
    assert len(text) <= COMMAND_BYTES
    client = str(Who("u " * 32, "h " * 32, "255.255.255.255"))
    assert client in clip(read_command(text).through(client), BY_NAME["REQUEST_BY"].size)
