"""`NodeManager`: nodes that are watched and commanded together (section 7 of the design)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from guardian.access.node import Node, checker, give_back, take
from guardian.state import GuardStateDecorator

__all__ = ["Node", "NodeManager"]


class NodeManager:
    """Other nodes, by their names: ``nodes = NodeManager(['SUS_MC1', 'SUS_MC2'])``.

    ``nodes['SUS_MC1']`` is a :class:`Node`, ``nodes['SUS_MC1'] = 'ALIGNED'`` asks it for a state. Iteration gives the
    nodes; ``in`` takes a name or a node.
    """

    def __init__(self, nodes: Iterable[str | Node]) -> None:
        if isinstance(nodes, str):
            raise TypeError(f"NodeManager takes a list of names: NodeManager([{nodes!r}])")
        made = [node if isinstance(node, Node) else Node(node) for node in dict.fromkeys(nodes)]
        self._nodes = {node.name: node for node in made}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self._nodes)})"

    def __getitem__(self, name: str) -> Node:
        try:
            return self._nodes[name]
        except KeyError:
            raise KeyError(f"{name!r} is none of the nodes of this manager: {', '.join(self._nodes)}") from None

    def __setitem__(self, name: str, state: str) -> None:
        self[name].set_request(state)

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes.values())

    def __len__(self) -> int:
        return len(self._nodes)

    def __contains__(self, node: object) -> bool:
        return node in self._nodes if isinstance(node, str) else any(node is one for one in self)

    def init(self) -> None:
        """Connect. Done when the object is made; here for code that calls it."""

    def wait_connected(self, timeout: float | None = None) -> bool:
        """Wait until all are there; False after `timeout` seconds (None: 2)."""
        deadline = time.monotonic() + (2.0 if timeout is None else timeout)
        return all([node.wait_connected(max(0.0, deadline - time.monotonic())) for node in self])

    def set_managed(self, nodes: Iterable[str] | None = None) -> None:
        """Take all nodes, or those named. Those that are not there are notified, and not taken."""
        take(self._named(nodes))

    def release(self, nodes: Iterable[str] | None = None) -> None:
        """Give all nodes back, or those named, as far as they are managed by this system."""
        give_back(self._named(nodes))

    @property
    def arrived(self) -> bool:
        """Whether all have arrived."""
        return all([node.arrived for node in self])

    @property
    def completed(self) -> bool:
        """Whether all have completed."""
        return all([node.completed for node in self])

    def get_stalled_nodes(self) -> list[Node]:
        """Those that have stalled."""
        return [node for node in self if node.STALLED]

    def revive_all(self) -> None:
        """Revive those that have stalled."""
        for node in self.get_stalled_nodes():
            node.revive()

    def not_ok(self) -> set[str]:
        """The names of those whose OK is not True, also because they are not there."""
        return {node.name for node in self if not node.OK}

    def check_fault(self) -> bool:
        """Whether any has a fault, see :meth:`Node.check_fault`. All are checked."""
        return any([node.check_fault() for node in self])

    def checker(self, fail_return: str | None = None) -> type[GuardStateDecorator]:
        """A decorator for methods of states: checks all, and jumps to `fail_return` if any has a fault."""
        return checker(self.check_fault, fail_return)

    def _named(self, names: Iterable[str] | None) -> list[Node]:
        if isinstance(names, str):
            names = [names]
        return list(self) if names is None else [self[name] for name in names]
