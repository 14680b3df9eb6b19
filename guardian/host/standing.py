"""How a host and its nodes stand, as guardctrl shows it: plain facts, made for JSON. Times are epoch seconds."""

from __future__ import annotations

import os
import socket
from typing import Any

from guardian._version import __version__
from guardian.core import explain
from guardian.host.host import Host


def node(host: Host, name: str) -> dict[str, Any]:
    """One node in short."""
    view = host[name].view
    return {
        "node": name,
        "state": view.state,
        "request": view.request,
        "status": view.status.name,
        "op": view.op.name,
        "mode": view.mode.name,
        "worker": view.worker.name,
        "ok": explain.is_ok(view),
        "why": explain.why_not_ok(view),
    }


def node_in_full(host: Host, name: str, *, listed: bool) -> dict[str, Any]:
    """The same with what needs to be known of its process. `listed`: the site file, as it was read last, has it."""
    one = host[name]
    return {
        **node(host, name),
        "since": one.view.state_time,
        "request_by": one.view.request_by,
        "manager": one.view.manager,
        "pid": one.pid,
        "listed": listed,
        "leaving": one.leaving,
    }


def service(host: Host, *, keeper: int, file: str) -> dict[str, Any]:
    """The host itself. `keeper`: process id, or 0. `file`: the site file, or ""."""
    site, facts = host.site, host.facts
    not_ok = sum(not explain.is_ok(host[name].view) for name in host)
    return {
        "host": host.name,
        "ifo": site.ifo,
        "machine": socket.gethostname(),
        "running": True,
        "pid": os.getpid(),
        "keeper": keeper,
        "since": 0.0 if facts is None else facts.started,
        "port": host.port,
        "dir": str(site.state_dir.absolute()),
        "file": file,
        "nodes": len(host),
        "not_ok": not_ok,
        "ok": facts is not None and not facts.ailments,
        "why": "" if facts is None else facts.why,
        "version": __version__,
    }
