"""What the archive says of one load of code: ``states.json``, the states with their numbers, and where files lay."""

from __future__ import annotations

import json
from collections.abc import Iterable

from guardian._version import __version__
from guardian.core.documents import graph_facts
from guardian.core.graph import Graph, SystemFacts
from guardian.core.sources import LARGEST_BYTES, SourceFile, named


def states_document(
    *, node: str, ifo: str, paths: Iterable[str], facts: SystemFacts, graph: Graph, files: Iterable[SourceFile]
) -> bytes:
    """The file :data:`STATES`: JSON, a line a fact, the same for the same code."""
    files = tuple(files)
    document = {
        "node": node,
        "ifo": ifo,
        "guardian": __version__,
        "module": facts.module,
        "paths": list(paths),
        "request": facts.request,
        "nominal": facts.nominal,
        "prefix": facts.prefix,
        "files": {name: {"path": file.path, "blob": file.blob} for name, file in named(files).items()},
        "left_out": {file.path: file.blob for file in files if file.size > LARGEST_BYTES},
        **graph_facts(graph),
    }
    return json.dumps(document, indent=1).encode() + b"\n"
