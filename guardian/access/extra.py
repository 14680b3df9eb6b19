"""The extra [ligo]: whether its package ``ezca`` is there, and what only it can do. Imports nothing of it."""

from __future__ import annotations

import sys
from importlib.util import find_spec

PACKAGE = "ezca"
#: What is imported where it is installed: the one file that imports it.
MODULE = "guardian.access.ligo"
#: What to do where it is not installed, or does not work.
GET = "pip install 'epics-guardian[ligo]'"
#: What only the package can do.
TOOLS = (
    *("switch", "LIGOFilter", "get_LIGOFilter", "LIGOFilterManager", "get_LIGOFilterManager"),
    *("pvs", "burtrb", "burtwb"),
    *("is_ramping", "is_gain_ramping", "is_offset_ramping", "ramp_gain", "ramp_offset"),
)


def is_installed() -> bool:
    """Whether there is a package of that name; a user's file ``ezca.py`` is none."""
    loaded = sys.modules.get(PACKAGE)
    if loaded is not None:
        return hasattr(loaded, "__path__")
    spec = find_spec(PACKAGE)
    return spec is not None and spec.submodule_search_locations is not None
