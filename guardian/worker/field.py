"""What modules of the field import beside ``guardian``: the packages ``ezca`` and ``cdsutils``.

``from ezca import Ezca`` is how helper libraries tell channels from other things (``isinstance(x, Ezca)``), and
``EzcaConnectError`` is what they catch. Where the package is not installed, a module of that name stands for it, with
the classes of this package. Nothing stands for ``cdsutils``: a module that needs it says so, with the way to get it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from guardian.access import extra

_EZCA = {
    "Ezca": ("guardian.access.injected", "chosen"),
    "EzcaError": ("guardian.errors", "EzcaError"),
    "EzcaConnectError": ("guardian.errors", "EzcaConnectError"),
}
_GET = {
    "cdsutils": extra.GET,
    "kagralib": "it is KAGRA's own, put it in one of the search paths",
}


def provide_ezca() -> None:
    """Have ``import ezca`` find a module, unless there is a package or a user's file of that name."""
    if "ezca" in sys.modules or find_spec("ezca") is not None:
        return
    module = ModuleType("ezca", "The names of LIGO's ezca that user code imports, as this package has them.")
    vars(module).update(__all__=list(_EZCA), __getattr__=_ezca)
    sys.modules["ezca"] = module


def _ezca(name: str) -> Any:
    """What `ezca` holds, loaded when it is first asked for."""
    if name not in _EZCA:
        raise AttributeError(
            f"module 'ezca' has no attribute {name!r}: this is guardian's own, not LIGO's package; to get that: "
            f"{extra.GET}"
        )
    home, what = _EZCA[name]
    found = getattr(import_module(home), what)
    return found() if what == "chosen" else found


def how_to_get(error: BaseException, paths: Sequence[str]) -> str:
    """What to do about a module that cannot be found; "" for any other error."""
    if not isinstance(error, ModuleNotFoundError) or not isinstance(error.name, str):
        return ""
    if error.name in _GET:
        return f"; to get it: {_GET[error.name]}"
    return f"; install it for {sys.executable}, or put the file in one of {', '.join(paths) or 'the search paths'}"
