"""What nodes did and who wrote what, the newest first, within bounds: records of journals that are asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from guardian.client.records.journals import Journals, Record
from guardian.client.records.telling import DROPPED, behind, event_words, visible, write_words
from guardian.client.records.within import Before, Bound, Page, page
from guardian.core.texts import clip
from guardian.core.when import utc
from guardian.core.who import WRITE
from guardian.host.history import Query, Words, is_mark, word, word_like

#: Of a text, so much is told.
TEXT_BYTES = 4000
#: What a step says of itself, and how it is told.
_STEP = ("state", "target", "status", "request", "op", "mode", "worker", "via")
_CAUSES = {"JUMP": "jump", "REDIRECT": "goto", "EDGE": "edge"}


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsAsked:
    """Which records are wanted.

    Parameters
    ----------
    nodes, kinds : names or patterns; none: all. who : a part of the name of whoever was behind it.
    text : a part of the sentence. since, until : epoch seconds. before : older than that place. most : on a page.
    """

    nodes: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    who: str = ""
    text: str = ""
    since: float | None = None
    until: float | None = None
    before: Before | None = None
    most: int = 200


def find_events(journals: Journals, asked: EventsAsked, bound: Bound) -> Page[dict[str, Any]]:
    """The next page of them, told."""
    until, before = asked.until, asked.before
    if before is not None:
        until = before.stamp if until is None else min(until, before.stamp)
    query = Query(since=asked.since, until=until, words=_words(asked), newest_first=True, marks=True)
    wanted = _wanted(asked)
    found: list[Record] = []
    reached: float | None = None
    most = asked.most + (before.skip if before is not None else 0)
    for record in journals.records(query, wanted):
        if not is_mark(record):
            found.append(record)
            if len(found) > most:
                break
        elif bound.over(record["bytes"]) and (bound.ended or before is None or record["stamp"] < before.stamp):
            reached = record["stamp"]
            break
    part = page(found, _stamp, most=asked.most, before=before, reached=reached)
    return Page(found=[told(record) for record in part.found], before=part.before)


def told(record: Record) -> dict[str, Any]:
    """A record as a page shows it; what is not known is left out."""
    kind, by = record["kind"], behind(record)
    more: dict[str, Any] = {name: record.get(name) for name in _STEP}
    if kind == WRITE:
        more |= {name: record.get(name) for name in ("row", "pv", "count", "since", "managed_by", "why")}
        more |= {"from": record.get("old"), "to": record.get("new")}
    else:
        more |= _from_to(record)
    more |= {"who": by.who, "address": by.address, "person": by.person, "manager": by.manager, "cause": _cause(record)}
    told = {
        "stamp": record["stamp"],
        "id": record.get("id", 0),
        "node": str(record.get("node") or ""),
        "kind": kind,
        "text": clip(visible(_words_of(record)), TEXT_BYTES),
    }
    told |= {
        name: clip(visible(value), TEXT_BYTES) if isinstance(value, str) else value
        for name, value in more.items()
        if value not in (None, "")
    }
    if kind == WRITE:
        told["taken"] = bool(record.get("taken"))
    return told


def _words_of(record: Record) -> str:
    if record["kind"] != WRITE:
        return event_words(record)
    try:
        return write_words(record, utc)
    except (KeyError, TypeError, AttributeError):
        return "what cannot be read: this record of a write is damaged"


def _from_to(record: Record) -> dict[str, Any]:
    """Of a step that says so: ``OP EXEC -> PAUSE by ...``, ``EDGE: COLD -> WARM (20), ...``."""
    before, arrow, after = str(record.get("text", "")).partition(" -> ")
    if record["kind"] == "enter":
        return {"from": before.split()[-1] if arrow and before else None, "to": record.get("state")}
    if record["kind"] in ("op", "mode") and arrow and before:
        return {"from": before.split()[-1], "to": after.split()[0] if after.split() else None}
    return {"to": record.get("request")} if record["kind"] == "request" else {}


def _cause(record: Record) -> str:
    """In a word: request, manager, jump, goto, edge, error, refused; else its kind."""
    kind = str(record["kind"])
    if kind == WRITE and not record.get("taken"):
        return "refused"
    if kind in (WRITE, "request"):
        return "manager" if behind(record).manager else "request" if kind == "request" else kind
    return _CAUSES.get(str(record.get("via")), kind)


def _words(asked: EventsAsked) -> tuple[Words, ...]:
    """What their lines must have."""
    nodes: list[Words] = [(word_like(node),) for node in asked.nodes] or [()]
    kinds: list[Words] = [(word_like(kind),) for kind in asked.kinds] or [()]
    both = [(*node, *kind) for node in nodes for kind in kinds]
    return () if both == [()] else (*both, (word(DROPPED),))


def _wanted(asked: EventsAsked) -> Callable[[Record], bool]:
    who, text = asked.who.casefold(), asked.text.casefold()

    def wanted(record: Record) -> bool:
        kind = record["kind"]
        if asked.kinds and not any(fnmatchcase(kind, one) for one in asked.kinds):
            return False
        if kind != DROPPED and asked.nodes and not any(fnmatchcase(str(record.get("node")), n) for n in asked.nodes):
            return False
        if who:
            by = behind(record)
            if not any(who in one.casefold() for one in (by.who, by.address, by.person, by.manager)):
                return False
        return not text or text in _words_of(record).casefold()

    return wanted


def _stamp(record: Record) -> float:
    return float(record["stamp"])
