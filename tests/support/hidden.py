"""Hides installed packages: what finds modules does not find them, as where they are not installed.

In this process by :func:`hide`; in children by :data:`WITHOUT`, a folder for their PYTHONPATH, whose ``sitecustomize``
hides what the environment variable HIDDEN names.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

WITHOUT = Path(__file__).parent / "without"
#: What the extra [ligo] installs.
LIGO = ("ezca", "cdsutils", "pcaspy")


def without_ligo() -> dict[str, str]:
    """Environment of a child in which the extra is not installed."""
    return {"PYTHONPATH": str(WITHOUT), "HIDDEN": " ".join(LIGO)}


@contextmanager
def hidden(names: Collection[str]) -> Iterator[None]:
    """In this block they are neither imported nor found."""
    loaded = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in names}
    for name in loaded:
        del sys.modules[name]
    undo = hide(names)
    try:
        yield
    finally:
        undo()
        sys.modules.update(loaded)


def hide(names: Collection[str]) -> Any:
    """From now on; the answer is what undoes it. A user's file of such a name is found, as it is not installed."""
    find = vars(PathFinder)["find_spec"]

    def find_spec(name: str, path: Any = None, target: Any = None) -> Any:
        spec = find.__func__(PathFinder, name, path, target)
        installed = spec is not None and "-packages" in str(spec.origin)
        return None if installed and name.partition(".")[0] in names else spec

    PathFinder.find_spec = find_spec  # type: ignore[method-assign, assignment]
    return lambda: setattr(PathFinder, "find_spec", find)
