"""``guardctrl status`` without a node: the service and its nodes, a line each, through the control socket of a host.

No Channel Access is needed. Where systemd has a service of that host, its line comes first. Of a host that does not run
it is told since when, and what its nodes were asked for, as its state directory says.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from guardian.cli.ctrl import say
from guardian.cli.ctrl.names import control_socket
from guardian.cli.ctrl.places import LOOK_S, hosts_here, ifo_meant, silent_here
from guardian.cli.ctrl.service import about
from guardian.cli.output import FAILED, OK
from guardian.core.texts import printable
from guardian.core.when import span, utc
from guardian.errors import ExpectedError
from guardian.host.asking import NoHost, ask
from guardian.host.places import SYSTEM_SITES

Facts = dict[str, Any]


def overview(options: argparse.Namespace) -> int:
    """Show it. Exit code 1 if a host does not run, or is not OK, or one of its nodes is not."""
    usual = control_socket(options)
    if options.site or options.state_dir:
        return _one(usual, options)
    found = list(hosts_here(ifo_meant(options)))
    silent = silent_here()
    if silent and not found:
        raise ExpectedError("; ".join(silent))
    for why in silent:
        say(why)
    code = _several(found, options) if len(found) > 1 else _one(found[0] if found else usual, options)
    return FAILED if silent else code


def _several(places: Sequence[Path], options: argparse.Namespace) -> int:
    services = []
    for place in places:
        try:
            services.append(_with_unit(_asked(place), options)["service"])
        except ExpectedError as error:
            say(str(error))
    if options.json:
        print(json.dumps({"services": services}))
    else:
        for service in services:
            print(*service_lines(service), sep="\n")
    well = len(services) == len(places) and all(one["ok"] and not one["not_ok"] for one in services)
    return OK if well else FAILED


def _one(place: Path, options: argparse.Namespace) -> int:
    try:
        told = _asked(place)
    except NoHost:
        told = _absent(place.parent, options)
    told = _with_unit(told, options)
    if options.json:
        print(json.dumps(told))
    else:
        print(*service_lines(told["service"]), sep="\n")
        for line in node_lines(told):
            print(f"  {printable(line)}")
    well = told["service"]["ok"] and all(node["ok"] for node in told["nodes"])
    return OK if well and not told["coming"] and not told["missing"] else FAILED


def _asked(place: Path) -> Facts:
    told = ask(place, {"do": "status"}, LOOK_S)
    return {"coming": [], **{key: told[key] for key in ("service", "nodes", "coming", "missing") if key in told}}


def _with_unit(told: Facts, options: argparse.Namespace) -> Facts:
    """The same, and in ``unit`` what systemd says of the service; "" where there is none."""
    service = told["service"]
    file = service.get("file") or options.site or SYSTEM_SITES / f"{Path(service['dir']).name}.toml"
    return {**told, "service": {**service, "unit": about(Path(file))}}


def _absent(directory: Path, options: argparse.Namespace) -> Facts:
    """What the state directory of a host that does not run says.

    Raises
    ------
    NoHost
        It says nothing: no host was ever there.
    """
    from guardian.host.store import peek

    alive_at, stored = peek(directory)
    if not stored:
        start = f"guardhost --site {options.site}" if options.site else "guardhost --site FILE"
        raise NoHost(f"no host runs with the state directory {directory}, and none ever has; to start one: {start}")
    nodes = [
        {
            "node": name,
            "ok": False,
            "why": "its host does not run",
            "request": settings.request,
            "op": settings.op.name,
            "mode": settings.mode.name,
            "request_by": settings.request_by,
            "manager": settings.manager,
        }
        for name, settings in stored.items()
    ]
    service = {"running": False, "ok": False, "dir": str(directory), "until": alive_at, "nodes": len(nodes)}
    return {"service": service, "nodes": nodes, "coming": [], "missing": []}


def service_lines(service: Facts) -> Iterator[str]:
    """The service, if there is one, and its host, a line each."""
    if service["unit"]:
        yield service["unit"]
    yield _host_line(service)


def _host_line(service: Facts) -> str:
    if not service["running"]:
        until = service["until"]
        when = f" since {utc(until)}, {span(max(0.0, time.time() - until))} ago" if until else ""
        return f"not running{when}; state directory {service['dir']}. Its nodes had been asked for:"
    name = f"{service['ifo']} {service['host']}".strip()
    number = service["nodes"]
    parts = [
        f"running since {utc(service['since'])}",
        f"pid {service['pid']}" + (f" (keeper {service['keeper']})" if service["keeper"] else ""),
        f"port {service['port']}",
        f"{number} node{'' if number == 1 else 's'}, {service['not_ok']} not OK",
        service["file"] or service["dir"],
    ]
    return f"{name}: {', '.join(parts)}" + (f". {service['why']}" if service["why"] else "")


def node_lines(told: Facts) -> Iterator[str]:
    """The nodes, a line each, in columns."""
    if not told["service"]["running"]:
        rows = [_stored(node) for node in told["nodes"]]
    else:
        rows = [_running(node, has_file=bool(told["service"]["file"])) for node in told["nodes"]]
        rows += [(name, "-", "", "", "", "", "is about to be added") for name in told["coming"]]
        rows += [(name, "-", "", "", "", "", f"does not run; guardctrl create {name}") for name in told["missing"]]
    if not rows:
        return
    widths = [max(len(cell) for cell in column) for column in list(zip(*rows, strict=True))[:-1]]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        yield "  ".join(cell for cell in (*cells, row[-1]) if cell).rstrip()


def _running(node: Facts, *, has_file: bool) -> tuple[str, ...]:
    notes = [] if node["ok"] else [node["why"] or "no nominal state"]
    if node["leaving"]:
        notes.append("is being removed")
    elif has_file and not node["listed"]:
        notes.append("not in the site file")
    way = node["state"] if node["state"] == node["request"] else f"{node['state']} -> {node['request']}"
    worker = f"{node['worker']} {node['pid']}" if node["pid"] else node["worker"]
    return (node["node"], "OK" if node["ok"] else "--", way, node["mode"], node["op"], worker, "; ".join(notes))


def _stored(node: Facts) -> tuple[str, ...]:
    by = f"by {node['request_by']}" if node["request_by"] else ""
    return (node["node"], node["request"] or "(the module's)", node["mode"], node["op"], by)
