"""Who manages whom, from what managers and subordinates say of each other, and what is wrong with it. Pure.

Both sides are asked, since each may be mistaken: a manager says in SUBNODES which nodes it has taken, and a node names
its manager in SUMMARY. Where the two differ somebody believes to steer a node that follows another, or nobody. Who only
watches a node makes no claim on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from guardian.core.facts import Facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """What is wrong: a word to look for, and a sentence."""

    kind: str
    text: str


@dataclass(slots=True, kw_only=True)
class Place:
    """A node in the tree. `watched`: not managed by what is above it. `again`: what is below it stands elsewhere."""

    facts: Facts
    flags: list[Flag]
    below: list[Place] = field(default_factory=list)
    watched: bool = False
    again: bool = False


def grow(facts: Mapping[str, Facts], listed: Mapping[str, Mapping[str, bool]]) -> list[Place]:
    """The tree of these nodes.

    Parameters
    ----------
    listed : the nodes that each node lists, and whether it has taken them. All of them have facts.
    """
    takers: dict[str, list[str]] = {node: [] for node in facts}
    for manager, nodes in listed.items():
        for node, taken in nodes.items():
            if taken:
                takers[node].append(manager)
    below: dict[str, dict[str, bool]] = {node: dict(listed.get(node, {})) for node in facts}
    for node, said in facts.items():
        if said.managed_by in below:
            below[said.managed_by][node] = True
    managed = {child for nodes in below.values() for child, taken in nodes.items() if taken}
    flags = {node: list(_flags(said, takers[node], facts)) for node, said in facts.items()}
    planted: set[str] = set()

    def plant(node: str, watched: bool = False) -> Place:
        again = node in planted or (watched and node in managed)
        place = Place(facts=facts[node], flags=flags[node], watched=watched, again=again)
        if not again:
            planted.add(node)
            place.below = [plant(child, not taken) for child, taken in sorted(below[node].items())]
        return place

    children = {child for nodes in below.values() for child in nodes}
    tree = [plant(node) for node in sorted(facts) if node not in children]
    tree += [plant(node) for node in sorted(facts) if node not in planted]  # managers in a circle have no top
    return tree


def _flags(said: Facts, takers: Sequence[str], facts: Mapping[str, Facts]) -> Iterator[Flag]:
    if not said.there:
        yield Flag(kind="MISSING", text="does not answer")
        return
    if said.stalled:
        yield Flag(kind="STALLED", text=f"in {said.state}, request {said.request}")
    manager, who = said.managed_by, " and ".join(takers)
    if takers and not manager:
        yield Flag(kind="UNMANAGED", text=f"{who} took it, and its MODE is {said.mode}")
    if len(takers) > 1:
        has = f", {manager} has it" if manager else ""
        yield Flag(kind="CONTESTED", text=f"{who} took it{has}")
    elif takers and manager and manager not in takers:
        yield Flag(kind="CONTESTED", text=f"{who} took it, and {manager} has it")
    if manager and not (manager in facts and facts[manager].there):
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
    notes = ["watched"] * place.watched + ["see there"] * place.again
    words = [said.node + (f" ({', '.join(notes)})" if notes else "")]
    if place.again:
        return words[0]
    if said.there:
        way = said.state if said.state == said.request else f"{said.state} -> {said.request}"
        words += [f"{way} {said.status}", said.mode, "OK" if said.ok else ""]
        wrong = [f"OP={said.op}" if said.op != "EXEC" else "", "ERROR" if said.error == "ERROR" else ""]
        words += wrong if said.ok or place.flags or any(wrong) else ["not OK"]
    words += [f"** {flag.kind}: {flag.text}" for flag in place.flags]
    return "  ".join(filter(None, words))
