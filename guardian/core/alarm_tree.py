"""The configuration of a Phoebus alarm server: one PV a node to alarm on, and what the operator is told of it.

The format is what Phoebus reads and writes (``org.phoebus.applications.alarm.model.xml``, XmlModelReader and
XmlModelWriter): a ``config`` with ``component`` in it, these with ``pv``; of a PV, in this order, description, enabled,
latching, annunciating, guidance (with title and details).

The PV is OK: it carries the worst severity of its node, so nothing else is needed, and nothing is told twice. What is
wrong, since when, and what to do stands in WHY, which changes all the time; so the guidance says how to read it.

The tree: nodes stand under the first part of their names (SUS_MC1 and SUS_MC2 under SUS), hosts under Hosts. Who
manages whom is decided by code that runs, and is not known here.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable

from guardian.core.exports import Pv
from guardian.errors import ExpectedError

#: The row to alarm on, of nodes and of hosts.
ALARM_ROW = "OK"
HOSTS = "Hosts"
#: An alarm server makes the names of its Kafka topics of it.
_CONFIG = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


def alarm_tree(pvs: Iterable[Pv], *, config: str) -> str:
    """The XML of a whole configuration.

    Parameters
    ----------
    pvs : with all rows; those to alarm on are taken. config : its name, which the alarm server is started with.

    Raises
    ------
    ExpectedError
        It cannot be called so.
    """
    if not _CONFIG.fullmatch(config):
        raise ExpectedError(
            f"{config!r} cannot be the name of an alarm configuration; give another one with --config: letters, "
            "digits, _ . and -, a letter first"
        )
    every = list(pvs)
    names = {(pv.is_host, pv.of, pv.row.name): pv.name for pv in every}
    root = ET.Element("config", name=config)
    components: dict[str, ET.Element] = {}
    for pv in every:
        if pv.row.name != ALARM_ROW:
            continue
        group = group_of(pv)
        if group not in components:
            components[group] = ET.SubElement(root, "component", name=group)
        _leaf(components[group], pv, names[pv.is_host, pv.of, "WHY"])
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def group_of(pv: Pv) -> str:
    """The component that it stands under."""
    return HOSTS if pv.is_host else re.split(r"[_-]", pv.of, maxsplit=1)[0]


def _leaf(component: ET.Element, pv: Pv, why: str) -> None:
    leaf = ET.SubElement(component, "pv", name=pv.name)
    ask = "guardctrl hosts" if pv.is_host else f"guardctrl why {pv.of}"
    what = f"host {pv.of}" if pv.is_host else pv.of
    for tag, text in (
        ("description", f"{what} is not OK"),
        ("enabled", "true"),
        ("latching", "true"),
        ("annunciating", "true"),
    ):
        ET.SubElement(leaf, tag).text = text
    guidance = ET.SubElement(leaf, "guidance")
    ET.SubElement(guidance, "title").text = f"Why is {what} not OK?"
    ET.SubElement(
        guidance, "details"
    ).text = f"The PV {why} says what is wrong, since when, and what to do: caget -S {why}, or {ask}."
