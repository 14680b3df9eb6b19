"""``guardctrl create|destroy|start|stop|restart NODE...``: to a host on this machine, through its control socket.

Nodes come and go there while the others run and notice nothing. No Channel Access is needed, so these orders also work
where the host is deaf; and only the user who runs the host may give them. Many nodes are ordered at the same time.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from guardian.cli.ctrl import WrongCall, add_nodes, prepare, say
from guardian.cli.ctrl.find import agreed, is_pattern, some
from guardian.cli.ctrl.places import ask_at, ask_host, place_of
from guardian.cli.orders import Order
from guardian.cli.output import FAILED, OK
from guardian.errors import ExpectedError
from guardian.host.asking import NoHost
from guardian.host.waits import END_S, RESTART_S

_DONE = {
    "create": "{node} is added and starts",
    "destroy": "{node} is removed; its settings are kept",
    "start": "{node}: OP=EXEC",
    "stop": "{node}: OP=STOP",
    "restart": "{node}: a new worker runs, process {pid}",
}
_STOPPED = "{node} is added, and is stopped as before; guardctrl start {node}"
_PAUSED = "{node}: a new worker is there, process {pid}; OP=PAUSE still, OP=EXEC goes on"
WHICH_HOST = "Which host: --state-dir or --site, else that of --ifo or $IFO, else the one that runs the node."
_ABOUT = {
    "create": "Which host: --state-dir or --site, else that of --ifo or $IFO. A pattern means the nodes that its site "
    "file lists and that do not run.",
    "restart": "PVs stay up, OP, MODE and REQUEST as they are; the node begins in INIT. A node that was given up is "
    f"reset; one that is stopped stays so, and that is told. {WHICH_HOST}",
}
#: An answer comes when it is done, or the host has given up on it.
_TIMES_S = {"destroy": END_S + 15, "restart": RESTART_S + 15}
_PATTERN = "name of the node, or a pattern: 'SUS_*'"
_AT_ONCE = 32


def define(order: Order) -> None:
    """What each takes."""
    prepare(order, _tell, about=_ABOUT.get(order.name, WHICH_HOST))
    add_nodes(order, text=_PATTERN)
    order.add_argument("--yes", action="store_true", help="do not ask, however many nodes there are")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What became of one node. `note`: what else is to be known."""

    node: str
    ok: bool
    text: str
    note: str = ""
    no_host: bool = False

    @property
    def facts(self) -> dict[str, str | bool]:
        return {key: value for key, value in asdict(self).items() if value or key not in ("note", "no_host")}


def _tell(options: argparse.Namespace) -> int:
    nodes = _meant(options)
    if not agreed(options.do, nodes, yes=options.yes):
        raise ExpectedError("nothing was done")
    places = {node: _place(node, options) for node in nodes}  # before there are threads: libca may be asked
    told = []
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for said in pool.map(lambda node: _one(node, places[node], options), nodes):
            told.append(said)
            if not said.ok and not (said.no_host and any(one.text == said.text for one in told[:-1])):
                say(said.text)
            elif said.ok and not options.json:
                print(said.text, *([f"  {said.note}"] if said.note else []), sep="\n", flush=True)
    if options.json:
        print(json.dumps([said.facts for said in told]))
    return OK if all(said.ok for said in told) else FAILED


def _place(node: str, options: argparse.Namespace) -> Path | ExpectedError:
    try:
        return place_of("" if options.do == "create" else node, options)
    except WrongCall:
        raise
    except ExpectedError as error:
        return error


def _one(node: str, place: Path | ExpectedError, options: argparse.Namespace) -> _Said:
    do = options.do
    try:
        if isinstance(place, ExpectedError):
            raise place
        answer = ask_at(place, options, {"do": do, "node": node}, timeout_s=_TIMES_S.get(do, 15.0))
    except ExpectedError as error:
        return _Said(node=node, ok=False, text=str(error), no_host=isinstance(error, NoHost))
    text = _DONE[do]
    if answer.get("worker") == "PAUSE":
        text = _PAUSED
    elif answer.get("op") == "STOP":
        text = _STOPPED
    return _Said(node=node, ok=True, text=text.format(**answer), note=answer.get("note", ""))


def _meant(options: argparse.Namespace) -> list[str]:
    """The nodes that the words mean, in their order, each once. Only for a pattern the host is asked which it runs.

    Raises
    ------
    ExpectedError
        A pattern matches no node, or no host answers.
    """
    if not any(map(is_pattern, options.nodes)):
        return list(dict.fromkeys(options.nodes))
    answer = ask_host("", options, {"do": "status"})
    there = answer["missing"] if options.do == "create" else [one["node"] for one in answer["nodes"]]
    return list(dict.fromkeys(node for word in options.nodes for node in _matching(word, there, options.do)))


def _matching(word: str, there: list[str], do: str) -> Iterator[str]:
    if not is_pattern(word):
        yield word
        return
    matching = [node for node in there if fnmatchcase(node, word)]
    if not matching:
        if do == "create":
            what = f"listed and not running are {some(there)}" if there else "all that it lists run"
            raise ExpectedError(f"the site file, as it was read last, lists no node {word!r} that does not run; {what}")
        what = f"it runs {some(there)}" if there else "it runs none"
        raise ExpectedError(f"no node of this host matches {word!r}; {what}")
    yield from matching
