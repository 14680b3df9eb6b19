"""All nodes that one node manages or watches: who they are, what was asked of them, and who is told when they change.

A thread of our own, the keeper, sleeps until a channel has news. It does what must not depend on what user code does:
monitors are started, lost nodes searched for, and the host is told how the others are (WHY of a manager goes on with
theirs). User code is never called from here; a change wakes the loop, which calls run() (R18).

What was asked (:class:`guardian.core.peer.Bond`) outlives the code that asked: a LOAD finds it here, and a new worker
gets it from the host, which is told before anything is written.
"""

from __future__ import annotations

import _thread
import itertools
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

from guardian.access.bells import Bell, Bells
from guardian.access.channel import Channel
from guardian.access.channels import Channels
from guardian.access.subordinate import Subordinate
from guardian.core.events import Bonds, Report, Subnodes
from guardian.core.names import pv_name
from guardian.core.peer import Bond, BondFacts, Peer, manages, of_facts
from guardian.core.view import Subnode

#: At the first look, how long one goes on waiting after the last node that answered; in all, and while none answers.
PATIENCE_S = 0.75
LONGEST_LOOK_S = 3.0
#: How often lost nodes are looked after, and the host is told, at most.
TICK_S = 0.25
#: The keeper looks at all nodes at a time: not as often as one of hundreds has news, and not while user code is called
#: for that news, which is what others wait for.
REST_S = 0.02
#: A node that no object speaks of any more is forgotten after so long: code may make its objects where it uses them.
LINGER_S = 5.0
#: Where one node has just not answered, others are waited for as long as an answer takes: a host that hangs has many.
HURRY_S = 2.0
HURRIED_S = 0.02


class Subordinates:
    """The other nodes of one node, which is `me`.

    Parameters
    ----------
    ifo, template : of the names of PVs.
    channels : opens channels. bonds : what the last worker had asked. notify, log : those of user code.
    report : tells the host. changed : called from any thread when another node may have changed.
    """

    def __init__(
        self,
        me: str,
        *,
        ifo: str,
        template: str,
        channels: Channels,
        bonds: Sequence[BondFacts],
        notify: Callable[[str], None],
        log: Callable[[str], None],
        report: Callable[[Report], None],
        changed: Callable[[], None],
    ) -> None:
        self.me = me
        self.notify = notify
        self.log = log
        self._ifo = ifo
        self._template = template
        self._channels = channels
        self._report = report
        self._changed = changed
        self._bells = Bells("other nodes")
        self._awake = Bell()
        self._nodes: dict[str, Subordinate] = {}
        self._stored = {facts.key: facts for facts in bonds}
        self._bonds: dict[str, Bond] = {}
        self._owners: WeakValueDictionary[str, Any] = WeakValueDictionary()
        self._importing = False
        self._joining = threading.RLock()  # a __del__ or a signal handler of user code may make a Node, too
        self._keeping = threading.Lock()  # held by the keeper as long as it lives
        self._troubles: dict[str, str] = {}
        self._pid = os.getpid()
        self._token = secrets.token_hex(4)
        self._numbers = itertools.count(1)
        self._told: tuple[Subnode, ...] = ()
        self._told_at = float("-inf")
        self._looked = True
        self._progress_at = self._looking_since = 0.0
        self._present = 0
        self._unanswered_at = float("-inf")

    # --- who they are ------------------------------------------------------------------------------------------

    def join(self, name: str, owner: Any) -> tuple[Subordinate, Bond]:
        """A Node object has been made: what it speaks of, and what it has asked.

        A bond is that of an object of the same node, and the same turn if there are several, which earlier code made
        when it was imported. An object that is made while states run begins without.
        """
        with self._joining:
            node = self._nodes.get(name)
            if node is None:
                node = self._nodes[name] = Subordinate(
                    name, partial(self._open, name), self._channels.give_back, self._news
                )
                now = time.monotonic()
                if self._looked:
                    self._looked, self._looking_since, self._progress_at = False, now, now
            node.owners.add(owner)
            turn = 1
            while (key := name if turn == 1 else f"{name}/{turn}") in self._owners:
                turn += 1
            self._owners[key] = owner
            bond = self._bonds.get(key) if self._importing else None
            if bond is None:
                stored = self._stored.pop(key, None)
                bond = of_facts(name, stored) if stored is not None and self._importing else Bond(node=name)
            self._bonds[key] = bond
        # User code is interrupted anywhere, also here: `threading.Thread` and `Event` would not survive that.
        if not self._keeping.locked():
            _thread.start_new_thread(self._keep_watch, ())
        self._awake.ring()
        return node, bond

    def lives_here(self) -> bool:
        """Whether this is the process that watches the nodes, and no child that user code has forked."""
        return os.getpid() == self._pid

    @contextmanager
    def importing(self) -> Iterator[None]:
        """While user code is imported: Node objects made now keep what was asked by those before (R11)."""
        owners, bonds = self._owners, dict(self._bonds)
        self._owners, self._importing = WeakValueDictionary(), True
        try:
            yield
        except BaseException:  # whatever ends an import, the old code goes on
            self._owners, self._bonds = owners, bonds
            raise
        finally:
            self._importing = False

    def _open(self, node: str, row: str, news: Callable[[], None]) -> Channel:
        channel = self._channels.apart(pv_name(self._template, ifo=self._ifo, node=node, name=row), news)
        try:
            channel.open()
        except BaseException:  # an interrupt, too
            self._channels.give_back([channel])
            raise
        return channel

    @property
    def commands(self) -> bool:
        """Whether nodes are commanded at all (``EZCA_CA``)."""
        return self._channels.use.writes

    # --- looking and waiting -----------------------------------------------------------------------------------

    def look(self) -> None:
        """Once after nodes were named: wait for those that are about to answer, and not for those that are not there.

        All connect at once, so what is missing costs the same however many there are.
        """
        if not self._looked and self.lives_here():
            self._bells.wait(self._seen_enough, self._looking_since + LONGEST_LOOK_S)
            self._looked = True

    def _seen_enough(self) -> bool:
        present, now = sum(node.peer() is not None for node in tuple(self._nodes.values())), time.monotonic()
        if present != self._present:
            self._present, self._progress_at = present, now
        return present == len(self._nodes) or (present > 0 and now - self._progress_at > PATIENCE_S)

    def wait(self, ready: Callable[[], bool], timeout_s: float) -> bool:
        """True as soon as ``ready()`` is, asked after each change; False after `timeout_s`."""
        return self._bells.wait(ready, time.monotonic() + timeout_s)

    def confirm(self, answered: Callable[[], bool], timeout_s: float) -> None:
        """Wait for the answer to what was written, less patiently after another node has not answered in time."""
        hurried = time.monotonic() - self._unanswered_at < HURRY_S
        if not self.wait(answered, HURRIED_S if hurried else timeout_s):
            self._unanswered_at = time.monotonic()

    # --- what was asked ----------------------------------------------------------------------------------------

    def new_id(self) -> str:
        """The id of a request: of nobody else, and of no other time."""
        return f"{self.me}#{self._token}.{next(self._numbers)}"

    def keep(self) -> None:
        """Tell the host what was asked. Before it is written: what a dead worker has written must be known.

        In the middle of an import, what was asked by objects that are still to be made is told again.
        """
        bonds, importing = dict(self._bonds), self._importing
        facts = [bonds[key].facts(key) for key in sorted(bonds) if importing or key in self._owners]
        if importing:
            facts += [one for key, one in sorted(self._stored.copy().items()) if key not in bonds]
        self._report(Bonds(bonds=tuple(one for one in facts if one.state or one.managed)))

    # --- the keeper --------------------------------------------------------------------------------------------

    def _news(self) -> None:
        """In a thread of libca."""
        self._bells.ring()
        self._awake.ring()
        self._changed()

    def _keep_watch(self) -> None:
        if not self._keeping.acquire(blocking=False):
            return  # there is one
        wait_s: float | None = TICK_S
        while True:
            self._awake.wait(wait_s)
            time.sleep(REST_S)
            now = time.monotonic()
            again = False
            for name, node in tuple(self._nodes.items()):
                again = self._tend(name, node, now) or again
            wait_s = TICK_S if self._tell(now) or again else None

    def _tend(self, name: str, node: Subordinate, now: float) -> bool:
        """True if it is to be tended again soon. What goes wrong with one node is told, and spoils no other."""
        try:
            again = not self._forgotten(name, node, now) and (node.tend(now) or not node.owners)
        except Exception as error:
            trouble = f"{name}: cannot be watched: {type(error).__name__}: {error}"
            if self._troubles.get(name) != trouble:
                self._troubles[name] = trouble
                self.log(trouble)
            return True
        self._troubles.pop(name, None)
        return again

    def _forgotten(self, name: str, node: Subordinate, now: float) -> bool:
        """Whether no Node object has spoken of it for a while; then it is closed."""
        with self._joining:
            if node.owners or self._importing:
                node.wanted_at = now
            if now - node.wanted_at < LINGER_S:
                return False
            del self._nodes[name]
            for key in [key for key, bond in self._bonds.items() if bond.node == name]:
                del self._bonds[key]
        self._channels.give_back(node.channels())
        return True

    def _tell(self, now: float) -> bool:
        """Tell the host how the others are; True if it is too early to."""
        taken = {bond.node for bond in tuple(self._bonds.values()) if bond.managed}
        present = tuple(self._subnode(self._nodes[name], taken=name in taken) for name in sorted(self._nodes))
        if present == self._told:
            return False
        if now - self._told_at < TICK_S:
            return True
        self._told, self._told_at = present, now
        self._report(Subnodes(subnodes=present))
        return False

    def _subnode(self, node: Subordinate, *, taken: bool) -> Subnode:
        peer = node.peer()
        if peer is None:
            return Subnode(node=node.name, taken=taken, why="not connected")
        mine = manages(self.me, peer)
        return Subnode(node=node.name, there=True, ok=peer.ok, mine=mine, taken=taken, why=_why(peer))


def _why(peer: Peer) -> str:
    """In its own words, or what can be told of one that has none."""
    if peer.ok or peer.why:
        return "" if peer.ok else peer.why
    return f"{'STALLED' if peer.stalled else peer.status or 'somewhere'} in {peer.state}, request {peer.request}"
