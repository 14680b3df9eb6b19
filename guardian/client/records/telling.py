"""A record of the journal in words: a line for people, and who was behind it. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from guardian.client.records.journals import Record
from guardian.core.request_cmd import Command
from guardian.core.who import WRITE, Who

#: The kind of a record that says that others could not be written; they are of all nodes.
DROPPED = "dropped"
_WORD = r'(?:"[^"]*"|[^\s"]+)'
#: Who caused a step, as `guardian.core.request_cmd` and `guardian.core.who` write it.
_BY = re.compile(
    rf"(?:manager (?P<manager>{_WORD})(?: for (?P<behind>{_WORD}))? at |(?P<person>{_WORD}) at )?"
    rf"(?P<client>.+?) \((?P<address>[^()]*)\)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """Who was behind a record; "" for what is not known.

    Parameters
    ----------
    who : the client, as it claims to be. address : where it really came from. person, manager : for whom it asks.
    """

    who: str = ""
    address: str = ""
    person: str = ""
    manager: str = ""


def visible(text: str) -> str:
    """What a terminal would obey is shown instead."""
    return text if text.isprintable() else "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def event_words(record: Record) -> str:
    """What happened, and who wanted it."""
    if record["kind"] == DROPPED:
        return f"{record.get('count', 'some')} records could not be written (a full disk?)"
    text, by = str(record.get("text", "")), str(record.get("by") or "")
    return text if by in text else " ".join(filter(None, (text, f"(by {by})")))


def write_words(record: Record, shown: Callable[[float], str]) -> str:
    """Who wrote what.

    Raises
    ------
    KeyError, TypeError, AttributeError
        It is no record of a write.
    """
    new = "what cannot be read" if record["new"] is None else _value(record["new"])
    if "cut" in record:
        new += f" ({record['cut']} bytes)"
    old = "" if record["old"] is None else f"{_value(record['old'])} "
    asked = Command(state="", person=record.get("person", ""), manager=record.get("manager", ""))
    by = asked.through(str(Who(record["user"], record["host"], record["address"])))
    told = [record["pv"], f"{old}-> {new}"]
    if not record["taken"]:
        told.append("REFUSED")
    told.append(f"by {by}")
    if "managed_by" in record and record["managed_by"] != record.get("manager"):
        told.append(f"(MANAGER was {record['managed_by']})")
    if "reason" in record:
        told.append(f"reason: {record['reason']!r}")
    if "count" in record:
        others = " and others" if record.get("others") else ""
        told.append(f"{record['count']} times{others}, since {shown(record['since'])}")
    return " ".join(told) + (f": {record['why']}" if "why" in record else "")


def behind(record: Record) -> Behind:
    """Who was behind it, as far as it says."""
    if record["kind"] == WRITE:
        user, host = str(record.get("user", "")), str(record.get("host", ""))
        return Behind(
            who=f"{user}@{host}" if host else user,
            address=str(record.get("address", "")),
            person=str(record.get("person", "")),
            manager=str(record.get("manager", "")),
        )
    by = str(record.get("by") or "")
    found = _BY.fullmatch(by)
    if found is None:
        return Behind(who=by)
    parts = {name: (text or "").strip('"') for name, text in found.groupdict().items()}
    return Behind(
        who=parts["client"],
        address=parts["address"],
        person=parts["person"] or parts["behind"],
        manager=parts["manager"],
    )


def _value(text: str) -> str:
    """As it is if it is one word, else in quotes."""
    return text if text and text.isprintable() and " " not in text else repr(text)
