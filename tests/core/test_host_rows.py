"""The table of a host's own PVs."""

from __future__ import annotations

import pytest

from guardian.core.ailments import Ailment
from guardian.core.host_rows import HOST_PV, HOST_PVS, HostFacts, up_time
from guardian.core.interface import TEXT_BYTES, Kind
from guardian.core.names import STRING_BYTES
from guardian.enums import Severity

#: Of iocAdminSoft, with their units there.
IOC_STATS = {
    "HEARTBEAT": "", "UPTIME": "", "STARTTOD": "", "TOD": "", "CA_CLNT_CNT": "", "CA_CONN_CNT": "", "RECORD_CNT": "",
    "FD_MAX": "", "FD_CNT": "", "FD_FREE": "", "SYS_CPU_LOAD": "%", "IOC_CPU_LOAD": "%", "CPU_CNT": "",
    "MEM_USED": "byte", "MEM_FREE": "byte", "MEM_MAX": "byte", "HOSTNAME": "", "KERNEL_VERS": "", "PROCESS_ID": "",
    "PARENT_ID": "",
}  # fmt: skip
BAD = Ailment(what="journal", severity=Severity.MAJOR, text="the journal is not written")
POOR = Ailment(what="descriptors", severity=Severity.MINOR, text="few are left")


def test_a_host_has_what_an_IOC_has_under_the_same_names_and_units():
    assert {name: HOST_PV[name].units for name in IOC_STATS} == IOC_STATS


def test_no_pv_of_a_host_can_be_written():
    assert not any(row.writable for row in HOST_PVS) and "SYSRESET" not in HOST_PV


def test_every_row_fits_its_description():
    assert len(HOST_PV) == len(HOST_PVS)
    assert [row.name for row in HOST_PVS if len(row.text) > STRING_BYTES] == []


def test_every_row_has_a_value_of_a_host_of_which_nothing_is_known_yet():
    kinds = {Kind.STRING: str, Kind.LONG: str, Kind.INT: int, Kind.DOUBLE: float, Kind.BOOL: int, Kind.ENUM: int}
    assert [row.name for row in HOST_PVS if not isinstance(row.value(HostFacts()), kinds[row.kind])] == []


def test_OK_has_the_worst_alarm_and_WHY_the_sentences():
    assert (HOST_PV["OK"].value(HostFacts()), HOST_PV["WHY"].value(HostFacts())) == (True, "")
    facts = HostFacts(ailments=(BAD, POOR))
    assert HOST_PV["OK"].value(facts) is False
    assert HOST_PV["WHY"].value(facts) == "the journal is not written; few are left"
    severities = {row.name: row.alarm(facts) for row in HOST_PVS if row.alarm}
    assert severities == {"OK": Severity.MAJOR, "FD_FREE": Severity.MINOR, "MEM_FREE": Severity.NO_ALARM}


def test_many_sentences_are_cut():
    facts = HostFacts(ailments=(BAD,) * 1000)
    assert len(HOST_PV["WHY"].value(facts)) == TEXT_BYTES


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.9, "00:00:00"), (3661, "01:01:01"), (90_000, "1 day, 01:00:00"), (2e6, "23 days, 03:33:20")],
)
def test_the_time_since_the_start_is_written_as_devIocStats_does(seconds: float, text: str):
    assert up_time(seconds) == text


@pytest.mark.parametrize(("beats", "shown"), [(0, 0), (1, 1), (2**31 - 1, 2**31 - 1), (2**31, 1)])
def test_the_counter_begins_again_where_32_bits_end(beats: int, shown: int):
    assert HOST_PV["HEARTBEAT"].value(HostFacts(beats=beats)) == shown
