"""Who manages whom, and what is wrong with it: every flag, from what the two sides say of each other."""

from __future__ import annotations

from guardian.core.facts import Facts
from guardian.core.hierarchy import Place, draw, grow


def node(name: str, manager: str = "", **more: object) -> Facts:
    """One that is OK; with a manager, it is managed."""
    told = {
        "where": "host:5064",
        "state": "UP",
        "request": "UP",
        "status": "DONE",
        "op": "EXEC",
        "mode": "MANAGED" if manager else "AUTO",
        "manager": manager,
        "error": "NONE",
        "ok": True,
    }
    return Facts(node=name, **{**told, **more})  # type: ignore[arg-type]


def tree(*facts: Facts, **listed: list[str]) -> list[Place]:
    """`listed` by manager: NODE was taken, ~NODE is watched only."""
    entries = {who: {name.lstrip("~"): name[0] != "~" for name in names} for who, names in listed.items()}
    return grow({one.node: one for one in facts}, entries)


def flags(places: list[Place]) -> dict[str, str]:
    found = {}
    for place in places:
        found |= {f"{place.facts.node} {flag.kind}": flag.text for flag in place.flags}
        found |= flags(place.below)
    return found


def test_a_tree_of_three_levels_is_drawn_and_nothing_is_wrong() -> None:
    grown = tree(
        node("IFO"), node("IMC", "IFO"), node("ALIGN", "IFO"), node("MC1", "ALIGN"), node("MC2", "ALIGN"),
        node("ALONE"), IFO=["IMC", "ALIGN"], ALIGN=["MC1", "MC2"],
    )  # fmt: skip
    assert list(draw(grown)) == [
        "ALONE  UP DONE  AUTO  OK",
        "IFO  UP DONE  AUTO  OK",
        "|-- ALIGN  UP DONE  MANAGED  OK",
        "|   |-- MC1  UP DONE  MANAGED  OK",
        "|   `-- MC2  UP DONE  MANAGED  OK",
        "`-- IMC  UP DONE  MANAGED  OK",
    ]
    assert flags(grown) == {}


def test_a_manager_that_lists_nobody_is_known_by_those_who_name_it() -> None:
    """An original Guardian as the manager."""
    (place,) = tree(node("IFO"), node("MC1", "IFO"))
    assert [child.facts.node for child in place.below] == ["MC1"] and flags([place]) == {}


def test_what_is_wrong_is_flagged() -> None:
    grown = tree(
        node("A"), node("B"),
        node("FINE", "A"),
        node("STUCK", "A", state="TRIPPED", stalled=True, ok=False),
        node("LOST"),
        node("HAND", mode="MANUAL", manager="A"),
        node("TWICE", "A"),
        node("TAKEN", "B"),
        Facts(node="GONE"),
        node("ORPHAN", "NOBODY"),
        node("WIDOW", "GONE"),
        A=["FINE", "STUCK", "LOST", "HAND", "TWICE", "TAKEN", "GONE"], B=["TWICE"],
    )  # fmt: skip
    assert flags(grown) == {
        "STUCK STALLED": "in TRIPPED, request UP",
        "LOST UNMANAGED": "A took it, and its MODE is AUTO",
        "HAND UNMANAGED": "A took it, and its MODE is MANUAL",
        "TWICE CONTESTED": "A and B took it, A has it",
        "TAKEN CONTESTED": "A took it, and B has it",
        "GONE MISSING": "does not answer",
        "ORPHAN ORPHANED": "its manager NOBODY does not answer",
        "WIDOW ORPHANED": "its manager GONE does not answer",
    }
    lines = list(draw(grown))
    assert "|-- GONE  ** MISSING: does not answer" in lines
    assert "|-- STUCK  TRIPPED -> UP DONE  MANAGED  ** STALLED: in TRIPPED, request UP" in lines


def test_who_only_watches_claims_nothing() -> None:
    grown = tree(node("A"), node("B"), node("MC1", "A"), node("FREE"), A=["MC1"], B=["~MC1", "~FREE"])
    assert flags(grown) == {}
    assert list(draw(grown)) == [
        "A  UP DONE  AUTO  OK",
        "`-- MC1  UP DONE  MANAGED  OK",
        "B  UP DONE  AUTO  OK",
        "|-- FREE (watched)  UP DONE  AUTO  OK",
        "`-- MC1 (watched, see there)",
    ]


def test_managers_in_a_circle_are_drawn_once() -> None:
    lines = list(draw(tree(node("A", "B"), node("B", "A"), A=["B"], B=["A"])))
    assert lines == ["A  UP DONE  MANAGED  OK", "`-- B  UP DONE  MANAGED  OK", "    `-- A (see there)"]
    assert list(draw(tree(node("A", "A"), A=["A"]))) == ["A  UP DONE  MANAGED  OK", "`-- A (see there)"]
