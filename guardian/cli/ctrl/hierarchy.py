"""Who manages whom, from what managers and subordinates say of each other, and what is wrong with it. Pure.

Both sides are asked, since each may be mistaken: a manager lists its nodes in SUBNODES, and a node names its manager in
SUMMARY. Where the two differ somebody believes to steer a node that follows another, or nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from guardian.cli.ctrl.facts import Facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """What is wrong: a word to look for, and a sentence."""

    kind: str
    text: str


@dataclass(slots=True, kw_only=True)
class Place:
    """A node in the tree. `again`: it stands somewhere else too, with what is below it."""

    facts: Facts
    flags: list[Flag]
    below: list[Place] = field(default_factory=list)
    again: bool = False


def grow(facts: Mapping[str, Facts], listed: Mapping[str, Sequence[str]]) -> list[Place]:
    """The tree of these nodes.

    Parameters
    ----------
    listed : the nodes that each manager lists. Those that nobody knows have facts too, which say so.
    """
    listers: dict[str, list[str]] = {}
    for manager, nodes in listed.items():
        for node in nodes:
            listers.setdefault(node, []).append(manager)
    below: dict[str, list[str]] = {node: [] for node in facts}
    for node, managers in listers.items():
        for manager in managers:
            below[manager].append(node)
    for node, said in facts.items():
        if said.managed_by in below and node not in below[said.managed_by]:
            below[said.managed_by].append(node)
    flags = {node: list(_flags(said, listers.get(node, []), facts)) for node, said in facts.items()}
    planted: set[str] = set()

    def plant(node: str) -> Place:
        place = Place(facts=facts[node], flags=flags[node], again=node in planted)
        if not place.again:
            planted.add(node)
            place.below = [plant(child) for child in sorted(below[node])]
        return place

    children = {child for nodes in below.values() for child in nodes}
    tree = [plant(node) for node in sorted(facts) if node not in children]
    tree += [plant(node) for node in sorted(facts) if node not in planted]  # managers in a circle have no top
    return tree


def _flags(said: Facts, listers: Sequence[str], facts: Mapping[str, Facts]) -> Iterator[Flag]:
    if not said.there:
        yield Flag(kind="MISSING", text="does not answer")
        return
    if said.stalled:
        yield Flag(kind="STALLED", text=f"in {said.state}, request {said.request}")
    manager = said.managed_by
    if listers and not manager:
        yield Flag(kind="UNMANAGED", text=f"{' and '.join(listers)} lists it, and its MODE is {said.mode}")
    if len(listers) > 1:
        yield Flag(
            kind="CONTESTED", text=f"{' and '.join(listers)} list it" + (f", {manager} has it" if manager else "")
        )
    elif listers and manager and manager not in listers:
        yield Flag(kind="CONTESTED", text=f"{listers[0]} lists it, and {manager} has it")
    if manager and manager not in listers and (manager not in facts or not facts[manager].there):
        yield Flag(kind="ORPHANED", text=f"its manager {manager} does not answer")


def draw(tree: Sequence[Place]) -> Iterator[str]:
    """The lines of a picture."""
    for place in tree:
        yield _line(place)
        yield from _branches(place, "")


def _branches(place: Place, indent: str) -> Iterator[str]:
    for child in place.below:
        last = child is place.below[-1]
        yield f"{indent}{'`-- ' if last else '|-- '}{_line(child)}"
        yield from _branches(child, indent + ("    " if last else "|   "))


def _line(place: Place) -> str:
    said = place.facts
    if place.again:
        return f"{said.node}  (above)"
    words = [said.node]
    if said.there:
        way = said.state if said.state == said.request else f"{said.state} -> {said.request}"
        words += [f"{way} {said.status}", said.mode, "OK" if said.ok else ""]
        words += [f"OP={said.op}" if said.op != "EXEC" else "", "ERROR" if said.error == "ERROR" else ""]
    words += [f"** {flag.kind}: {flag.text}" for flag in place.flags]
    return "  ".join(filter(None, words))
