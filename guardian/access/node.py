"""`Node`, by which one node watches and commands another (section 7 of the design).

Reading never raises and never waits: what is not known is None, and ``arrived``, ``done`` and the like are False. A
write to a node that is not there raises :class:`~guardian.errors.EzcaConnectError`; the node shows it as CONNECT, and
calls the method again when the other one is back (R13).

``arrived`` speaks of what *this object* asked last, however often the same state was asked for: see
:mod:`guardian.core.peer`.

Nodes that are named while a module is only looked at (``guardutil``, the check before a LOAD) are not there, and what
is written to them is written to nobody.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

from guardian.access.channel import Reply
from guardian.access.subordinate import CONFIRM_S, Subordinate
from guardian.access.subordinates import Subordinates
from guardian.core.names import NAME_BYTES
from guardian.core.peer import Bond, Peer, manages
from guardian.enums import ErrorKind, Mode, Status
from guardian.errors import ExpectedError, EzcaConnectError, EzcaError
from guardian.state import GuardStateDecorator

T = TypeVar("T")
#: What can be part of the name of a PV, and leaves room for the rest of it.
_NAME_LENGTH = 60
_NAME = re.compile(rf"[A-Za-z0-9_:-]{{1,{_NAME_LENGTH}}}")
_There = tuple["Node", Subordinate]
#: Whose nodes they are; False: the code is only looked at; None: there is no node.
_home: Subordinates | bool | None = None


def settle(home: Subordinates | None) -> None:
    """From now on the nodes that user code names are those of `home`; None: the code is only looked at."""
    global _home
    _home = home or False


class Node:
    """Another node, by its name: ``Node('SUS_MC1')``.

    ``node == 'ALIGNED'`` compares its STATE. Every property is also there in lower case, as ``node.stalled``.
    """

    def __init__(self, name: str) -> None:
        if not isinstance(name, str) or not name:
            raise TypeError(f"a node is named by a text, as 'SUS_MC1', not by {name!r}")
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name[:60]!r} names no node: letters, digits, _ and - do, {_NAME_LENGTH} at most")
        self._name = str(name)
        self._home = _home
        self._reply: Reply | None = None
        self._bond = Bond(node=self._name)
        self._node: Subordinate | None = None
        if isinstance(_home, Subordinates) and _home.lives_here():
            self._node, self._bond = _home.join(self._name, self)

    def __repr__(self) -> str:
        peer = self._peer()
        return f"<{type(self).__name__} {self._name}: {peer.state if peer else 'not connected'}>"

    def __eq__(self, other: object) -> bool:
        return other == self.STATE if isinstance(other, str) else self is other

    def __hash__(self) -> int:
        return id(self)

    # --- what it is --------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    def init(self) -> None:
        """Connect. Done when the object is made; here for code that calls it."""

    def wait_connected(self, timeout: float | None = None) -> bool:
        """Wait until it is there; False after `timeout` seconds (None: 2)."""
        if not isinstance(self._home, Subordinates):
            return False
        return self._home.wait(lambda: self._peer() is not None, 2.0 if timeout is None else timeout)

    @property
    def OP(self) -> str | None:
        """Its OP: 'STOP', 'PAUSE' or 'EXEC'."""
        return self._of(lambda peer: peer.op)

    @property
    def MODE(self) -> str | None:
        """Its MODE: 'AUTO', 'MANAGED' or 'MANUAL'."""
        return self._of(lambda peer: peer.mode)

    @property
    def MANAGER(self) -> str | None:
        """The name of its manager, '' for none."""
        return self._of(lambda peer: peer.manager)

    @property
    def managed(self) -> bool:
        """Whether its MODE is MANAGED."""
        return Mode.MANAGED.name == self.MODE

    @property
    def i_manage(self) -> bool:
        """Whether it is managed by this system: MODE is MANAGED, and MANAGER is this one."""
        peer = self._seen()
        return peer is not None and manages(self._me, peer)

    @property
    def ERROR(self) -> bool | None:
        """Whether its code does not run: it raised an error, or waits for a channel."""
        return self._of(lambda peer: peer.error != ErrorKind.NONE.name)

    @property
    def NOTIFICATION(self) -> bool | None:
        """Whether it has something to say to its operator."""
        return self._of(lambda peer: peer.notification)

    @property
    def OK(self) -> bool | None:
        """Its OK."""
        return self._of(lambda peer: peer.ok)

    @property
    def REQUEST(self) -> str | None:
        """The state that is wanted of it, whoever asked."""
        return self._of(lambda peer: peer.request)

    @property
    def STATE(self) -> str | None:
        """The state it is in."""
        return self._of(lambda peer: peer.state)

    @property
    def TARGET(self) -> str | None:
        """The next state on its way."""
        return self._of(lambda peer: peer.target)

    @property
    def STATUS(self) -> str | None:
        """Where it stands in its state: 'ENTER', 'MAIN', 'RUN', 'DONE', ..."""
        return self._of(lambda peer: peer.status)

    @property
    def STALLED(self) -> bool | None:
        """Whether it rests away from its REQUEST: STATE == TARGET != REQUEST, as after a jump while managed."""
        return self._of(lambda peer: peer.stalled)

    @property
    def done(self) -> bool:
        """Whether its STATUS is DONE."""
        return Status.DONE.name == self.STATUS

    @property
    def arrived(self) -> bool:
        """Whether it is in the state that this object asked for last, and nobody has asked for anything since.

        False while it is stopped or its worker is dead: where its machine is then, nobody knows.
        """
        peer = self._peer()
        return peer is not None and self._bond.arrived(peer)

    @property
    def completed(self) -> bool:
        """Whether it has arrived, and that state is DONE."""
        peer = self._peer()
        return peer is not None and self._bond.completed(peer)

    # --- what it is told ---------------------------------------------------------------------------------------

    def set_managed(self) -> None:
        """Take it: MANAGER is this system, MODE is MANAGED. One that is not there is notified, and not taken."""
        take([self])

    def release(self) -> None:
        """Give it back: MODE is AUTO. Only if it is managed by this system."""
        give_back([self])

    def set_request(self, state: str) -> None:
        """Ask it for `state`, unless that is what this object asked last, it still stands, and the node is not stalled.

        Raises
        ------
        EzcaConnectError
            The node is not there, or has not loaded its code yet.
        EzcaError
            It refuses, as when it has no such state.
        """
        if not isinstance(state, str) or not state:
            raise TypeError(f"{self._name}: a state is named by a text, not by {state!r}")
        wanted = str(state).strip()  # as it is taken, and shown, there
        if (size := len(wanted.encode(errors="replace"))) > NAME_BYTES:
            raise EzcaError(f"{self._name}: no state has a name of {size} bytes, as {wanted[:NAME_BYTES]}... has")
        self._ask(wanted, anyway=False)

    def revive(self) -> None:
        """Ask again for what this object asked last, or, if it never did, for its present REQUEST.

        One that stays stalled all the same, as where no path leads there, is asked again once a second at most.
        """
        peer = self._peer()
        self._ask(self._bond.state or (peer.request if peer is not None else ""), anyway=True)

    def _ask(self, state: str, *, anyway: bool) -> None:
        home = self._writes_to()
        if home is None or self._node is None:
            return
        home.look()
        peer, now = self._node.ready(state), time.monotonic()
        self._bond.see(peer, home.me)
        if not state or not self._bond.needs_writing(state, peer, now, anyway=anyway):
            return
        if state == self._bond.state and (pause_s := self._bond.requests.pause_s(now)):
            home.wait(lambda: False, pause_s)
            peer, now = self._node.ready(state), time.monotonic()
        is_silent, self._reply = self._bond.is_silent(), None
        try:
            self._bond.asked(state, "" if peer.plain else home.new_id(), now)
            home.keep()
            home.log(f"{self._name} => {state}")
            self._reply = self._node.request(state, home.me, self._bond.cmd)
        except BaseException:  # an interrupt, too
            self._bond.unheard()
            raise
        if not is_silent:
            home.confirm(lambda: self._is_settled() or self._is_lost(), CONFIRM_S)
        if self._is_settled():
            if self._bond.refused:
                raise EzcaError(f"{self._name}: it refuses REQUEST={state}; has it no such state? Its GRDMSG says why.")
        elif self._is_lost():
            self._bond.unheard()
            lost = (self._node.channel,)
            raise EzcaConnectError(f"{self._name}: the connection was lost before it answered REQUEST={state}.", lost)

    def _is_lost(self) -> bool:
        """Whether what was asked of it was lost on the way, as far as is known."""
        reply = self._reply
        if self._node is None or reply is None or self._bond.asked_at is None:
            return False
        return self._node.lost("REQUEST_CMD", reply)

    def _is_settled(self) -> bool:
        """Whether what it was asked is echoed or refused."""
        self._peer()
        return self._bond.refused or self._bond.asked_at is None

    def _is_taken(self) -> bool:
        """Whether it shows that it was taken, if it was."""
        self._peer()
        return self._bond.took_at is None

    # --- what is wrong with it ---------------------------------------------------------------------------------

    def check_fault(self) -> bool:
        """Whether anything is wrong between this system and it; each fault is notified.

        It must be there, run its code without error, have the REQUEST that this object asked for last, and be managed
        by this system if it was taken. What it has to say itself is passed on, and is no fault.
        """
        if not isinstance(self._home, Subordinates):
            return False
        self._home.look()
        peer = self._peer()
        faults = self._bond.faults(peer, self._me, time.monotonic())
        for fault in faults:
            self._home.notify(fault)
        if peer is not None and peer.notification:
            self._home.notify(f"{self._name} says: {peer.says}" if peer.says else f"{self._name}: see its USERMSG")
        return bool(faults)

    def checker(self, fail_return: str | None = None) -> type[GuardStateDecorator]:
        """A decorator for methods of states: checks for faults first, and jumps to `fail_return` if there are any."""
        return checker(self.check_fault, fail_return)

    # --- helpers -----------------------------------------------------------------------------------------------

    @property
    def _me(self) -> str:
        return self._home.me if isinstance(self._home, Subordinates) else ""

    def _peer(self) -> Peer | None:
        """What it shows, after what was asked of it was compared with it."""
        home = self._home
        if self._node is None or not isinstance(home, Subordinates) or not home.lives_here():
            return None
        peer, reply = self._node.peer(), self._reply
        if peer is not None:
            self._bond.see(peer, home.me)
            if reply is not None and self._bond.asked_at is not None:
                refused = self._node.refused("REQUEST_CMD", reply)
                if reply is self._reply:  # a thread may look while the next one is sent
                    self._bond.refused = refused
        return peer

    def _seen(self) -> Peer | None:
        """What it shows, with what was written and not echoed yet."""
        if isinstance(self._home, Subordinates):
            self._home.look()
        peer = self._peer()
        return None if peer is None else self._bond.written(peer, self._me, time.monotonic())

    def _of(self, what: Callable[[Peer], T]) -> T | None:
        peer = self._seen()
        return None if peer is None else what(peer)

    def _writes_to(self) -> Subordinates | None:
        """Where writes go; None: nowhere, the code is only looked at, or EZCA_CA forbids it."""
        if self._home is None:
            raise ExpectedError(
                f"{self._name}: nodes are commanded by a node, and none runs this code. "
                "Run it with `guardian NODE`, or try it in `guardian -i NODE`"
            )
        if not isinstance(self._home, Subordinates):
            return None
        if not self._home.lives_here():
            raise EzcaError(
                f"{self._name}: a process that a node has forked commands no nodes. Let the node itself do it."
            )
        return self._home if self._home.commands else None

    op = OP
    mode = MODE
    manager = MANAGER
    error = ERROR
    notification = NOTIFICATION
    ok = OK
    request = REQUEST
    state = STATE
    target = TARGET
    status = STATUS
    stalled = STALLED


def checker(check: Callable[[], bool], fail_return: str | None) -> type[GuardStateDecorator]:
    """A decorator that calls `check` before a method, and jumps to `fail_return`, if given, where that is true."""
    if fail_return is not None and not isinstance(fail_return, str):
        what = getattr(fail_return, "__name__", repr(fail_return))
        raise TypeError(f"a checker takes the name of a state, not {what}: @nodes.checker() or @nodes.checker('DOWN')")

    class Checker(GuardStateDecorator):
        """Checks other nodes for faults before the method."""

        def pre_exec(self) -> str | None:
            return fail_return if check() else None

    return Checker


def take(nodes: Iterable[Node]) -> None:
    """Take these nodes: all are written to, and then waited for together."""
    home, there = _those_there(nodes, "not taken", "MANAGER", "MODE", "REQUEST_CMD")
    if home is None:
        return
    for node, _ in there:
        node._bond.taking()
    home.keep()
    now = time.monotonic()
    if pause_s := max(
        [node._bond.takings.pause_s(now) for node, other in there if not _manages(home, other)], default=0
    ):
        home.wait(lambda: all([_manages(home, other) for _, other in there]), pause_s)
    for node, other in there:
        if not _manages(home, other):
            home.log(f"{node.name} is taken")
            if _try(home, node, partial(other.take, home.me), "not taken"):
                node._bond.took(time.monotonic())
    home.wait(lambda: all([node._is_taken() for node, _ in there]), CONFIRM_S)


def give_back(nodes: Iterable[Node]) -> None:
    """Give these nodes back, as far as they are ours."""
    home, there = _those_there(nodes, "not released", "MANAGER", "MODE")
    if home is None:
        return
    for node, _ in there:
        node._bond.released()
    home.keep()
    ours = [(node, other) for node, other in there if _manages(home, other)]
    for node, other in ours:
        home.log(f"{node.name} is released")
        _try(home, node, other.release, "not released")
    home.wait(lambda: not any([_manages(home, other) for _, other in ours]), CONFIRM_S)


def _those_there(nodes: Iterable[Node], failure: str, *rows: str) -> tuple[Subordinates | None, list[_There]]:
    """Those that can be written to, their channels about to be connected; the others are notified."""
    named = [(node, node._node) for node in nodes if node._writes_to() is not None]
    home = next((node._writes_to() for node, _ in named), None)
    if home is None:
        return None, []
    home.look()
    there: list[_There] = []
    for node, other in named:
        if other is None or node._peer() is None:
            home.notify(f"{node.name}: {failure}: it is not there")
        else:
            other.prepare(*rows)
            there.append((node, other))
    return home, there


def _manages(home: Subordinates, other: Subordinate) -> bool:
    peer = other.peer()
    return peer is not None and manages(home.me, peer)


def _try(home: Subordinates, node: Node, write: Callable[[], None], failure: str) -> bool:
    try:
        write()
    except (EzcaConnectError, EzcaError) as error:  # it went away between two lines, or lets nobody write
        home.notify(f"{node.name}: {failure}: {error}")
        return False
    return True
