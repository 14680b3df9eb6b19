"""Processes, threads and pools that are watched: for any Python program, and for user code.

``from guardian.health import register, keepalive, ready`` is all that most programs need. Names are loaded when they
are first used; none of them needs EPICS. In a worker the host looks at what is registered here; anywhere else a thread
of this process does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from guardian.core.heartbeat import Heartbeat
    from guardian.core.hub import Change
    from guardian.enums import ProcessState, Pulse, Recovery
    from guardian.errors import DeadlockDetectedError, ExosError
    from guardian.health.hub import Hub
    from guardian.health.machine import get_sysname, get_system_mac, is_capability_supported, is_stackable
    from guardian.health.methods import install
    from guardian.health.monitor import HealthMonitor
    from guardian.health.monitored import MonitoredThread
    from guardian.health.pool import MonitoredThreadPool
    from guardian.health.process import get_process_name, get_process_state, loading, ready, set_process_name
    from guardian.health.threads import deregister, keepalive, register
    from guardian.health.told import Told, on_change

__all__ = [
    "Change",
    "DeadlockDetectedError",
    "ExosError",
    "HealthMonitor",
    "Heartbeat",
    "Hub",
    "MonitoredThread",
    "MonitoredThreadPool",
    "ProcessState",
    "Pulse",
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
    "core.heartbeat": ("Heartbeat",),
    "core.hub": ("Change",),
    "enums": ("ProcessState", "Pulse", "Recovery"),
    "errors": ("DeadlockDetectedError", "ExosError"),
    "health.hub": ("Hub",),
    "health.machine": ("get_sysname", "get_system_mac", "is_capability_supported", "is_stackable"),
    "health.methods": ("install",),
    "health.monitored": ("MonitoredThread",),
    "health.monitor": ("HealthMonitor",),
    "health.pool": ("MonitoredThreadPool",),
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
