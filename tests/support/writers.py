"""Twenty clients that write the settings of nodes as fast as they can, each in a process of its own.

Each has one setting of one node for itself, so it is known what is to be there in the end: what it was confirmed last,
or something that it wrote after that.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from tests.support.child import Child
from tests.support.writer import STATES

SETTINGS = ("REQUEST", "MODE", "OP", "MANAGER")
KINDS = ("pyepics", "caproto", "raw")
NODES = tuple(f"N{number}" for number in range(5))
#: A ring of states; the index of S0 is 1, as the writers write it.
MODULE = f"""\
from guardian import GuardState
for n in range({STATES}):
    globals()[f'S{{n}}'] = type(f'S{{n}}', (GuardState,), {{'index': n + 1}})
request = 'S0'
edges = [('INIT', 'S0')] + [(f'S{{n}}', f'S{{(n + 1) % {STATES}}}') for n in range({STATES})]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one of them has done, see :mod:`tests.support.writer`."""

    node: str
    setting: str
    kind: str
    confirmed: str
    since: list[str]
    taken: int
    refused: int
    lost: str

    @property
    def possible(self) -> set[str]:
        """What the setting may be now."""
        return {self.confirmed, *self.since}


class Writers:
    """Context manager; they are connected, and wait for :meth:`go`."""

    def __init__(self, prefix: str, env: Mapping[str, str]) -> None:
        script = Path(__file__).parent / "writer.py"
        kinds = itertools.cycle(KINDS)
        self._children: dict[tuple[str, str, str], Child] = {}
        for at, node in enumerate(NODES):
            for setting in SETTINGS:
                kind = next(kinds)
                argv = [sys.executable, script, kind, prefix, node, setting, NODES[at - 1]]
                self._children[node, setting, kind] = Child(argv, env=env, stdin=True)

    def __len__(self) -> int:
        return len(self._children)

    def go(self) -> None:
        """All begin, when all are ready."""
        for child in self._children.values():
            child.wait_for("READY", 120)
        for child in self._children.values():
            child.send("\n")

    def end(self, *settings: str) -> list[Result]:
        """Those that write these settings end, with a write that is confirmed."""
        for (_, setting, _), child in self._children.items():
            if setting in settings:
                child.send("\n")
        return self.results(*settings)

    def results(self, *settings: str) -> list[Result]:
        """What those say that have ended, or are about to as their host is gone."""
        chosen = [one for one in self._children.items() if one[0][1] in settings]
        with ThreadPoolExecutor(len(chosen)) as threads:
            said = threads.map(lambda one: one[1].wait_for(r"^RESULT (.*)$", 120)[1], chosen)
            found = [(key, json.loads(text)) for (key, _), text in zip(chosen, said, strict=True)]
        return [Result(node=node, setting=setting, kind=kind, **told) for (node, setting, kind), told in found]

    def __enter__(self) -> Writers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for child in self._children.values():
            child.close()
