"""Who runs a node: what its PV HOST and its lock file say, and the sentence for somebody who wanted to run it too.

A claim is made before anything of the node is shown, and says ``runs: false`` until the host has made sure that it is
alone. Of two hosts that claim one node at the same moment the *older* claim has it: the one that was made first, by
the clocks of their machines, or if that is the same the one with the smaller id. Clocks may be wrong; what matters is
that both hosts see the same order.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from guardian.core.texts import clip
from guardian.core.when import utc

#: Bytes of a text in a claim, so that all of it fits its PV.
TEXT_BYTES = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One host and one node.

    Parameters
    ----------
    port : where it serves; 0: not yet. dir : its state directory, for guardctrl.
    since : epoch seconds of the claim. id : of the run of the host.
    host : its name in the names of its own PVs; "": it has none.
    runs : False while it may still step back.
    """

    machine: str
    pid: int
    user: str
    port: int
    dir: str
    since: float
    id: str
    host: str = ""
    runs: bool = False

    @property
    def age(self) -> tuple[float, str]:
        """The smaller one has the node."""
        return self.since, self.id

    @property
    def text(self) -> str:
        """As JSON."""
        values = {k: clip(v, TEXT_BYTES) if isinstance(v, str) else v for k, v in asdict(self).items()}
        return json.dumps(values, separators=(",", ":"), ensure_ascii=False)

    def __str__(self) -> str:
        port = f"port {self.port}, " if self.port else ""
        return f"process {self.pid} of {self.user} on {self.machine}, {port}since {utc(self.since)}"


def parse(text: str | None) -> Claim | None:
    """The claim that `text` is; None if it is none."""
    try:
        values = {"host": "", **json.loads(text or "")}
        claim = Claim(**{name: values[name] for name in Claim.__dataclass_fields__})
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    kinds = {name: type(value) for name, value in asdict(claim).items()}
    return claim if kinds == _KINDS else None


_KINDS = {
    "machine": str,
    "pid": int,
    "user": str,
    "port": int,
    "dir": str,
    "since": float,
    "id": str,
    "host": str,
    "runs": bool,
}


def refusal(node: str, holder: Claim | None, *, lock: str) -> str:
    """Why a node is not started whose lock on this machine is taken."""
    if holder is None:
        return (
            f"{node} is not started: its lock {lock} is held by a process that does not say who it is; "
            f"`fuser {lock}` finds it, stop it first"
        )
    return (
        f"{node} is not started: another host on this machine runs it, {holder}; {_remedy(node, holder)}; or, if the "
        "two are on networks that never meet, give each a lock folder of its own, GUARD_LOCK_DIR"
    )


def clash(node: str, holder: Claim, where: str, *, running: bool = False) -> str:
    """Why a node is not started, or is taken down, that another host has on the network."""
    what = "is taken down: an older host runs it too" if running else "is not started: another host runs it"
    return f"{node} {what}, {holder}, found at {where}; {_remedy(node, holder)}"


def stranger(node: str, pv: str, where: str, *, running: bool = False) -> str:
    """What is wrong if something else serves the PVs of a node."""
    what = "runs, but clients may find another one" if running else "is not started"
    return (
        f"{node} {what}: {where} serves {pv} too, and is no host of this kind, or one whose rules do not let us read "
        "(another Guardian, an IOC?); stop it, or give the node another name"
    )


def _remedy(node: str, holder: Claim) -> str:
    return f"remove it there first (guardctrl --state-dir {holder.dir} destroy {node}), or give this one another name"
