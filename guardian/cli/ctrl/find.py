"""Which nodes there are on the network, and which of them the words on the command line mean.

A node that is named outright is found where it is, also if it is served by something else. Only a pattern asks the
network which nodes there are (`guardian.client.finding`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from guardian.cli.ctrl import COMMAND, WrongCall, answer_s
from guardian.client.names import Names
from guardian.errors import ExpectedError

if TYPE_CHECKING:
    from guardian.client.finding import Found

#: Hosts that are busy answer late, and datagrams get lost: three are sent in this part of the time for an answer.
SEARCH = 0.3
#: Orders to more nodes than this are asked about first.
MANY = 5
#: Nodes that are named in a sentence; more are counted.
SOME = 10
_GLOB = frozenset("*?[")


def find(names: Names) -> Found:
    """Ask the network; this takes :func:`search_s`."""
    import asyncio  # for who asks the network only

    from guardian.client.finding import find_nodes

    return asyncio.run(find_nodes(names, search_s()))


def search_s() -> float:
    """Seconds in which whoever has a PV can answer."""
    return SEARCH * answer_s()


def may_be_node(word: str) -> bool:
    return word.isascii() and word.replace("_", "").replace("-", "").isalnum()


def is_pattern(word: str) -> bool:
    return bool(_GLOB.intersection(word))


def chosen(words: Sequence[str], names: Names) -> list[str]:
    """The nodes that the words mean, in their order, each once. Only a pattern (``SUS_*``) asks the network.

    Raises
    ------
    WrongCall
        A word can be no node.
    ExpectedError
        A pattern matches no node.
    """
    for word in words:
        if not (is_pattern(word) or may_be_node(word)):
            head = names.pv("\0", "").partition("\0")[0]
            bare = word.removeprefix(head) if head else word
            hint = f"; did you mean {bare}?" if bare != word and may_be_node(bare) else ""
            raise WrongCall(f"{word!r} is no name of a node{hint}")
    nodes: list[str] = []
    there: list[str] | None = None
    for word in words:
        if not is_pattern(word):
            nodes.append(word)
            continue
        if there is None:
            there = list(find(names).nodes)
        matching = [node for node in there if fnmatchcase(node, word)]
        if not matching:
            found = f"found are {some(there)}" if there else f"no host answers for {names.hosts}, see doctor"
            raise ExpectedError(f"no node matches {word!r}; {found}")
        nodes += matching
    return list(dict.fromkeys(nodes))


def some(nodes: Sequence[str]) -> str:
    """These nodes in a sentence, however many there are."""
    more = f" and {len(nodes) - SOME} more" if len(nodes) > SOME else ""
    return ", ".join(nodes[:SOME]) + more


def agreed(what: str, nodes: Sequence[str], *, yes: bool) -> bool:
    """Whether an order to so many nodes is meant: asked on the terminal, or answered by a pipe, if there are many."""
    if yes or len(nodes) <= MANY:
        return True
    return said_yes(f"{what} of {len(nodes)} nodes: {some(nodes)}?")


def said_yes(question: str) -> bool:
    """Ask on the terminal; only a yes is a yes."""
    print(f"{COMMAND}: {question} [y/N] ", end="", file=sys.stderr, flush=True)
    try:
        answer = sys.stdin.readline()
    except (KeyboardInterrupt, ValueError):  # ValueError: what is no text
        answer = ""
    if not answer.endswith("\n"):
        print(file=sys.stderr)
    return answer.strip().lower() in ("y", "yes")
