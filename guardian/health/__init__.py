"""Processes, threads and pools that are watched: for any Python program, and for user code.

``from guardian.health import register, keepalive, ready`` is all that most programs need. Names are loaded when they
are first used; none of them needs EPICS. In a worker the host looks at what is registered here; anywhere else a thread
of this process does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from guardian.enums import ProcessState, Recovery
    from guardian.errors import DeadlockDetectedError, ExosError
    from guardian.health.machine import get_sysname, get_system_mac, is_capability_supported, is_stackable
    from guardian.health.methods import install
    from guardian.health.monitored import MonitoredThread
    from guardian.health.process import get_process_name, get_process_state, loading, ready, set_process_name
    from guardian.health.threads import deregister, keepalive, register
    from guardian.health.told import Told, on_change

__all__ = [
    "DeadlockDetectedError",
    "ExosError",
    "MonitoredThread",
    "ProcessState",
    "Recovery",
    "Told",
    "deregister",
    "get_process_name",
    "get_process_state",
    "get_sysname",
    "get_system_mac",
    "install",
    "is_capability_supported",
    "is_stackable",
    "keepalive",
    "loading",
    "on_change",
    "ready",
    "register",
    "set_process_name",
]

#: Where each name is at home, below `guardian`.
_HOMES = {
    "enums": ("ProcessState", "Recovery"),
    "errors": ("DeadlockDetectedError", "ExosError"),
    "health.methods": ("install",),
    "health.machine": ("get_sysname", "get_system_mac", "is_capability_supported", "is_stackable"),
    "health.monitored": ("MonitoredThread",),
    "health.process": ("get_process_name", "get_process_state", "loading", "ready", "set_process_name"),
    "health.threads": ("deregister", "keepalive", "register"),
    "health.told": ("Told", "on_change"),
}
_LAZY = {name: f"guardian.{home}" for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        value = getattr(import_module(_LAZY[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'guardian.health' has no attribute {name!r}")
