"""What a host is told: the site file (TOML) or the command line, checked and typed.

A site file names the machine and its nodes; all of it is optional but ``nodes``::

    ifo = "X1"                          # first part of every PV name, may be empty
    site = "LAB"                        # what user code sees as SITE
    host = "ctrl7"                      # this host, in the names of its own PVs; default: the machine's name
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
    restart = "on-failure"              # of a worker that died (R12): or "never", "always"
    restarts = 3                        # so often, within restart_window seconds of its life
    restart_window = 60
    restart_delay = 0.5                 # seconds; twice as long before each further one,
    restart_delay_max = 30              # up to so many
    slow_after = 300                    # a call that takes longer is told; 0: none is
    watchdog = 0                        # a call that takes longer has hung, and its worker is killed; 0: none has

    [node.SUS_MC1]                      # what is otherwise for one node: any key of [policy]
    restart = "always"

    [keeper]                            # of the host itself
    restart = "on-failure"              # default: "never"; the other keys as above, and
    hang_after = 15                     # seconds that its loop may stand still; 0: for ever

    [logs]                              # what nodes and their code say
    files = true                        # each node has files of its own
    dir = "/var/log/guardian/x1"        # where; default: state_dir/logs
    file_mb = 8                         # a file that has grown so large is put aside, with its date in its name
    total_mb = 1000                     # of all nodes; the oldest of those that have most are removed
    lines_per_s = 200                   # of one worker, in the long run,
    burst_lines = 1000                  # and at once; what it says beyond is counted
    level = "INFO"                      # LOGLEVEL where nobody has said otherwise

    [journal]                           # the record of what nodes did
    file_mb = 16                        # a file that has grown so large is put aside, with its date in its name
    total_mb = 256                      # the oldest are removed, so that all together are no larger

    [archive]                           # the code that was loaded, in a git repository
    dir = "/net/guardian/x1.git"        # where; hosts may share it; default: state_dir/archive.git
    enabled = true                      # false: nothing is archived

    [health]                            # whom the host sends heartbeats; without it: nobody
    webhook = "http://hub.lab.example:8090/"
    webhook_every = 10                  # seconds
    token_file = "hub.token"            # what the hub wants to see, on one line

    [access]                            # without it: programs on this machine write, all others read
    operators = ["10.1.2.0/24"]         # may write everything
    hosts = ["ctrl7.lab.example"]       # machines whose nodes manage ours
    acf = "guardian.acf"                # or an EPICS access security file decides
    check_addresses = false             # by addresses, not by the host names that clients claim
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from guardian.core.interface import BY_NAME
from guardian.core.names import PV_TEMPLATE, check_name, pv_name, why_not_host, why_not_ifo, why_not_template
from guardian.core.settings import Limits
from guardian.errors import ExpectedError
from guardian.host import archive, heartbeats, logrules, policies, rotation
from guardian.host.access import Access, why_not_entry
from guardian.host.archive import Archiving
from guardian.host.heartbeats import Outside
from guardian.host.logrules import LogRules
from guardian.host.places import (
    ARCHIVE,
    CONTROL_SOCKET,
    LOGS,
    MAX_PORT,
    SYSTEM_SITES,
    SYSTEM_STATE,
    default_state_dir,
)
from guardian.host.policies import Keeping, NodePolicy
from guardian.host.reading import read_bytes
from guardian.host.rotation import Bounds
from guardian.host.settings import OnStart

#: The largest whole number that a site file may say; a float holds each below.
MOST = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Everything a host needs to know before it starts.

    Parameters
    ----------
    host : its name among the hosts of this IFO; "": that of the machine.
    port : Channel Access port; None: 5064, or a free one where that is taken; 0: a free one.
    paths : folders with system modules, absolute, in order.
    log : file for the log; None: standard output.
    on_start, resume_within_s, limits : for all nodes but those in `own`, which have a policy of their own.
    keeping : what is done when the host itself dies or hangs.
    logs : how the log is kept.
    journal : how much of the journal is kept.
    archive : where the code that nodes load is archived.
    outside : who hears of the host.
    access : who may write.
    """

    ifo: str = ""
    site: str = ""
    host: str = ""
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
    own: Mapping[str, NodePolicy] = field(default_factory=dict)
    keeping: Keeping = field(default_factory=Keeping)
    logs: LogRules = field(default_factory=LogRules)
    journal: Bounds = field(default_factory=Bounds)
    archive: Archiving = field(default_factory=Archiving)
    outside: Outside = field(default_factory=Outside)
    access: Access = field(default_factory=Access)

    @property
    def log_folder(self) -> Path:
        """Where the log files of its nodes are."""
        return self.logs.folder or self.state_dir / LOGS

    @property
    def archive_dir(self) -> Path:
        """The repository of the code that was loaded."""
        return self.archive.dir or self.state_dir / ARCHIVE

    @property
    def control_socket(self) -> Path:
        return self.state_dir / CONTROL_SOCKET

    def policy(self, node: str) -> NodePolicy:
        """What counts for a node."""
        everybody = NodePolicy(on_start=self.on_start, resume_within_s=self.resume_within_s, limits=self.limits)
        return self.own.get(node, everybody)


def read_site(path: Path) -> Site:
    """The site that a file describes.

    Raises
    ------
    ExpectedError
        Naming the file and every fault in it.
    """
    try:
        data = tomllib.loads(read_bytes(path).decode())
    except OSError as error:
        raise ExpectedError(f"site file {path}: {error.strerror}; give the path of a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ExpectedError(f"site file {path}: {error}") from None
    except RecursionError:
        raise ExpectedError(f"site file {path}: its lists or tables are nested too deeply") from None
    faults: list[str] = []
    values = _typed(data, _SITE_KEYS, "", faults)
    policy = _typed(values.get("policy", {}), _POLICY_KEYS, "policy.", faults)
    keeper = _typed(values.get("keeper", {}), _KEEPER_KEYS, "keeper.", faults)
    nodes = _node_tables(values.get("node", {}), values.get("nodes", ()), policy, faults)
    tables = {name: _typed(values.get(name, {}), table.keys, f"{name}.", faults) for name, table in _TABLES.items()}
    access = _typed(values.get("access", {}), _ACCESS_KEYS, "access.", faults)
    if why := why_not_ifo(values.get("ifo", "")):
        faults.append(f"ifo: {why}")
    if "host" in values and (why := why_not_host(values["host"])):
        faults.append(f"host: {why}")
    if "pv" in values and (why := why_not_template(values["pv"])):
        faults.append(f"pv: {why}")
    if values.get("port", 0) > MAX_PORT:
        faults.append(f"port = {values['port']} is no port, use 0 to {MAX_PORT}")
    faults += policies.faults(policy, "policy.") + policies.faults(keeper, "keeper.")
    for name, table in _TABLES.items():
        faults += table.faults(tables[name], f"{name}.")
    faults += _access_faults(access)
    faults += _node_faults(values.get("nodes", [])) if "nodes" in values or "nodes" not in data else ()
    if faults:
        raise ExpectedError(f"site file {path}: " + "; ".join(faults))
    everybody = policies.node_policy(policy)
    site = replace(
        _site(values, everybody, path),
        own={node: policies.node_policy(table, everybody) for node, table in nodes.items()},
        keeping=policies.keeping(keeper),
        **{table.name: table.make(tables[name], path.resolve().parent) for name, table in _TABLES.items()},
        access=_access(access, path.resolve()),
    )
    if clashes := _clashes(site):
        raise ExpectedError(f"site file {path}: " + "; ".join(clashes))
    return site


def pv_names(site: Site, node: str) -> list[str]:
    """All PVs of a node."""
    return [pv_name(site.pv, ifo=site.ifo, node=node, name=row) for row in BY_NAME]


def _node_faults(nodes: list[str]) -> list[str]:
    if not nodes:
        return ['nodes is missing; write nodes = ["NODE", ...]']
    faults = []
    for node in nodes:
        try:
            check_name(node)
        except ExpectedError as error:
            faults.append(f"nodes: {error}")
    return faults


def _node_tables(
    tables: Mapping[str, Any], nodes: list[str], policy: Mapping[str, Any], faults: list[str]
) -> dict[str, dict[str, Any]]:
    """The tables ``[node.NAME]``; `policy` counts where they say nothing."""
    good = {}
    for node, table in tables.items():
        if not isinstance(table, dict):
            faults.append(f"node.{node} = {table!r} is no table; write [node.{node}] above its keys")
        elif node not in nodes:
            faults.append(f"[node.{node}]: {node} is none of nodes; add it there, or correct the name")
        else:
            good[node] = _typed(table, _POLICY_KEYS, f"node.{node}.", faults)
            faults += policies.faults(good[node], f"node.{node}.", policy)
    return good


def _access_faults(access: Mapping[str, Any]) -> list[str]:
    lists = ("operators", "hosts")
    faults = [f"access.{key}: {why}" for key in lists for text in access.get(key, ()) if (why := why_not_entry(text))]
    if "acf" in access and (both := [key for key in lists if key in access]):
        faults.append(f"access.acf decides alone; leave out {' and '.join(both)}, or acf")
    if "check_addresses" in access and "acf" not in access:
        faults.append("access.check_addresses is for access.acf; operators and hosts go by address anyway")
    return faults


def _access(access: Mapping[str, Any], path: Path) -> Access:
    return Access(
        operators=tuple(access.get("operators", ())),
        hosts=tuple(access.get("hosts", ())),
        acf=path.parent / access["acf"] if "acf" in access else None,
        check_addresses=access.get("check_addresses", False),
        file=path,
    )


def _clashes(site: Site) -> list[str]:
    """Two nodes with one PV: M and M_LOAD both have M_LOAD_STATUS."""
    seen: dict[str, str] = {}
    found = []
    for node in site.nodes:
        mine = pv_names(site, node)
        if clash := next((pv for pv in mine if pv in seen), None):
            found.append(f"nodes: {node} and {seen[clash]} would both have the PV {clash}; rename one, or change pv")
        seen.update(dict.fromkeys(mine, node))
    return found


_SITE_KEYS: dict[str, type | tuple[type, ...]] = {
    "ifo": str,
    "site": str,
    "host": str,
    "nodes": list,
    "path": list,
    "port": int,
    "pv": str,
    "state_dir": str,
    "log": str,
    "policy": dict,
    "node": dict,
    "keeper": dict,
    "journal": dict,
    "archive": dict,
    "logs": dict,
    "health": dict,
    "access": dict,
}
_RESTART_KEYS: dict[str, type | tuple[type, ...]] = {
    "restart": str,
    "restarts": int,
    "restart_window": (int, float),
    "restart_delay": (int, float),
    "restart_delay_max": (int, float),
}
_POLICY_KEYS: dict[str, type | tuple[type, ...]] = {
    "on_start": str,
    "resume_within": (int, float),
    "redirect_timeout": (int, float),
    "stop_timeout": (int, float),
    **_RESTART_KEYS,
    "slow_after": (int, float),
    "watchdog": (int, float),
}
_KEEPER_KEYS: dict[str, type | tuple[type, ...]] = {**_RESTART_KEYS, "hang_after": (int, float)}
_ACCESS_KEYS: dict[str, type | tuple[type, ...]] = {
    "operators": list,
    "hosts": list,
    "acf": str,
    "check_addresses": bool,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """A table of the file that is read where what it says is used.

    Parameters
    ----------
    name : of the field of :class:`Site`. keys : what it may say, and of which types.
    faults : what makes no sense in it, given what stands before each key. make : the field; paths begin at the folder.
    """

    name: str
    keys: Mapping[str, type | tuple[type, ...]]
    faults: Callable[[Mapping[str, Any], str], list[str]]
    make: Callable[[Mapping[str, Any], Path], Any]


_TABLES = {
    "logs": _Table(name="logs", keys=logrules.KEYS, faults=logrules.faults, make=logrules.rules),
    "journal": _Table(
        name="journal", keys=rotation.KEYS, faults=rotation.faults, make=lambda table, _: rotation.bounds(table)
    ),
    "archive": _Table(name="archive", keys=archive.KEYS, faults=lambda *_: [], make=archive.archiving),
    "health": _Table(name="outside", keys=heartbeats.KEYS, faults=heartbeats.faults, make=heartbeats.outside),
}


def key_of(name: str) -> str:
    """The key or table of the file that a field of :class:`Site` comes from."""
    tables = {"keeping": "keeper", **{table.name: key for key, table in _TABLES.items()}}
    return tables.get(name, name)


def _typed(data: Mapping[str, Any], keys: Mapping[str, Any], where: str, faults: list[str]) -> dict[str, Any]:
    good: dict[str, Any] = {}
    for key, value in data.items():
        kind = keys.get(key)
        if kind is None:
            faults.append(f"{where}{key} is unknown; known are {', '.join(keys)}")
        elif not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            faults.append(f"{where}{key} = {value!r} is of the wrong type")
        elif isinstance(value, list) and not all(isinstance(v, str) for v in value):
            faults.append(f"{where}{key} = {value!r} must list texts")
        elif isinstance(value, (str, list)) and any("\0" in text for text in value):
            faults.append(f"{where}{key} = {value!r} has a NUL, which no name can have")
        elif isinstance(value, (int, float)) and not value >= 0:  # nan is not, either
            faults.append(f"{where}{key} = {value!r}; use a number that is not negative")
        elif isinstance(value, int) and value > MOST:
            faults.append(f"{where}{key} is larger than any number that makes sense here; use fewer digits")
        elif value == "" and key not in ("ifo", "site"):
            faults.append(f"{where}{key} is empty; leave it out, or say something")
        else:
            good[key] = value
    return good


def _site(values: dict[str, Any], policy: NodePolicy, path: Path) -> Site:
    ifo, here = values.get("ifo", ""), path.resolve().parent
    state_dir = default_state_dir(values.get("site", "") or ifo)
    if path.absolute().parent == SYSTEM_SITES:
        state_dir = SYSTEM_STATE / path.stem
    return Site(
        ifo=ifo,
        site=values.get("site", ""),
        host=values.get("host", ""),
        nodes=tuple(dict.fromkeys(values["nodes"])),
        paths=tuple(str((here / p).resolve()) for p in values.get("path", ())),
        port=values.get("port"),
        pv=values.get("pv", PV_TEMPLATE),
        state_dir=here / values["state_dir"] if "state_dir" in values else state_dir,
        log=here / values["log"] if "log" in values else None,
        on_start=policy.on_start,
        resume_within_s=policy.resume_within_s,
        limits=policy.limits,
    )
