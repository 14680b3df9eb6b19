"""What is otherwise in a site file that was read anew: told before it is done, in lines that a person reads. Pure.

Three kinds. What a running host can follow at once: its nodes, their policies, who may write. What new workers follow
(``path``, ``site``). And what was decided when the host started, as clients, locks and open files depend on it: all
other keys. These are left as they are, told, and told again each time until the host is started anew; :func:`followed`
is the site with all that can be followed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from enum import Enum
from typing import Any

from guardian.host.access import Access
from guardian.host.policies import NodePolicy
from guardian.host.site import Site, key_of

#: Fields of a site that a running host follows.
FOLLOWED = ("nodes", "own", "on_start", "resume_within_s", "limits", "paths", "site", "access")
#: Fields that are said of one start, and are no part of the file.
_OF_ONE_START = frozenset({"fresh"})
_NEW_WORKERS = "workers that start from now on; guardctrl restart NODE"
#: Nodes that are named in a line; more are counted.
SOME = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """The difference of two sites.

    Parameters
    ----------
    added, removed : nodes. policies : of nodes that stay, what is otherwise: "watchdog 0 -> 30".
    code : path and SITE, for new workers. access : who may write.
    waiting : keys that count from the next start of the host.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    policies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    code: tuple[str, ...] = ()
    access: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is anything that the host can do about it now."""
        return any((self.added, self.removed, self.policies, self.code, self.access))

    @property
    def facts(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "added": list(self.added),
            "removed": list(self.removed),
            "policies": {node: list(texts) for node, texts in self.policies.items()},
            "code": list(self.code),
            "access": list(self.access),
            "waiting": list(self.waiting),
        }

    def lines(self) -> Iterator[str]:
        """For people, a line each; nodes with the same change share one."""
        if self.added:
            yield f"nodes to be added: {_some(self.added)}"
        if self.removed:
            yield f"nodes to be removed: {_some(self.removed)}"
        alike: dict[tuple[str, ...], list[str]] = {}
        for node, texts in self.policies.items():
            alike.setdefault(texts, []).append(node)
        for texts, nodes in alike.items():
            yield f"policy of {_some(nodes)}: {', '.join(texts)}"
        for text in self.code:
            yield f"{text} ({_NEW_WORKERS})"
        yield from self.access
        for text in self.waiting:
            yield f"{text}: left as it is until the host is started anew"


def changes(old: Site, new: Site) -> Changes:
    """What is otherwise in `new`. The nodes of `old` are those that run now, whoever has added or removed some."""
    stay = [node for node in old.nodes if node in new.nodes]
    policies = {node: tuple(_policy(old.policy(node), new.policy(node))) for node in stay}
    return Changes(
        added=tuple(node for node in new.nodes if node not in old.nodes),
        removed=tuple(node for node in old.nodes if node not in new.nodes),
        policies={node: texts for node, texts in policies.items() if texts},
        code=tuple(_texts({"path": old.paths, "site": old.site}, {"path": new.paths, "site": new.site})),
        access=tuple(_texts(_access(old.access), _access(new.access))),
        waiting=tuple(_waiting(old, new)),
    )


def followed(old: Site, new: Site) -> Site:
    """`old` with all of `new` that a running host follows."""
    return replace(old, **{name: getattr(new, name) for name in FOLLOWED})


def _policy(old: NodePolicy, new: NodePolicy) -> Iterator[str]:
    return _texts(*({**_values(policy.limits), **_values(policy)} for policy in (old, new)))


def _access(access: Access) -> dict[str, Any]:
    return {f"access.{name}": value for name, value in _values(access).items() if name != "file"}


def _waiting(old: Site, new: Site) -> Iterator[str]:
    for item in fields(Site):
        if item.name in FOLLOWED or item.name in _OF_ONE_START:
            continue
        before, after, key = getattr(old, item.name), getattr(new, item.name), key_of(item.name)
        if before == after:
            continue
        yield f"[{key}]" if is_dataclass(after) else f"{key} {_shown(before)} -> {_shown(after)}"


def _values(item: Any) -> dict[str, Any]:
    """The plain fields of a dataclass, by the keys of the site file: times without their unit."""
    found = {each.name.removesuffix("_s"): getattr(item, each.name) for each in fields(item)}
    return {name: value for name, value in found.items() if not is_dataclass(value)}


def _texts(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for key, after in new.items():
        if (before := old[key]) != after:
            yield f"{key} {_shown(before)} -> {_shown(after)}"


def _shown(value: Any) -> str:
    match value:
        case None | "" | ():
            return "nothing"
        case tuple():
            return ", ".join(map(str, value))
        case Enum():
            return str(value.value)
        case float():
            return f"{value:g}"
    return str(value)


def _some(nodes: tuple[str, ...] | list[str]) -> str:
    more = f" and {len(nodes) - SOME} more" if len(nodes) > SOME else ""
    return ", ".join(nodes[:SOME]) + more
