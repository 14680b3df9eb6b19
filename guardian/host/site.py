"""What a host is told: the site file (TOML) or the command line, checked and typed.

A site file names the machine and its nodes; all of it is optional but ``nodes``::

    ifo = "X1"                          # first part of every PV name, may be empty
    site = "LAB"                        # what user code sees as SITE
    nodes = ["SUS_MC1", "IMC_LOCK"]
    path = ["nodes"]                    # folders with modules, relative to this file
    port = 5064                         # Channel Access; 0: any free one
    pv = "{ifo}:GRD-{node}_{name}"      # how PV names are built
    state_dir = "/var/lib/guardian/x1"  # settings, journal, control socket
    log = "guardian.log"                # default: standard output

    [policy]
    on_start = "resume"                 # or "request", "hold" (R21)
    resume_within = 600                 # seconds
    redirect_timeout = 2.0              # seconds (R8)
    stop_timeout = 1.0                  # seconds (R10)
    restarts = 3                        # of a worker that died, within restart_window seconds (R12)
    restart_window = 60
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from guardian.core.interface import PV_TEMPLATE, STRING_BYTES, pv_name
from guardian.core.settings import Limits
from guardian.errors import ExpectedError
from guardian.host.settings import OnStart

CONTROL_SOCKET = "control.sock"
ON_START: tuple[OnStart, ...] = ("resume", "request", "hold")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Everything a host needs to know before it starts.

    Parameters
    ----------
    port : Channel Access port; None: 5064, or a free one where that is taken; 0: a free one.
    paths : folders with system modules, absolute, in order.
    log : file for the log; None: standard output.
    """

    ifo: str = ""
    site: str = ""
    nodes: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    port: int | None = None
    pv: str = PV_TEMPLATE
    state_dir: Path = field(default_factory=lambda: default_state_dir(""))
    log: Path | None = None
    on_start: OnStart = "resume"
    resume_within_s: float = 600.0
    fresh: bool = False
    limits: Limits = field(default_factory=Limits)

    @property
    def control_socket(self) -> Path:
        return self.state_dir / CONTROL_SOCKET


def default_state_dir(name: str) -> Path:
    """Where a host keeps its state when nobody says where: $XDG_STATE_HOME/guardian/NAME."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "guardian" / (name.lower() or "default")


def read_site(path: Path) -> Site:
    """The site that a file describes.

    Raises
    ------
    ExpectedError
        Naming the file and every fault in it.
    """
    try:
        data = tomllib.loads(path.read_text())
    except OSError as error:
        raise ExpectedError(f"site file {path}: {error.strerror}; give the path of a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ExpectedError(f"site file {path}: {error}") from None
    faults: list[str] = []
    values = _typed(data, _SITE_KEYS, "", faults)
    policy = _typed(data.get("policy", {}), _POLICY_KEYS, "policy.", faults) if "policy" in data else {}
    if "pv" in values and (why := why_not_template(values["pv"])):
        faults.append(f"pv: {why}")
    if policy.get("on_start", "resume") not in ON_START:
        faults.append(f"policy.on_start = {policy['on_start']!r}; use one of {', '.join(ON_START)}")
    if not values.get("nodes"):
        faults.append('nodes is missing; write nodes = ["NODE", ...]')
    if faults:
        raise ExpectedError(f"site file {path}: " + "; ".join(faults))
    return _site(values, policy, path.resolve().parent)


def why_not_template(template: str) -> str | None:
    """Why PV names cannot be built with this template; None if they can."""
    try:
        name = pv_name(template, ifo="X1", node="N" * 30, name="LOAD_STATUS")
        other = pv_name(template, ifo="X1", node="M", name="OP")
    except (KeyError, IndexError, ValueError) as error:
        return f"{template!r} cannot be filled ({error!r}); it knows {{ifo}}, {{node}} and {{name}}"
    if "{node}" not in template or "{name}" not in template or name == other:
        return f"{template!r} gives different PVs the same name; it needs {{node}} and {{name}}"
    return None if name.isascii() and " " not in name else f"{template!r} gives {name!r}, which is no PV name"


def with_paths(site: Site, paths: tuple[str, ...]) -> Site:
    return replace(site, paths=tuple(dict.fromkeys((*site.paths, *paths))))


_SITE_KEYS: dict[str, type | tuple[type, ...]] = {
    "ifo": str,
    "site": str,
    "nodes": list,
    "path": list,
    "port": int,
    "pv": str,
    "state_dir": str,
    "log": str,
    "policy": dict,
}
_POLICY_KEYS: dict[str, type | tuple[type, ...]] = {
    "on_start": str,
    "resume_within": (int, float),
    "redirect_timeout": (int, float),
    "stop_timeout": (int, float),
    "restarts": int,
    "restart_window": (int, float),
}


def _typed(data: Mapping[str, Any], keys: Mapping[str, Any], where: str, faults: list[str]) -> dict[str, Any]:
    good: dict[str, Any] = {}
    for key, value in data.items():
        kind = keys.get(key)
        if kind is None:
            faults.append(f"{where}{key} is unknown; known are {', '.join(keys)}")
        elif not isinstance(value, kind) or isinstance(value, bool):
            faults.append(f"{where}{key} = {value!r} is of the wrong type")
        elif isinstance(value, list) and not all(isinstance(v, str) for v in value):
            faults.append(f"{where}{key} = {value!r} must list texts")
        elif isinstance(value, (int, float)) and value < 0:
            faults.append(f"{where}{key} = {value!r} is negative")
        else:
            good[key] = value
    if (ifo := good.get("ifo")) and len(ifo.encode()) > STRING_BYTES:
        faults.append(f"{where}ifo = {ifo!r} is too long")
    return good


def _site(values: dict[str, Any], policy: dict[str, Any], here: Path) -> Site:
    ifo = values.get("ifo", "")
    name = values.get("site", "") or ifo
    known = {f.name for f in fields(Limits)}
    limits = {f"{k}_s" if f"{k}_s" in known else k: policy[k] for k in policy if k in known or f"{k}_s" in known}
    return Site(
        ifo=ifo,
        site=values.get("site", ""),
        nodes=tuple(dict.fromkeys(values["nodes"])),
        paths=tuple(str((here / p).resolve()) for p in values.get("path", ())),
        port=values.get("port"),
        pv=values.get("pv", PV_TEMPLATE),
        state_dir=here / values["state_dir"] if "state_dir" in values else default_state_dir(name),
        log=here / values["log"] if "log" in values else None,
        on_start=policy.get("on_start", "resume"),
        resume_within_s=float(policy.get("resume_within", 600.0)),
        limits=Limits(**limits),
    )
