"""Heartbeats of a host for a hub outside, as its site file says: ``[health]``.

They are sent by a thread, and carry the counter that the event loop moves once a second; so a hub sees whether the
host is gone or hangs (:mod:`guardian.health.monitor`). It also hears what the host says of itself: OK and WHY, how many
nodes it runs and how many of these are not OK.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guardian.core.heartbeat import LONGEST_S, SHORTEST_S, STALL_PERIODS, TEXT_LENGTH, Fact
from guardian.core.host_rows import HostFacts
from guardian.core.texts import clip
from guardian.errors import ExosError, ExpectedError

if TYPE_CHECKING:
    from guardian.health.monitor import HealthMonitor

#: What a site file may say.
KEYS: dict[str, type | tuple[type, ...]] = {"webhook": str, "webhook_every": (int, float), "token_file": str}
#: The loop beats once a second: what stands for less is no stall.
SHORTEST_STALL_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """Who hears of a host.

    Parameters
    ----------
    webhook : address of a hub; "": nobody hears of it. every_s : how often. token_file : what is in it goes along.
    """

    webhook: str = ""
    every_s: float = 10.0
    token_file: Path | None = None


def faults(table: Mapping[str, Any], where: str) -> list[str]:
    """What is wrong with ``[health]``, a sentence each."""
    found = []
    if "webhook" not in table and table:
        found.append(f"{where}webhook is missing; write the address of the hub, or leave the table out")
    if not SHORTEST_S <= table.get("webhook_every", 10.0) <= LONGEST_S:
        found.append(f"{where}webhook_every = {table['webhook_every']}; use {SHORTEST_S:g} to {LONGEST_S:g} seconds")
    if "webhook" in table:
        from guardian.health.webhook import Webhook  # heavy (TLS), and few hosts have one

        try:
            Webhook(table["webhook"])
        except ExosError as error:
            found.append(f"{where}webhook: {error}")
    return found


def outside(table: Mapping[str, Any], here: Path) -> Outside:
    """What ``[health]`` says; paths are relative to `here`."""
    return Outside(
        webhook=table.get("webhook", ""),
        every_s=float(table.get("webhook_every", 10.0)),
        token_file=here / table["token_file"] if "token_file" in table else None,
    )


def monitor(told: Outside, facts: Callable[[], HostFacts]) -> HealthMonitor | None:
    """What sends the heartbeats of a host; None if nobody is to hear of it.

    Parameters
    ----------
    facts : what is known of the host at present. Called in another thread.

    Raises
    ------
    ExpectedError
        The token cannot be read, or is none.
    """
    if not told.webhook:
        return None
    from guardian.health.monitor import HealthMonitor

    try:
        return HealthMonitor(
            facts().process.name,
            period_s=told.every_s,
            stall_s=max(STALL_PERIODS * told.every_s, SHORTEST_STALL_S),
            webhook=told.webhook,
            token=_token(told.token_file),
            facts=lambda: _said(facts()),
            state=lambda: facts().process.state,
            late=lambda: facts().late,
        )
    except ExosError as error:
        raise ExpectedError(f"heartbeats to {told.webhook}: {error}") from None


def _token(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ExpectedError(f"health.token_file {file}: {why}; the host must be able to read it") from None
    if not token:
        raise ExpectedError(f"health.token_file {file} is empty; write the token of the hub into it")
    return token


def _said(facts: HostFacts) -> dict[str, Fact]:
    return {
        "ok": not facts.ailments,
        "why": clip(facts.why, TEXT_LENGTH),
        "nodes": facts.nodes,
        "nodes_not_ok": facts.nodes_not_ok,
    }
