"""The guardian control system: state machines that speak EPICS Channel Access.

``from guardian import GuardState, GuardStateDecorator`` is all a state module needs. Names are loaded when they are
first used, so that ``import guardian`` stays light. ``ezca``, ``log`` and ``notify`` exist while a node runs the
module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guardian._version import __version__

if TYPE_CHECKING:
    from guardian.access.channels import Channels
    from guardian.access.manager import NodeManager
    from guardian.access.node import Node
    from guardian.state import GuardState, GuardStateDecorator
    from guardian.state import Log as _Log

    ezca: Channels
    log: _Log
    notify: _Log

__all__ = ["GuardState", "GuardStateDecorator", "Node", "NodeManager", "__version__", "ezca", "log", "notify"]

_LAZY = {
    "GuardState": "guardian.state",
    "GuardStateDecorator": "guardian.state",
    "Node": "guardian.access.node",
    "NodeManager": "guardian.access.manager",
}
_INJECTED = ("ezca", "log", "notify")


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        value = getattr(import_module(_LAZY[name]), name)
        globals()[name] = value
        return value
    if name in _INJECTED:
        import builtins

        try:
            return getattr(builtins, name)
        except AttributeError:
            raise ImportError(
                f"guardian.{name} exists only while a node runs the module; run it with: guardian NODE"
            ) from None
    raise AttributeError(f"module 'guardian' has no attribute {name!r}")
