"""`Node` and `NodeManager`, by which one node watches and commands others.

Many modules of the field import them and never use them, so the names are there. What they do is not: who makes one
is told so.
"""

from __future__ import annotations

from typing import Any


class _NotYet:
    def __init__(self, *_names: Any, **_options: Any) -> None:
        raise NotImplementedError(
            f"{type(self).__name__}: this version of guardian does not manage other nodes yet; read and write their "
            "PVs meanwhile: ezca[':GRD-SUS_MC1_STATE'], ezca[':GRD-SUS_MC1_REQUEST'] = 'ALIGNED'"
        )


class Node(_NotYet):
    """Another node. Cannot be made yet."""


class NodeManager(_NotYet):
    """Other nodes. Cannot be made yet."""
