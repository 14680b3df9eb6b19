"""Reaching nodes over Channel Access, as the command line does: all at once, and telling which are run twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from guardian.cli.ctrl import answer_s, say
from guardian.client.ca import Session
from guardian.client.names import Names
from guardian.client.remote import Remote
from guardian.core.facts import PLAIN_ROWS

#: A server that has answered for one PV of a node has all that it is going to have: the rest is waited for so long,
#: as a part of the time for an answer.
REST = 0.25
#: How long a second server of the same node is listened for; one that is later than this is not told.
TWIN_S = 0.1


def connect(
    session: Session, nodes: Sequence[str], names: Names, rows: Sequence[str] = (), *, searched: bool = False
) -> list[Remote]:
    """Reach these nodes, all at once; those that do not answer in time are not :attr:`Remote.there`.

    Parameters
    ----------
    searched : the hosts on the network were asked, so it was told already which nodes are run twice.
    """
    remotes = [Remote(session, names, node, rows, answer_s=answer_s()) for node in nodes]
    connect_all(session, remotes, searched=searched)
    return remotes


def connect_all(
    session: Session,
    remotes: Sequence[Remote],
    *,
    or_else: Callable[[], bool] = lambda: False,
    searched: bool = False,
) -> None:
    """Wait until these nodes answer, or `or_else` says that it is enough, or the time is over."""
    session.wait(lambda: all(remote.there for remote in remotes) or or_else(), answer_s())
    settle(session, remotes)
    if not searched:
        _warn_of_twins(session, remotes)


def _warn_of_twins(session: Session, remotes: Sequence[Remote]) -> None:
    """Say which nodes are run twice: the one that answers first is taken, and the other is heard of a little later."""
    states = {remote.node: remote.channels["STATE"].name for remote in remotes if remote.there}
    session.wait(lambda: all(name in session.twins for name in states.values()), TWIN_S)
    for node, name in states.items():
        if twin := session.twins.get(name):
            say(
                f"warning: {node} is run twice: {twin[0]} answers here, {twin[1]} answers too; remove it from "
                "all but one"
            )


def settle(session: Session, remotes: Sequence[Remote]) -> None:
    """Wait, not for long, for the rest of what these nodes have; for the plain PVs of those that have no others."""
    session.wait(lambda: all(remote.complete for remote in remotes), REST * answer_s())
    plain = [remote for remote in remotes if remote.there and not remote.ours]
    for remote in plain:
        remote.open(*PLAIN_ROWS)
    session.wait(lambda: all(remote.has(row) for remote in plain for row in PLAIN_ROWS), REST * answer_s())
