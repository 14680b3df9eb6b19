"""How the PVs of the nodes of a site are called."""

from __future__ import annotations

from dataclasses import dataclass

from guardian.core.names import HOST_NODE, NODES_ROW, PV_TEMPLATE, pv_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The names of all PVs of a site."""

    ifo: str = ""
    template: str = PV_TEMPLATE

    def pv(self, node: str, row: str) -> str:
        return pv_name(self.template, ifo=self.ifo, node=node, name=row)

    @property
    def hosts(self) -> str:
        """The PV that every host serves."""
        return self.pv(HOST_NODE, NODES_ROW)

    def __str__(self) -> str:
        """What nodes are asked for, inside a sentence."""
        return self.pv("NODE", "STATE")
