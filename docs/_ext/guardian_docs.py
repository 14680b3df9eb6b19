"""What the reference takes from the code, so that it cannot lie: the PVs, their enums, and the help of the commands.

And what all pages look like: a block of code shows whether it is a file, typed, or printed. That is said by the comment
above it, by which the tests know it too (``tests/support/page.py``): one truth, two readers.

============================  ===========================================================================
``guardian-pvs``              every row of ``guardian/core/interface.py``; ``guardian-pvs:: HOST``: those of any host,
                              ``guardian-pvs:: HOST_``: those of one host, ``guardian/core/host_rows.py``
``guardian-alarms``           which trouble puts an alarm on which PV, found by asking each row; ``HOST_``: of a host
``guardian-enum:: E PV``      a class of ``guardian/enums.py``: numbers, what they mean, the labels that PV serves
``guardian-json:: PV``        what a PV that holds JSON has in it, by an example
``guardian-new-module:: N``   the module that ``guardutil new N`` writes
``guardian-command:: NAME``   usage and options of a command and of all its subcommands, from its own parser
``guardian-node-properties``  every property of ``Node``, and what it is while the node is not there
``guardian-faults``           what ``check_fault`` says of which trouble, found by asking it
============================  ===========================================================================

Docstrings here say ``name : what it is`` where numpydoc has ``name : type``; :func:`describe_parameters` tells the two
apart.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from enum import IntEnum
from importlib import import_module
from typing import Any
from unittest.mock import patch

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective

from guardian import enums
from guardian.access.node import Node
from guardian.cli.util.new import TEMPLATE
from guardian.core import ailments, documents
from guardian.core.ailments import Ailment
from guardian.core.documents import graph_facts, summary
from guardian.core.events import Step
from guardian.core.graph import Edge, Graph, StateInfo
from guardian.core.host_rows import HOST_PVS, HostFacts
from guardian.core.interface import BY_NAME, HOST_ROWS, Archive, Kind, Row
from guardian.core.names import HOST_NODE, HOST_PREFIX
from guardian.core.peer import ECHO_S, Bond, Peer
from guardian.core.setpoints import Difference, Setpoint
from guardian.core.threads import Seen, Watched
from guardian.core.view import LongCall, Subnode, View
from guardian.enums import ErrorKind, LoadStatus, Severity, Status, Worker
from guardian.host.claim import Claim
from guardian.host.publish import event_record

#: Columns of a terminal for which help is wrapped.
COLUMNS = "88"

# --- PVs --------------------------------------------------------------------------------------------------------------

_GRAPH = Graph.build([StateInfo(name=n, index=i, source="x") for i, n in enumerate("AB")], [Edge(start="A", end="B")])
_GOOD = {
    "graph": _GRAPH,
    "state": "A",
    "target": "A",
    "request": "A",
    "nominal": "A",
    "status": Status.DONE,
    "worker": Worker.RUN,
    "load_status": LoadStatus.DONE,
}
#: Each trouble by itself, as a node has it.
TROUBLES = {
    "stopped, or its worker is gone": View(**{**_GOOD, "known": False}),
    "user code raised an exception": View(**{**_GOOD, "error": ErrorKind.ERROR}),
    "a channel is lost for 10 s": View(**{**_GOOD, "error": ErrorKind.CONNECT, "overdue": True}),
    "the code does not load": View(**{**_GOOD, "load_status": LoadStatus.ERROR}),
    "the worker died": View(**{**_GOOD, "worker": Worker.DEAD}),
    "the worker died, and is not started again": View(**{**_GOOD, "worker": Worker.DEAD, "failed": True}),
    "stalled": View(**{**_GOOD, "request": "B", "held": True, "status": Status.RUN}),
    "a call takes longer than slow_after": View(**{**_GOOD, "slow": LongCall(method="A.run()", seconds=312, since=0)}),
    "a notification": View(**{**_GOOD, "notifications": ("text",)}),
    "settled away from NOMINAL": View(**{**_GOOD, "nominal": "B"}),
}


def _ailing(what: str, severity: Severity) -> HostFacts:
    return HostFacts(ailments=(Ailment(what=what, severity=severity, text="x"),))


def _judged(found: Ailment | None) -> HostFacts:
    assert found is not None
    return HostFacts(ailments=(found,))


#: The same for a host.
HOST_TROUBLES = {
    "settings or journal are not written": _ailing("settings", Severity.MAJOR),
    "a disk does not answer for 10 s": _ailing("settings", Severity.MAJOR),
    "something failed for want of a descriptor": _judged(ailments.descriptors(100, 100, "x")),
    "less than 2 % of the memory is left": _judged(ailments.memory(1, 100)),
    "settings or journal are not safe from a power cut": _ailing("settings", Severity.MINOR),
    "the log is not written": _ailing("log", Severity.MINOR),
    "less than 10 %, or 50, descriptors are free": _judged(ailments.descriptors(99, 100)),
    "less than 5 % of the memory is left": _judged(ailments.memory(4, 100)),
    "the clock was set": _ailing("clock", Severity.MINOR),
    "locks cannot be used": _ailing("locks", Severity.MINOR),
}


def alarms(row: Row) -> dict[str, Severity]:
    """The troubles that put an alarm on a PV, and which."""
    if row.alarm is None:
        return {}
    troubles: dict[str, Any] = HOST_TROUBLES if row in HOST_PVS else TROUBLES
    found = {trouble: row.alarm(one) for trouble, one in troubles.items()}
    return {trouble: severity for trouble, severity in found.items() if severity is not Severity.NO_ALARM}


def type_of(row: Row) -> str:
    """What a PV holds, with what of it fits."""
    if row.kind is Kind.LONG:
        return f"{row.kind.value}, {row.size} bytes"
    if row.kind is Kind.STRINGS:
        return f"{row.kind.value}, {row.size}"
    return f"{row.kind.value}, {row.units}" if row.units else row.kind.value


def access(row: Row) -> str:
    """Who may write a PV: its access security group."""
    return row.asg.value if row.writable else "read"


_ARCHIVE = {Archive.EVENT: "changes", Archive.SLOW: "seldom", Archive.NO: "no"}


class Generated(SphinxDirective):
    """A directive that writes reStructuredText."""

    required_arguments = 0

    def run(self) -> list[nodes.Node]:
        lines = StringList(list(self.lines()), source=f"generated by {self.name}")
        node = nodes.container()
        self.state.nested_parse(lines, self.content_offset, node)
        return list(node.children)

    def lines(self) -> Iterator[str]:
        raise NotImplementedError


def _list_table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]], widths: str) -> Iterator[str]:
    yield from (".. list-table::", "   :header-rows: 1", f"   :widths: {widths}", "")
    for row in (head, *rows):
        for number, cell in enumerate(row):
            yield f"   {'* -' if number == 0 else '  -'} {cell}".rstrip()
    yield ""


class Pvs(Generated):
    optional_arguments = 1

    def lines(self) -> Iterator[str]:
        head = ("name", "type", "access", "what it is", "alarm", "archive")
        rows = {HOST_NODE: HOST_ROWS, HOST_PREFIX: HOST_PVS}.get("".join(self.arguments), tuple(BY_NAME.values()))
        yield from _list_table(head, map(self._row, rows), "16 20 12 32 10 10")

    def _row(self, row: Row) -> tuple[str, ...]:
        worst = ", ".join(severity.name for severity in sorted(set(alarms(row).values())))
        kind = f":ref:`enum <enum-{row.name}>`" if row.kind is Kind.ENUM else type_of(row)
        return f"``{row.name}``", kind, access(row), row.text, worst, _ARCHIVE[row.archive]


class Alarms(Generated):
    optional_arguments = 1

    def lines(self) -> Iterator[str]:
        troubles = HOST_TROUBLES if self.arguments else TROUBLES
        yield from _list_table(("trouble", *(s.name for s in Severity if s)), map(self._row, troubles), "30 20 25 25")

    def _row(self, trouble: str) -> tuple[str, ...]:
        rows = HOST_PVS if self.arguments else tuple(BY_NAME.values())
        found = {row.name: severity for row in rows if (severity := alarms(row).get(trouble))}
        return trouble, *(", ".join(name for name, s in found.items() if s is wanted) for wanted in Severity if wanted)


class EnumTable(Generated):
    required_arguments = 1
    optional_arguments = 1

    def lines(self) -> Iterator[str]:
        name, *pvs = self.arguments
        kind = getattr(enums, name)
        yield from (line for pv in pvs for line in (f".. _enum-{pv}:", "", f".. rubric:: {pv}", ""))
        yield from ((kind.__doc__ or "").split("\n", 1)[0], "")
        labels = BY_NAME[pvs[0]].labels if pvs else tuple(kind.__members__)
        rows = ((str(int(member)), f"``{labels[member]}``", meaning(member)) for member in kind)
        yield from _list_table(("number", "label", "meaning"), rows, "10 15 75")


def meaning(member: IntEnum) -> str:
    """What the comment behind a member of an enum says."""
    said = ModuleAnalyzer.for_module(enums.__name__).find_attr_docs()
    return " ".join(said[type(member).__name__, member.name]).strip()


_OVEN = View(
    **{
        **_GOOD,
        "graph": Graph.build(
            [
                StateInfo(name="COLD", index=10, goto=1, doc="The heater is off.", source="OVEN.py:8"),
                StateInfo(name="WARM", index=20, doc="The heater is on.", source="OVEN.py:13"),
            ],
            [Edge(start="COLD", end="WARM")],
        ),
        **dict.fromkeys(("state", "target", "request", "nominal"), "WARM"),
        "event_id": 17,
        "stamp": 1764072000.25,
        "request_id": 1,
        "request_by": "you@lab (127.0.0.1)",
    }
)
_STEP = Step(view=_OVEN, kind="status", text="WARM.run() completed")
_SEEN = Seen(thread=Watched(slot=0, serial=1, name="camera", period_s=2.0), age_s=0.31)
_CLAIM = Claim(
    machine="h1guard1",
    pid=4711,
    user="guardian",
    port=5064,
    dir="/var/lib/guardian/x1",
    since=1764071990.5,
    id="7b4f0c1e92aa",
    host="h1guard1",
    runs=True,
)
_SUBNODES = (
    Subnode(node="SUS_MC1", there=True, ok=True, mine=True),
    Subnode(
        node="SUS_MC2",
        there=True,
        mine=True,
        why="STALLED in TRIPPED after a jump, request ALIGNED (managed by ALIGN); write REQUEST=ALIGNED again "
        "(since 12:03:05Z)",
    ),
    Subnode(node="SUS_MC3", why="not connected"),
)
_SETPOINTS = (
    Setpoint(channel="X1:OVEN-FAN", name="FAN", value="1", label="ON", at=1764072000.25),
    Setpoint(channel="X1:OVEN-GAIN", name="GAIN", value="3.0", at=1764072000.25),
)
_DIFFERENCE = Difference(channel="X1:OVEN-GAIN", set=3.0, now=5.0, at=1764072000.25, since=1764083564.5)
_EXAMPLES = {
    "SPM_SETPOINTS": json.loads(documents.setpoints(_SETPOINTS)),
    "SPM_DIFFS": json.loads(documents.differences(1, [_DIFFERENCE])),
    "SUBNODES": json.loads(BY_NAME["SUBNODES"].value(View(subnodes=_SUBNODES))),
    "SUMMARY": summary(_OVEN),
    "EVENT": event_record(_STEP),
    "GRAPH": graph_facts(_OVEN.graph),
    "THREADS": json.loads(documents.threads([_SEEN])),
    "HOST": json.loads(_CLAIM.text),
}


class Json(Generated):
    required_arguments = 1

    def lines(self) -> Iterator[str]:
        yield from (".. code-block:: json", "")
        yield from (f"   {line}" for line in json.dumps(_EXAMPLES[self.arguments[0]], indent=2).splitlines())
        yield ""


# --- nodes that manage nodes ------------------------------------------------------------------------------------------


def node_properties() -> dict[tuple[str, ...], property]:
    """The properties of a Node, by their spellings."""
    found: dict[property, tuple[str, ...]] = {}
    for name, value in vars(Node).items():
        if isinstance(value, property) and not name.startswith("_"):
            found[value] = (*found.get(value, ()), name)
    return {names: value for value, names in found.items()}


class NodeProperties(Generated):
    """One that no host has made is not there, and never will be."""

    def lines(self) -> Iterator[str]:
        yield from _list_table(
            ("property", "what it is", "not there"), map(self._row, node_properties().items()), "20 65 15"
        )

    def _row(self, item: tuple[tuple[str, ...], property]) -> tuple[str, ...]:
        names, value = item
        text = " ".join((value.__doc__ or "").split())
        return ", ".join(f"``{name}``" for name in names), text, repr(value.__get__(Node("SUS_MC1")))


_PEER = Peer(cmd="ALIGN#1", mode="MANAGED", manager="ALIGN", **dict.fromkeys(("request", "state", "target"), "ALIGNED"))
_BOND = {"state": "ALIGNED", "cmd": "ALIGN#1", "managed": True}
#: Each fault by itself: what ALIGN has asked of SUS_MC1, and what it sees of it.
FAULTS = {
    "its host is down, or out of reach": (_BOND, None),
    "it is stopped, or paused": (_BOND, replace(_PEER, op="STOP")),
    "its worker died": (_BOND, replace(_PEER, worker="DEAD")),
    "its worker has ended": (_BOND, replace(_PEER, worker="STOP")),
    "its code waits for a channel": (_BOND, replace(_PEER, error="CONNECT", connect=("X1:SUS-MC1_ANGLE",))),
    "its code raised an exception": (_BOND, replace(_PEER, error="ERROR")),
    "somebody asked it for another state": (_BOND, replace(_PEER, request="SAFE", by="you@lab (127.0.0.1)", cmd="")),
    "somebody asked it for the same state": (_BOND, replace(_PEER, by="you@lab (127.0.0.1)", cmd="")),
    "it shows nothing of a request": ({**_BOND, "asked_at": -ECHO_S}, replace(_PEER, request="SAFE")),
    "a request was lost on the way": ({**_BOND, "asked_at": float("-inf")}, replace(_PEER, request="SAFE")),
    "it refused a request": ({**_BOND, "asked_at": 0.0, "refused": True}, replace(_PEER, request="SAFE")),
    "another manager took it": (_BOND, replace(_PEER, manager="LSC")),
    "somebody set its MODE": (_BOND, replace(_PEER, mode="AUTO", manager="")),
}


def faults(trouble: str) -> list[str]:
    """What check_fault says of it."""
    bond, peer = FAULTS[trouble]
    return Bond(node="SUS_MC1", **bond).faults(peer, "ALIGN", 0.0)


class Faults(Generated):
    def lines(self) -> Iterator[str]:
        rows = ((trouble, f"``{fault}``") for trouble in FAULTS for fault in faults(trouble))
        yield from _list_table(("trouble", "notification"), rows, "35 65")


# --- commands ---------------------------------------------------------------------------------------------------------


class NewModule(Generated):
    """What ``guardutil new NAME`` writes."""

    required_arguments = 1

    def lines(self) -> Iterator[str]:
        yield from (".. code-block:: python", "")
        yield from (f"   {line}".rstrip() for line in TEMPLATE.format(name=self.arguments[0]).splitlines())
        yield ""


class _Asked(Exception):
    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser


def parser_of(command: str) -> argparse.ArgumentParser:
    """The parser that a command parses its words with."""

    def asked(parser: argparse.ArgumentParser, *_words: object, **_more: object) -> None:
        raise _Asked(parser)

    with patch.object(argparse.ArgumentParser, "parse_known_args", asked):
        try:
            name, *words = command.removeprefix("guardian-").split()
            import_module(f"guardian.cli.{name}").main(words)
        except _Asked as answer:
            return answer.parser
    raise AssertionError(f"{command} parses no words")


def subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Name -> parser of the subcommands."""
    found = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return {name: sub for action in found for name, sub in action.choices.items()}


class Command(Generated):
    required_arguments = 1
    final_argument_whitespace = True

    def lines(self) -> Iterator[str]:
        parser = parser_of(self.arguments[0])
        yield from _help(parser)
        for sub in subcommands(parser).values():
            yield from (f".. rubric:: {sub.prog}", "")
            yield from _help(sub)


def _help(parser: argparse.ArgumentParser) -> Iterator[str]:
    with patch.dict(os.environ, {"COLUMNS": COLUMNS}):
        text = parser.format_help()
    yield from (".. code-block:: none", "")
    yield from (f"   {line}".rstrip() for line in text.splitlines())
    yield ""


# --- blocks of code ---------------------------------------------------------------------------------------------------

_STEP = re.compile(r"(file|change|run|fails|start|shows|session): (\S+)")
_CAPTIONED = "literal-block-wrapper"  #: as Sphinx has it around a block with a caption


def dress(_app: Sphinx, page: nodes.document) -> None:
    """A file gets its name above it; what is typed and what is printed get classes, for ``_static/guardian.css``."""
    for comment in list(page.findall(nodes.comment)):
        step = _STEP.fullmatch(comment.astext())
        block = comment.next_node(siblings=True, descend=False)
        if step is None or not isinstance(block, nodes.literal_block):
            continue
        block["classes"].append(f"step-{step[1]}")
        if step[1] in ("file", "change"):
            text = step[2] if step[1] == "file" else f"in {step[2]}"
            parent, place = block.parent, block.parent.index(block)
            box = nodes.container("", nodes.caption("", text), block, literal_block=True, classes=[_CAPTIONED])
            parent[place] = box
            page.note_implicit_target(box)


# --- docstrings -------------------------------------------------------------------------------------------------------

_ITEM = re.compile(r"( *)([\w, ]+) : (.+)")
_TYPE_WORDS = 3
#: Numbers of rules in the design are for those who work on the code.
_RULES = re.compile(r" \(R\d+(, R\d+)*\)")


def describe_parameters(*about: Any) -> None:
    """``name : what it is`` becomes a description; a type has few words and no full stop."""
    lines: list[str] = about[-1]
    found: list[str] = []
    for line in lines:
        item = _ITEM.fullmatch(line)
        if item and (len(item[3].split()) > _TYPE_WORDS or item[3].endswith(".")):
            found += [f"{item[1]}{item[2]}", f"{item[1]}    {item[3]}"]
        else:
            found.append(line)
    lines[:] = [_RULES.sub("", line) for line in found]


def setup(app: Sphinx) -> dict[str, bool]:
    for name, directive in (
        ("guardian-pvs", Pvs),
        ("guardian-alarms", Alarms),
        ("guardian-enum", EnumTable),
        ("guardian-json", Json),
        ("guardian-new-module", NewModule),
        ("guardian-command", Command),
        ("guardian-node-properties", NodeProperties),
        ("guardian-faults", Faults),
    ):
        app.add_directive(name, directive)
    app.connect("doctree-read", dress)
    app.connect("autodoc-process-docstring", describe_parameters, priority=400)  # before napoleon
    return {"parallel_read_safe": True}
