"""One host a node: who has it, of several that want to run it.

Two hosts that run one node would both drive its hardware. So before a node is shown, and before any of its code runs,
its host

1. takes its lock, which keeps out the hosts of this machine (:mod:`guardian.host.locks`). This comes before all else:
   who starts a host twice shall hear of its nodes, and not that a port is taken;
2. shows its *claim*: the PV HOST, alone, with ``runs: false``. Clients of the node are not disturbed by that;
3. asks the network who else shows or claims it (:meth:`guardian.host.face.Face.elsewhere`), for all nodes at once.

Whoever finds a host that runs the node, a claim older than its own, or PVs of this name that are no host's, steps back.
Whoever finds younger claims only asks again until they are gone, or come true.

**Never two.** Each shows its claim before it asks, so of two that want the node at least the one that showed its claim
later finds the other one's. If that is the younger one, it steps back. If it is the older one, it waits for the other,
which either has found it too, and steps back; or has not, and runs: then it steps back itself.

**Never none**, as long as somebody is left who decides: the oldest claim steps back only for a host that runs, or will.

All that holds while hosts can reach each other. A host that was too busy to answer gets free, a network that was down
when they started, or was cut in two, heals: so every host asks again, :data:`FIRST_LOOK_S` after its start and then
ever more rarely, down to once in :data:`LOOK_S` (:meth:`Claims.lost`), and of two hosts that run one node the one with
the younger claim takes it down. A stranger's PVs are only told then: nobody stops a running node by starting an IOC.

Seen, with real hosts, some hundred times each way: ``tests/system/test_rivals.py``.

Cost: 0.3 s at the start, for one node or for three hundred; then some datagrams a minute.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from guardian.core.ailments import Ailment
from guardian.core.interface import BY_NAME
from guardian.core.names import pv_name
from guardian.enums import Severity
from guardian.host import hostname
from guardian.host.claim import Claim, clash, parse, refusal, stranger
from guardian.host.face import Elsewhere, Face, Update
from guardian.host.locks import Locks
from guardian.host.site import Site
from guardian.host.users import user_name

FIRST_LOOK_S, LOOK_S = 1.0, 60.0
#: A younger claim that neither comes true nor goes in this time is left alone: we step back.
PATIENCE_S = 10.0
#: Who has just taken a lock, perhaps one that a dead host left behind with its words, has written its own in this time.
WORDS_S = 0.2
_HOST = BY_NAME["HOST"]
#: In the place of a reason to step back: nothing is decided yet.
_ASK_AGAIN = ""


class Claims:
    """The claims of one host.

    Parameters
    ----------
    id : of this run of the host. warn : takes a sentence for the log.
    """

    def __init__(self, site: Site, face: Face, locks: Locks, *, id: str, warn: Callable[[str], None]) -> None:
        self._site = site
        self._face = face
        self._locks = locks
        self._id = id
        self._warn = warn
        self.host = ""  #: its name, told with every claim
        self._mine: dict[str, Claim] = {}
        self._staked: set[str] = set()
        self._told: set[str] = set()
        self._lockless: dict[str, str] = {}  # what could not be locked, and why

    def us(self) -> Claim:
        """Who we are, before we serve."""
        return Claim(
            machine=socket.gethostname(),
            pid=os.getpid(),
            user=user_name(),
            port=0,
            dir=str(self._site.state_dir.absolute()),
            since=round(time.time(), 6),
            id=self._id,
            host=self.host,
        )

    def lock(self, node: str) -> str | None:
        """Keep the other hosts of this machine out. Says why that cannot be, if one of them has it.

        :meth:`stake` follows, when the face serves, or :meth:`withdraw`.
        """
        claim, pv = self.us(), self._pv(node)
        until = time.monotonic() + WORDS_S
        try:
            while (words := self._locks.take(pv, claim.text)) is not None:
                holder = parse(words)
                if (holder is not None and _may_live(holder)) or time.monotonic() > until:
                    return refusal(node, holder, lock=str(self._locks.path(pv)))
                time.sleep(WORDS_S / 20)  # it has the lock, and is about to write who it is
        except OSError as error:
            self._without_lock(pv, error)
        self._mine[node] = claim
        return None

    def name_host(self) -> None:
        """Find the name of this host, which every claim tells; once, before the first one."""
        if self.host:
            return
        try:
            self.host = hostname.take(self._site, self._locks, self.us().text)
        except OSError as error:
            self.host = hostname.first(self._site)
            self._without_lock(hostname.lock_of(self._site, self.host), error)

    def _without_lock(self, name: str, error: OSError) -> None:
        self._lockless[name] = (
            f"locks in {self._locks.directory} cannot be used: {error.strerror}. Another host on this machine that "
            "runs the same node is found only if the network shows it, one of the same name not at all; mend the "
            "folder, or name another one with GUARD_LOCK_DIR"
        )

    def ailment(self) -> Ailment | None:
        """What is wrong with the locks."""
        why = next(iter(self._lockless.values()), None)
        return None if why is None else Ailment(what="locks", severity=Severity.MINOR, text=why)

    def mend_locks(self) -> None:
        """Take what could not be taken before, if the folder can be used again."""
        with contextlib.suppress(OSError):
            for name in list(self._lockless):
                self._locks.take(name, self.us().text)  # who has it meanwhile is found by `lost`
                del self._lockless[name]
            for node, claim in self._mine.items():
                self._locks.write(self._pv(node), claim.text)

    async def stake(self, nodes: Sequence[str]) -> dict[str, str]:
        """Claim nodes that are locked, and make sure that no other host has them.

        Returns
        -------
        dict
            The nodes that somebody else has, each with a sentence that says so; they are withdrawn. The others are
            ours: they are to be shown, or withdrawn.
        """
        for node in nodes:
            claim = self._mine[node] = replace(self._mine[node], port=self._face.port)
            self._locks.write(self._pv(node), claim.text)
            self._face.claim(node, Update(_HOST, claim.text, Severity.NO_ALARM), claim.since)
            self._staked.add(node)
        refused: dict[str, str] = {}
        undecided = list(nodes)
        until = time.monotonic() + PATIENCE_S
        while undecided:
            patient = time.monotonic() < until
            found = await self._elsewhere(undecided)
            verdicts = {node: self._judge(node, found.get(node, ()), patient=patient) for node in undecided}
            for node, why in verdicts.items():
                if why:
                    self.withdraw(node)
                    refused[node] = why
            undecided = [node for node, why in verdicts.items() if why == _ASK_AGAIN]
        return refused

    def shown(self, node: str) -> str:
        """What HOST says once the node runs here."""
        return replace(self._mine[node], runs=True).text

    def withdraw(self, node: str) -> None:
        """We do not run it after all."""
        if node in self._staked:
            self._face.close(node)
        self.release(node)

    def release(self, node: str) -> None:
        """It has ended here."""
        self._staked.discard(node)
        self._lockless.pop(self._pv(node), None)
        if self._mine.pop(node, None) is not None:
            self._locks.give(self._pv(node))

    async def lost(self, nodes: Sequence[str]) -> dict[str, str]:
        """Those of these nodes, which run here, that an older host runs too; each with a sentence that says so."""
        lost: dict[str, str] = {}
        for node, others in (await self._elsewhere(nodes)).items():
            for other in others:
                mine, claim = self._mine.get(node), parse(other.host)
                if mine is None:
                    break  # it has left meanwhile
                if claim is None:
                    self._warn_once(stranger(node, self._pv(node), other.where, running=True))
                elif claim.id != self._id and claim.runs and claim.age < mine.age:
                    lost[node] = clash(node, claim, other.where, running=True)
        return lost

    # --- inside

    def _pv(self, node: str) -> str:
        """What tells a node from all others that a client can see."""
        return pv_name(self._site.pv, ifo=self._site.ifo, node=node, name="STATE")

    async def _elsewhere(self, nodes: Sequence[str]) -> Mapping[str, Sequence[Elsewhere]]:
        try:
            return await self._face.elsewhere(nodes)
        except Exception as error:  # a fault of ours must not keep a machine from running
            self._warn_once(f"nobody could be asked whether another host runs {nodes[0]}: {error!r}; please report it")
            return {}

    def _judge(self, node: str, others: Sequence[Elsewhere], *, patient: bool) -> str | None:
        """Why we step back; None if it is ours. Of several who have it the one is named that keeps it."""
        claims: list[tuple[Claim, str]] = []
        for other in others:
            claim = parse(other.host)
            if claim is None:
                return stranger(node, self._pv(node), other.where)
            if claim.id != self._id:
                claims.append((claim, other.where))
        if not claims:
            return None
        first, where = min(claims, key=lambda one: (not one[0].runs, one[0].age))
        if first.runs or first.age < self._mine[node].age or not patient:
            return clash(node, first, where)
        return _ASK_AGAIN

    def _warn_once(self, sentence: str) -> None:
        if sentence not in self._told:
            self._told.add(sentence)
            self._warn(sentence)


def _may_live(holder: Claim) -> bool:
    """Whether it may be the one that holds a lock; not if it is known to be dead, and these are its last words."""
    if holder.machine != socket.gethostname():
        return True
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        pass  # of another user
    return True
