"""Processes, threads and pools that are watched: for any Python program, and for user code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from guardian.core.heartbeat import Heartbeat
    from guardian.core.hub import Change
    from guardian.enums import Pulse
    from guardian.health.hub import Hub
    from guardian.health.monitor import HealthMonitor

__all__ = ["Change", "HealthMonitor", "Heartbeat", "Hub", "Pulse"]

_LAZY = {
    "Change": "guardian.core.hub",
    "HealthMonitor": "guardian.health.monitor",
    "Heartbeat": "guardian.core.heartbeat",
    "Hub": "guardian.health.hub",
    "Pulse": "guardian.enums",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'guardian.health' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value
