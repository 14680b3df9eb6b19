"""What the demo shows: its nodes and its plant, read over Channel Access as any client would.

On a terminal a table that redraws in place, elsewhere plain lines when something has changed. Nothing here knows the
host from inside; a node that does not answer is shown as such.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from guardian.client.ca import STRING, Channel, Reading, Session

_FIELDS = ("STATE", "REQUEST", "STATUS", "OK", "MANAGER", "USERMSG", "WHY")
_COLUMNS = ("node", "PID", "STATE", "REQUEST", "STATUS", "OK")
_LOST = "?"
#: Plain lines: how often at most, and how often at least.
_SOONEST_S, _LATEST_S = 2.0, 30.0
#: What a node says is cut in the table, so that the page fits a terminal: WHY of a manager may be long.
_SAID = 100
_BAR = 30
_ROOM = 40  # lines of a terminal
_LINE = 39
_FULL_POWER = 100.0


class Watch:
    """The newest values of everything the table shows, by monitors.

    Attributes
    ----------
    pids : node -> process id of its worker; whoever shows the table sets it.
    """

    def __init__(self, ifo: str, nodes: Sequence[str]) -> None:
        self.ifo = ifo
        self.nodes = tuple(nodes)
        self.pids: Mapping[str, int] = {}
        self._session = Session()
        self._channels: dict[str, Channel] = {}
        self._values: dict[str, str] = {}
        for node in nodes:
            for field in _FIELDS:
                self._add(f"{ifo}:GRD-{node}_{field}")
        self._add(f"{ifo}:IMC-TRANS")
        self._add(f"{ifo}:IMC-LOCKED")

    def missing(self) -> list[str]:
        """PVs that have no value yet. Must be called until there are none: it takes up what has connected."""
        for name, channel in list(self._channels.items()):
            if channel.connected:
                # As text, so an enum comes as its label; what holds long texts, CHAR arrays, comes as it is.
                kind = None if name.endswith(("_USERMSG", "_WHY", "-TRANS")) else STRING
                channel.monitor(kind, 0, lambda reading, name=name: self._told(name, reading))  # type: ignore[misc]
                del self._channels[name]
        return [name for name in self._values if self._values[name] == _LOST]

    def node(self, node: str) -> dict[str, str]:
        """The values of a node, by the name of the PV."""
        return {field: self._values[f"{self.ifo}:GRD-{node}_{field}"] for field in _FIELDS}

    def tree(self) -> list[tuple[str, str]]:
        """The nodes, those that are managed below their manager, each with the branch it hangs on."""
        return branches({node: self.node(node)["MANAGER"] for node in self.nodes})

    def says(self, node: str) -> str:
        """What user code has to say, else why the node is not OK."""
        values = self.node(node)
        return values["USERMSG"] or values["WHY"]

    def power(self) -> float:
        """Transmitted power, in mW."""
        try:
            return float(self._values[f"{self.ifo}:IMC-TRANS"])
        except ValueError:
            return 0.0

    def locked(self) -> bool:
        return self._values[f"{self.ifo}:IMC-LOCKED"] == "YES"

    def _add(self, name: str) -> None:
        self._values[name] = _LOST
        self._channels[name] = self._session.channel(name, lambda up: None if up else self._lost(name))

    def _told(self, name: str, reading: Reading) -> None:
        self._values[name] = reading.text()

    def _lost(self, name: str) -> None:
        self._values[name] = _LOST


def branches(managers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Branch and name of each node, from the names of their managers. What is managed in a circle hangs nowhere."""
    rows: list[tuple[str, str]] = []

    def hang(manager: str, stem: str) -> None:
        below = [node for node in managers if managers[node] == manager]
        for node in below:
            last = node == below[-1]
            rows.append((f"{stem}{'`- ' if last else '|- '}", node))
            hang(node, f"{stem}{'   ' if last else '|  '}")

    for node, manager in managers.items():
        if manager not in managers:
            rows.append(("", node))
            hang(node, "")
    hung = {node for _, node in rows}
    return rows + [("", node) for node in managers if node not in hung]


def show(
    watch: Watch, screens: Sequence[str], lines: Sequence[tuple[str, str]], turn: Callable[[], None], *, plain: bool
) -> None:
    """Show the table until `turn`, which is called again and again and takes its time, raises.

    Parameters
    ----------
    screens : lines that say where they are. lines : to paste, each with what it does.
    """
    console = Console(highlight=False)
    if plain or not console.is_terminal or console.is_dumb_terminal:
        _show_plain(watch, screens, lines, turn)
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            live.update(_page(console, watch, screens, lines), refresh=True)
            turn()


def _page(console: Console, watch: Watch, screens: Sequence[str], lines: Sequence[tuple[str, str]]) -> Group:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, expand=True)
    for column in _COLUMNS:
        table.add_column(column, no_wrap=True)
    # Where there is little room, what to type and how to log in stands before the whole of a long message.
    table.add_column("what it says, else WHY", ratio=1, no_wrap=console.height < _ROOM, overflow="ellipsis")
    for branch, node in watch.tree():
        v = watch.node(node)
        ok = v["OK"] == "True"
        colour = "green" if ok else "yellow"
        table.add_row(
            Text.assemble((branch, "dim"), (node, "bold")),
            str(watch.pids.get(node, "-")),
            Text(v["STATE"], colour),
            v["REQUEST"],
            v["STATUS"],
            Text("yes" if ok else "no", colour),
            Text(_cut(watch.says(node))),
        )
    power, locked = watch.power(), watch.locked()
    full = round(min(max(power / _FULL_POWER, 0.0), 1.0) * _BAR)
    light = Text.assemble(
        ("cavity    ", "bold"),
        f"{power:5.1f} mW transmitted  ",
        ("#" * full, "green" if locked else "yellow"),
        ("." * (_BAR - full), "dim"),
        "  locked" if locked else "  not locked",
    )
    return Group(
        "",
        table,
        "",
        light,
        "",
        *(Text(line, "bold", overflow="fold") for line in screens),
        Text("Lines for a second terminal (or there: make demo-shell):", "bold"),
        *(
            Text.assemble("  ", (f"{line:{_LINE}}", "cyan"), "  ", (what, "dim"), overflow="fold")
            for line, what in lines
        ),
        Text("Ctrl-C ends the demo.", "bold"),
    )


def _cut(text: str) -> str:
    return text if len(text) <= _SAID else f"{text[: _SAID - 4]} ..."


def _show_plain(
    watch: Watch, screens: Sequence[str], lines: Sequence[tuple[str, str]], turn: Callable[[], None]
) -> None:
    print(*screens, sep="\n")
    print("Lines for a second terminal:")
    for line, what in lines:
        print(f"  {line:{_LINE}}  # {what}")
    print("Ctrl-C ends the demo.", flush=True)
    before, told_at = "", 0.0
    while True:
        facts = "\n".join(
            f"{branch + node:13} {v['STATE']:10} -> {v['REQUEST']:10} {v['STATUS']:8} OK={v['OK']:5}  "
            f"{watch.says(node)}".rstrip()
            for branch, node in watch.tree()
            for v in [watch.node(node)]
        )
        age = time.monotonic() - told_at
        if (facts != before and age > _SOONEST_S) or age > _LATEST_S:
            light = f"{'cavity':13} {watch.power():.1f} mW transmitted, {'locked' if watch.locked() else 'not locked'}"
            print(f"\n{time.strftime('%H:%M:%S')}\n{facts}\n{light}", flush=True)
            before, told_at = facts, time.monotonic()
        turn()
