"""The ONE place that puts names into builtins for user code.

Real modules, and the helper libraries they import, use ``ezca``, ``log``, ``notify``, ``SYSTEM`` and ``IFO`` without
defining or importing them, so they must be there before the first line of user code runs.
"""

from __future__ import annotations

import builtins
import os
from collections.abc import Callable
from typing import Any

_names: dict[str, Any] = {}


def inject(*, node: str, ifo: str, site: str, ezca: Any, log: Callable[..., None], notify: Callable[..., None]) -> None:
    """Give user code its names: ezca, log, notify, SYSTEM, IFO, SITE; IFO and SITE in the environment as well."""
    _names.update(ezca=ezca, log=log, notify=notify, SYSTEM=node, IFO=ifo, SITE=site)
    renew()
    os.environ["IFO"] = ifo
    os.environ["SITE"] = site


def renew() -> None:
    """What earlier code has done to these names does not reach the code that is imported next."""
    vars(builtins).update(_names)
