"""What things are called: PVs, nodes, hosts, and the IFO before them. Light, as every command checks such words.

The PV of a row of a node is made by the template of its site, ``{ifo}:GRD-{node}_{name}`` where that says nothing. A
host has PVs too: one under the same name in every host, ``X1:GRD-HOST_NODES``, by which clients find them, and those of
its own, ``X1:GRD-HOST_ctrl7_OK``. So no node begins like that.
"""

from __future__ import annotations

import re
from string import Formatter

from guardian.errors import SystemLoadError

#: The usual template of a site; `{name}` is the row's.
PV_TEMPLATE = "{ifo}:GRD-{node}_{name}"
#: Bytes of a CA string without its closing NUL. The name of a state is one.
STRING_BYTES = NAME_BYTES = 39
#: What stands in the place of the node in the names of the PV that every host has.
HOST_NODE = "HOST"
#: The PV that every host has says which nodes it runs.
NODES_ROW = "NODES"
#: What stands before the name of a host, in the place of the node, in the names of its own PVs.
HOST_PREFIX = "HOST_"
#: Letters of the name of a host.
HOST_LENGTH = 30
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
#: What the name of a node is, and of how many letters at most.
NODE, NODE_LENGTH = re.compile(r"[A-Z][A-Z0-9_-]*"), 30


def pv_name(template: str, *, ifo: str, node: str, name: str) -> str:
    """The one place that builds the name of a PV. An empty IFO takes its colon along."""
    built = template.format(ifo=ifo, node=node, name=name)
    return built[1:] if not ifo and built.startswith(":") else built


def is_node(name: str) -> bool:
    """Whether a node may be called so."""
    return bool(NODE.fullmatch(name)) and len(name) <= NODE_LENGTH and not name.startswith(HOST_PREFIX)


def check_name(name: str) -> None:
    """Refuse what cannot be the name of a node.

    Raises
    ------
    SystemLoadError
    """
    if not is_node(name):
        raise SystemLoadError(
            f"{name!r} is no name for a node: use upper-case letters, digits, _ and -, a letter first, at most "
            f"{NODE_LENGTH} characters, and not {HOST_PREFIX}..."
        )


def why_not_ifo(ifo: str) -> str | None:
    """Why PV names cannot begin like this; None if they can."""
    if len(ifo.encode()) > STRING_BYTES:
        return f"{ifo!r} is too long, {STRING_BYTES} characters fit"
    return None if _is_name(ifo) else f"{ifo!r} cannot be a part of PV names; use plain characters without spaces"


def why_not_host(name: str) -> str | None:
    """Why a host cannot be called so; None if it can."""
    if _HOST.fullmatch(name) and len(name) <= HOST_LENGTH:
        return None
    return f"{name!r} cannot be a part of PV names; use letters, digits, _ and -, at most {HOST_LENGTH} of them"


def why_not_template(template: str) -> str | None:
    """Why PV names cannot be built with this template; None if they can."""
    try:
        parts = [part[1:] for part in Formatter().parse(template) if part[1] is not None]
    except ValueError as error:
        return f"{template!r} cannot be filled ({error})"
    if odd := [name for name, how, conversion in parts if name not in ("ifo", "node", "name") or how or conversion]:
        return f"{template!r} cannot be filled at {', '.join(map(repr, odd))}; write {{ifo}}, {{node}} and {{name}}"
    if missing := [f"{{{name}}}" for name in ("node", "name") if name not in [part[0] for part in parts]]:
        return f"{template!r} gives different PVs the same name; it needs {' and '.join(missing)}"
    name = pv_name(template, ifo="X1", node="NODE", name="STATE")
    return None if _is_name(name) else f"{template!r} gives {name!r}, which is no PV name"


def _is_name(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text
