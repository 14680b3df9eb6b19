"""The code that one node has loaded: put together from what its processes tell, and handed to the archive.

A worker, and the process of a check, tell which files they have compiled just before they say that the code is good.
Whether that code then counts is decided by the automaton: in a running node it is the worker's, in a stopped one that
of the check. So what was told last before the load counted is what was loaded.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from guardian.core.archived import states_document
from guardian.core.events import Loaded, Reloaded, Sources, Step
from guardian.core.graph import Graph, SystemFacts
from guardian.core.sources import SourceFile
from guardian.host.archive import Archive, CodeLoad
from guardian.host.edits import Edits


class LoadedCode:
    """What one node runs.

    Parameters
    ----------
    paths : where its modules are looked for.
    """

    def __init__(self, node: str, ifo: str, paths: Sequence[str], archive: Archive, edits: Edits) -> None:
        self._node = node
        self._ifo = ifo
        self.paths = tuple(paths)  #: those of the present worker
        self._archive = archive
        self._edits = edits
        self._coming: dict[bool, tuple[int, tuple[SourceFile, ...]]] = {}  # by whether a check tells: which, and so far
        self._told: tuple[SourceFile, ...] = ()  # of the code that is about to be told good
        self._good: SystemFacts | None = None  # of the code that was told good last
        self._facts: SystemFacts | None = None  # of that which counts
        self._asked_by = ""
        self._load_time = 0.0
        self._graph: Graph | None = None

    @property
    def archived(self) -> tuple[str, ...]:
        """Names of contents that a process of this node need not tell again."""
        return self._archive.contents(self._node)

    @property
    def id(self) -> str:
        """ARCHIVE_ID."""
        return self._archive.id(self._node)

    @property
    def changed(self) -> bool:
        """CODE_CHANGED."""
        return self._edits.changed(self._node)

    def hear(self, number: int, report: Sources, *, check: bool = False) -> None:
        """A process tells which files it has compiled.

        Parameters
        ----------
        number : of the worker, or of the check. A worker and a check may tell at the same time; and one that has died
            in the middle of telling never comes to the end.
        """
        before, files = self._coming.pop(check, (number, ()))
        files = (*files, *report.files) if before == number else report.files
        if report.more:
            self._coming[check] = number, files
            return
        self._told = files
        if report.late and self._graph is not None:
            self._keep(time.time(), late=True)

    def good(self, report: Loaded | Reloaded) -> None:
        """It says that they are good."""
        self._good = report.facts

    def step(self, step: Step) -> None:
        """A step that tells of a load: who has asked for one, or that the code counts now."""
        if step.by:
            self._asked_by = step.by
        view = step.view
        if view.load_time != self._load_time and view.graph is not None:
            self._load_time, self._graph, self._facts = view.load_time, view.graph, self._good
            self._keep(self._load_time, by=self._asked_by)
            self._asked_by = ""

    def forget(self) -> None:
        """The node leaves the host."""
        self._archive.leave(self._node)
        self._edits.forget(self._node)

    def _keep(self, at: float, *, by: str = "", late: bool = False) -> None:
        if self._facts is None or self._graph is None or not self._told:
            return  # whoever runs the code tells no files
        states = states_document(
            node=self._node, ifo=self._ifo, paths=self.paths, facts=self._facts, graph=self._graph, files=self._told
        )
        self._archive.keep(CodeLoad(node=self._node, by=by, at=at, states=states, files=self._told, late=late))
        self._edits.watch(self._node, {file.path: file.blob for file in self._told})
