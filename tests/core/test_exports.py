"""What other programs are told of our PVs: each row is where its policy says, and what is written can be read back."""

from __future__ import annotations

import configparser
import json
import struct
import xml.etree.ElementTree as ET

import pytest

from guardian.core.alarm_tree import HOSTS, alarm_tree
from guardian.core.exports import DAQ_NAME_LENGTH, Pv, archiver, daq_ini, is_for_daq, pvlist, pvlist_json, pvs_of
from guardian.core.host_rows import HOST_PVS
from guardian.core.interface import BY_NAME, Archive, Kind
from guardian.core.names import PV_TEMPLATE, pv_name
from guardian.errors import ExpectedError

NODES = ("SUS_MC2", "SUS_MC1", "IMC_LOCK", "OVEN")
#: Templates as a site file may have them, and IFOs: all that `names.why_not_template` lets pass.
ODD = [
    (PV_TEMPLATE, "X1"),
    (PV_TEMPLATE, ""),
    ("LAB:{node}:{name}", ""),
    ("{ifo}<&>\"'{node}.{name}", "A&B"),
    ("{name}/{node}/{ifo}", "X1"),
]


def every(template: str = PV_TEMPLATE, ifo: str = "X1", **how: object) -> list[Pv]:
    return pvs_of(NODES, **{"template": template, "ifo": ifo, "host": "ctrl7", **how})  # type: ignore[arg-type]


def names(row_names: object, *, ifo: str = "X1", host: bool = False) -> set[str]:
    """Of these rows of all nodes, or of the host."""
    owners = ("HOST_ctrl7",) if host else NODES
    return {pv_name(PV_TEMPLATE, ifo=ifo, node=node, name=name) for node in owners for name in row_names}  # type: ignore[attr-defined]


def ini(text: str) -> configparser.ConfigParser:
    found = configparser.ConfigParser(default_section="default", interpolation=None, delimiters=("=",))
    found.read_string(text)
    return found


def test_the_list_has_every_pv_once_by_nodes_and_the_host_last():
    lines = pvlist(every()).splitlines()
    assert set(lines) == names(BY_NAME) | names([row.name for row in HOST_PVS], host=True)
    assert len(lines) == len(set(lines)) == 4 * len(BY_NAME) + len(HOST_PVS)
    owners = list(dict.fromkeys(pv.of for pv in every()))
    assert owners == ["IMC_LOCK", "OVEN", "SUS_MC1", "SUS_MC2", "ctrl7"]


def test_rows_that_are_asked_for_are_all_there_is():
    assert pvlist(every(rows=("STATE_N", "OK"), host="")).splitlines()[:2] == [
        "X1:GRD-IMC_LOCK_STATE_N",
        "X1:GRD-IMC_LOCK_OK",
    ]
    assert set(pvlist(every(rows=("OK",))).splitlines()) == names(["OK"]) | names(["OK"], host=True)
    assert set(pvlist(every(rows=("CPU_CNT",))).splitlines()) == names(["CPU_CNT"], host=True)
    with pytest.raises(ExpectedError, match=r"no node and no host has a PV STATUSS, ok; there are ACTIVE, .*STATUS"):
        every(rows=("STATUSS", "OK", "ok"))


def test_what_can_be_written_is_what_the_table_lets_be_written():
    writable = [row.name for row in BY_NAME.values() if row.writable]
    assert len(writable) > 8
    assert set(pvlist(every(writable=True)).splitlines()) == names(writable)


def test_the_facts_of_a_pv_are_those_of_its_row():
    facts = {one["pv"]: one for one in json.loads(pvlist_json(every()))}
    assert len(facts) == len(every())
    for row in BY_NAME.values():
        told = facts[f"X1:GRD-OVEN_{row.name}"]
        assert (told["node"], told["row"], told["type"]) == ("OVEN", row.name, row.kind.value)
        assert (told["access"], told["writable"], told["archive"]) == (row.asg.value, row.writable, row.archive.value)
        assert (told["text"], told["units"], told["alarm"]) == (row.text, row.units, row.alarm is not None)
    assert facts["X1:GRD-HOST_ctrl7_OK"]["host"] == "ctrl7"


@pytest.mark.parametrize("policy", Archive)
def test_every_row_is_archived_as_its_policy_says(policy: Archive):
    told = {one["pv"]: one for one in json.loads(archiver(every()))}
    rows = {row.name for row in BY_NAME.values() if row.archive is policy}
    host_rows = {row.name for row in HOST_PVS if row.archive is policy}
    assert rows and host_rows
    mine = names(rows) | names(host_rows, host=True)
    method = {Archive.EVENT: "MONITOR", Archive.SLOW: "SCAN", Archive.NO: None}[policy]
    assert {name for name in mine if name in told} == (mine if method else set())
    for name in mine & set(told):
        assert told[name].keys() == {"pv", "samplingmethod", "samplingperiod"}
        assert told[name]["samplingmethod"] == method and 0.1 <= float(told[name]["samplingperiod"]) <= 60


def test_the_daq_gets_each_number_and_nothing_else():
    found = ini(daq_ini(every()))
    wanted = {row.name for row in BY_NAME.values() if is_for_daq(row)}
    assert {"STATE_N", "REQUEST_N", "NOMINAL_N", "OK", "MODE", "OP", "ERROR", "STALLED", "SPM_CHANGED"} <= wanted
    assert not wanted & {"STATE", "SUMMARY", "WHY", "LOAD", "STATES", "STATE_TIME", "HEARTBEAT", "LOAD_TIME"}
    assert set(found.sections()) == names(wanted) | names([r.name for r in HOST_PVS if is_for_daq(r)], host=True)
    state = found["X1:GRD-SUS_MC1_STATE_N"]
    assert (state["datarate"], state["datatype"], state["acquire"], state["units"]) == ("16", "4", "3", "undef")
    assert found["X1:GRD-SUS_MC1_EXECTIME"]["units"] == "s"
    assert found["X1:GRD-HOST_ctrl7_IOC_CPU_LOAD"]["units"] == "%"


def test_no_time_of_the_day_is_in_the_daq_as_its_floats_cannot_hold_one():
    now = 1.8e9
    assert abs(struct.unpack("f", struct.pack("f", now + 50))[0] - (now + 50)) > 10
    rows = (*BY_NAME.values(), *HOST_PVS)
    epochs = [row.name for row in rows if row.kind is Kind.DOUBLE and row.units == "s" and "epoch" in row.text]
    assert {"STATE_TIME", "LOAD_TIME", "HEARTBEAT", "PROC_SINCE"} <= set(epochs)
    assert [row.name for row in rows if "epoch" in row.text and is_for_daq(row)] == []


def test_a_name_that_is_too_long_for_the_daq_is_told():
    long = pvs_of(["N" * 30], template=PV_TEMPLATE, ifo="I" * 30)
    with pytest.raises(
        ExpectedError, match=r"cannot be a channel of the DAQ, which takes names of 63 characters .*--rows"
    ):
        daq_ini(long)
    assert max(len(pv.name) for pv in every()) <= DAQ_NAME_LENGTH


@pytest.mark.parametrize(("template", "ifo"), ODD)
def test_what_is_written_is_read_back_whatever_the_names_are(template: str, ifo: str):
    pvs = every(template, ifo)
    expected = {pv_name(template, ifo=ifo, node=node, name="OK") for node in (*NODES, "HOST_ctrl7")}
    assert expected <= set(pvlist(pvs).splitlines())
    assert expected <= {one["pv"] for one in json.loads(archiver(pvs))}
    assert expected <= set(ini(daq_ini(pvs)).sections())
    assert expected == {pv.get("name") for pv in ET.fromstring(alarm_tree(pvs, config="X1")).iter("pv")}


def test_a_node_alarms_once_under_the_first_part_of_its_name():
    tree = ET.fromstring(alarm_tree(every(), config="LAB"))
    assert (tree.tag, tree.attrib) == ("config", {"name": "LAB"})
    found = {part.get("name"): [pv.get("name") for pv in part] for part in tree}
    assert found == {
        "IMC": ["X1:GRD-IMC_LOCK_OK"],
        "OVEN": ["X1:GRD-OVEN_OK"],
        "SUS": ["X1:GRD-SUS_MC1_OK", "X1:GRD-SUS_MC2_OK"],
        HOSTS: ["X1:GRD-HOST_ctrl7_OK"],
    }


def test_the_guidance_says_how_to_read_why():
    for pv in ET.fromstring(alarm_tree(every(), config="X1")).iter("pv"):
        why = (pv.get("name") or "").removesuffix("OK") + "WHY"
        title, details = pv.findtext("guidance/title"), pv.findtext("guidance/details")
        assert title and details and f"caget -S {why}" in details
        assert ("guardctrl hosts" if "HOST_" in why else "guardctrl why ") in details


#: Tags in an element, in the order in which XmlModelWriter of Phoebus writes them.
MODEL = {
    "config": ["component"],
    "component": ["component", "pv"],
    "pv": ["description", "enabled", "latching", "annunciating", "guidance"],
    "guidance": ["title", "details"],
}


@pytest.mark.parametrize(("template", "ifo"), ODD)
def test_the_tree_is_one_that_phoebus_reads(template: str, ifo: str):
    """As its XmlModelReader: names are there and differ among sisters, no PV stands twice, and switches are words."""

    def look(element: ET.Element) -> None:
        tags = [child.tag for child in element]
        assert sorted(tags, key=MODEL.get(element.tag, []).index) == tags
        if element.tag in ("config", "component"):
            sisters = [child.get("name") for child in element]
            assert all(sisters) and len(set(sisters)) == len(sisters)
        elif element.tag in ("enabled", "latching", "annunciating"):
            assert element.text in ("true", "false")
        for child in element:
            look(child)

    text = alarm_tree(every(template, ifo), config="X1")
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n')
    root = ET.fromstring(text)
    look(root)
    leaves = [pv.get("name") for pv in root.iter("pv")]
    assert len(leaves) == len(set(leaves)) == len(NODES) + 1


@pytest.mark.parametrize("name", ["", "1X", "X1:", "a b", "<x>"])
def test_a_configuration_that_cannot_be_called_so_is_refused(name: str):
    with pytest.raises(
        ExpectedError, match="cannot be the name of an alarm configuration; give another one with --config"
    ):
        alarm_tree(every(), config=name)
