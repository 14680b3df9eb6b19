"""What a site decides: for all nodes, for one of them, and for the host itself. Plain values, and how they are read.

The tables of the site file have the names of the fields here, without the unit: ``restart_window`` is
``restart_window_s``. ``site.py`` has seen to it that keys and types are right; here it is said which values make sense.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from guardian.core.deaths import RestartPolicy
from guardian.core.settings import Limits
from guardian.enums import Restart
from guardian.host.settings import OnStart

ON_START: tuple[OnStart, ...] = ("resume", "request", "hold")
#: A restart loop must not be a load of its own; and whoever waits for more than a day waits for a person.
SHORTEST_DELAY_S, LONGEST_DELAY_S = 0.1, 86400.0
#: More is meant as "always".
MOST_RESTARTS = 1_000_000
#: A loop that beats twice a second cannot be told to hang sooner than that.
SHORTEST_HANG_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePolicy:
    """How a node is started, what it is limited by, and what is done when its worker dies (R8, R10, R12, R21)."""

    on_start: OnStart = "resume"
    resume_within_s: float = 600.0
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """What is done when the host itself dies or hangs; see :mod:`guardian.host.keeper`.

    Parameters
    ----------
    hang_after_s : its event loop may stand still for so long; 0.0: for ever.
    """

    restarting: RestartPolicy = field(default_factory=lambda: RestartPolicy(restart=Restart.NEVER))
    hang_after_s: float = 15.0


def faults(table: Mapping[str, Any], where: str, base: Mapping[str, Any] | None = None) -> list[str]:
    """What makes no sense in a table, a sentence each.

    Parameters
    ----------
    where : stands before each key: "policy.". base : the table that counts where this one says nothing.
    """
    found = []
    if (on_start := table.get("on_start", "resume")) not in ON_START:
        found.append(f"{where}on_start = {on_start!r}; use one of {', '.join(ON_START)}")
    restarts = [member.value for member in Restart]
    if (restart := table.get("restart", "never")) not in restarts:
        found.append(f"{where}restart = {restart!r}; use one of {', '.join(restarts)}")
    for key in ("restart_delay", "restart_delay_max"):
        if key in table and not SHORTEST_DELAY_S <= table[key] <= LONGEST_DELAY_S:
            found.append(f"{where}{key} = {table[key]!r}; use {SHORTEST_DELAY_S:g} to {LONGEST_DELAY_S:g} seconds")
    if table.get("restarts", 0) > MOST_RESTARTS:
        found.append(f'{where}restarts = {table["restarts"]}; use 0 to {MOST_RESTARTS}, or restart = "always"')
    longest = {**(base or {}), **table}.get("restart_delay_max", Limits().restart_delay_max_s)
    if longest < table.get("restart_delay", 0):
        found.append(
            f"{where}restart_delay = {table['restart_delay']!r} is longer than restart_delay_max = {longest!r}; "
            "say a longer one of these too"
        )
    if 0 < table.get("hang_after", 0) < SHORTEST_HANG_S:
        found.append(f"{where}hang_after = {table['hang_after']!r}; use at least {SHORTEST_HANG_S:g} seconds, or 0")
    return found


def node_policy(table: Mapping[str, Any], base: NodePolicy | None = None) -> NodePolicy:
    """What a table says, and for the rest what `base` says."""
    base = base or NodePolicy()
    limits = _named(table, Limits)
    if "restart" in limits:
        limits["restart"] = Restart(limits["restart"])
    return replace(base, **_named(table, NodePolicy), limits=replace(base.limits, **limits))


def keeping(table: Mapping[str, Any]) -> Keeping:
    """What the table of the host says."""
    limits = node_policy({"restart": Restart.NEVER.value, **table}).limits
    return Keeping(restarting=limits.restarting, **_named(table, Keeping))


def _named(table: Mapping[str, Any], kind: type) -> dict[str, Any]:
    """What of a table are fields of that dataclass, by the names of the fields."""
    known = {each.name for each in fields(kind)}
    return {name: value for key, value in table.items() for name in (key, f"{key}_s") if name in known}
