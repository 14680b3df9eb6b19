"""The process that uses an ``ezca.Ezca`` on our channels under test. Asked for the functions below by their names.

They find a filter module ``{ifo}:SUS-MC1`` as the package emulates it, and of a caproto server a matrix ``LSC_MTRX``.
"""

from __future__ import annotations

import builtins
import os
import sys
import tempfile
import time
from pathlib import Path

import ezca as package
import numpy as np
from ezca.ligofilter import LIGOFilterError

from guardian.access import injected
from guardian.access.channels import Channels
from guardian.access.setpoints import Memory
from guardian.errors import EzcaConnectError, EzcaError
from guardian.worker.read_only import ReadOnly
from tests.access.asked import answer
from tests.access.client import interrupted_in, raises
from tests.support.waiting import eventually

FILTER = "MC1"
BUTTONS = ("INPUT", "OUTPUT", "DECIMATION")


def is_an_ezca(ezca, log):
    from ezca import Ezca

    genuine = package.Ezca.__mro__[-2]
    assert genuine.__module__ == "ezca.ezca" and type(ezca) is not genuine
    assert isinstance(ezca, Ezca) and isinstance(ezca, package.Ezca) and isinstance(ezca, genuine)
    assert isinstance(ezca, Channels)
    assert ezca.prefix == f"{ezca.ifo}:SUS-" and ezca.timeout == 2.0
    ezca.export()
    assert builtins.ezca is ezca
    assert str(ezca).startswith("<Ezca ") and repr(ezca).startswith("Ezca(")


def errors_are_the_same(ezca, log):
    assert package.EzcaConnectError is package.errors.EzcaConnectError is EzcaConnectError
    assert package.EzcaError is package.ezca.EzcaError is EzcaError
    assert package.ligofilter.EzcaConnectError is package.ezca.EzcaConnectError is EzcaConnectError
    with raises(EzcaConnectError, "NOT-THERE"):
        ezca.read("NOT-THERE_GAIN", timeout=0.1)
    with raises(LIGOFilterError, "FM11"):
        ezca.switch(FILTER, "FM11", "ON")
    assert not issubclass(LIGOFilterError, (EzcaError, EzcaConnectError))


def made_by_user_code(ezca, log):
    """Helper libraries make their own, in every cycle: they are ours, and one for the same arguments."""
    from ezca import Ezca

    own = Ezca("SUS-MC1")
    assert type(own) is type(ezca) and own is Ezca("SUS-MC1") and own is not Ezca("SUS-MC1_")
    assert own.prefix == f"{ezca.ifo}:SUS-MC1_" and Ezca().prefix == f"{ezca.ifo}:" and Ezca(ifo=None).prefix == ""
    own["TRAMP"] = 0.5 if own["TRAMP"] != 0.5 else 0.25
    assert ezca["MC1_TRAMP"] == own["TRAMP"] and log[-1] == f"{ezca.ifo}:SUS-MC1_TRAMP => {own['TRAMP']}"
    assert ezca.setpoints["MC1_TRAMP"] == (f"{ezca.ifo}:SUS-MC1_TRAMP", own["TRAMP"])  # set by this node, too
    assert own.setpoints["TRAMP"] == ezca.setpoints["MC1_TRAMP"] and not ezca.check_setpoints()
    quiet = Ezca("SUS-MC1", logger=False)
    said = len(log)
    quiet["TRAMP"] = 0.125
    assert len(log) == said and quiet.LIGOFilter("").TRAMP.get() == 0.125


def prefixes_as_theirs(ezca, log):
    from ezca import Ezca, parse_ifo_prefix

    parts = [None, "", "T1", "t1:", "T1:SYS", "T1:SYS-", "T1:SYS-SUB", "T1:SYS-SUB_", "SYS-SUB-MORE", ":SYS", "SYS_"]
    for prefix in parts:
        for ifo in (None, "T2", "t2", "T2:"):
            machine, full = parse_ifo_prefix(ifo, prefix)
            ours = Ezca(prefix, ifo=ifo)
            assert (ours.prefix, ours.ifo) == (full, machine or ""), (prefix, ifo, ours, full)


def switches(ezca, log):
    ezca.switch(FILTER, "INPUT", "FM1", "ON")
    mask = ezca.LIGOFilter(FILTER).get_current_switch_mask()
    assert "INPUT" in mask and "FM1" in mask
    assert log[-1] == f"{ezca.ifo}:SUS-MC1 => ON: INPUT, FM1"
    # 16 arguments, as some modules of the field have
    named = (
        "INPUT",
        "OFFSET",
        "FM1",
        "FM2",
        "FM3",
        "FM4",
        "FM5",
        "FM6",
        "FM7",
        "FM8",
        "FM9",
        "FM10",
        "LIMIT",
        "OUTPUT",
    )
    ezca.switch(FILTER, *named, "OFF")
    found = ezca.switch(FILTER)
    assert not set(found) & set(named), found
    filt = ezca.get_LIGOFilter(FILTER)
    filt.only_on(*BUTTONS)
    assert filt.switch() == ["INPUT", "OUTPUT", "DECIMATION"] and filt.is_input_on() and filt.is_off("OFFSET")
    filt.turn_on("OFFSET")
    assert filt.is_offset_on()
    manager = ezca.get_LIGOFilterManager([FILTER])
    manager.all_do("turn_off", "OFFSET")
    assert filt.is_off("OFFSET")
    filt.all_off()
    assert log[-1] == f"{ezca.ifo}:SUS-MC1 => ALL OFF" and filt.switch() == []


def members(ezca, log):
    filt = ezca.get_LIGOFilter(FILTER)
    filt.GAIN.put(3)
    assert filt.GAIN.get() == 3.0 == ezca["MC1_GAIN"] and type(filt.GAIN.get()) is float
    filt.RSET.put(2)
    filt.OFFSET.put(0.5, wait=False)
    eventually(lambda: filt.OFFSET.get() == 0.5, 10, "the offset")
    assert filt.GAIN.pvname == f"{ezca.ifo}:SUS-MC1_GAIN" and not filt.is_loaded("FM1")
    filt.Name00.put("PLUS")
    assert filt.is_loaded(1) and filt.INMON.get() == 0


def pvs(ezca, log):
    pv = ezca.connect("MC1_GAIN")
    pv.put(4)
    assert pv.get() == pv.value == 4.0 and float(pv.char_value) == 4.0 and pv.count == 1 and pv.connected
    assert pv.pvname == f"{ezca.ifo}:SUS-MC1_GAIN" and "connected" in repr(pv)
    ezca.read(":SUS-MC1_TRAMP")
    assert set(ezca.pvs) == {"MC1_GAIN", "MC1_TRAMP"} and ezca.pvs["MC1_GAIN"].get() == 4.0
    with raises(EzcaConnectError, "NOT-THERE"):
        ezca.connect("NOT-THERE")


def without_the_monitor(ezca, log):
    """As cdsutils.Servo and Step read."""
    assert ezca.read("MC1_GAIN", use_monitor=False) == ezca["MC1_GAIN"]


def ramps(ezca, log):
    filt = ezca.get_LIGOFilter(FILTER)
    assert filt.GAIN.get() == 0
    began = time.monotonic()
    filt.ramp_gain(1, ramp_time=1.0, wait=True)
    assert time.monotonic() - began > 0.9 and filt.GAIN.get() == 1.0 and not filt.is_gain_ramping()
    filt.ramp_gain(2, ramp_time=1.0, wait=False)
    assert filt.is_gain_ramping() and not filt.is_offset_ramping() and ezca.is_gain_ramping(FILTER)
    assert ezca.is_ramping(f"{FILTER}_GAIN")
    eventually(lambda: not filt.is_gain_ramping(), 10, "the end of the ramp")
    # one that is over before anybody looks was seen by the monitor, and is not waited for
    filt.ramp_offset(3, ramp_time=0.05, wait=False)
    time.sleep(0.5)
    began = time.monotonic()
    assert not filt.is_offset_ramping() and time.monotonic() - began < 1.0


def ramps_are_remembered(ezca, log):
    """Code that makes its filter object anew in each cycle is told of the ramp that it began, too."""
    ezca.ramp_gain(FILTER, ezca["MC1_GAIN"] + 1, 0.5, wait=False)
    assert ezca.is_gain_ramping(FILTER)
    assert ezca.get_LIGOFilter(FILTER) is ezca.get_LIGOFilter(FILTER) is package.LIGOFilter(FILTER, ezca)
    count = len(ezca._apart)
    for _ in range(5):
        ezca.get_LIGOFilter(FILTER).is_offset_ramping()
    assert len(ezca._apart) == count
    eventually(lambda: not ezca.is_gain_ramping(FILTER), 10, "its end")


def waits_are_interrupted(ezca, log):
    filt = ezca.get_LIGOFilter(FILTER)
    filt.Name00.put("PLUS")
    with interrupted_in(0.5):
        filt.ramp_gain(filt.GAIN.get() + 1, ramp_time=3, wait=True)
    with interrupted_in(0.3):  # the value is there already, so no ramp comes
        filt.ramp_offset(filt.OFFSET.get(), ramp_time=3, wait=True)
    with interrupted_in(0.05):
        while True:
            filt.turn_on("FM1", engage_wait=True)
            filt.turn_off("FM1", engage_wait=True)
    with interrupted_in(0.2):
        while True:
            ezca.switch(FILTER, "FM2", "PRESS")
    eventually(lambda: not filt.is_gain_ramping(), 10, "the end of the ramp")


def matrix(ezca, log):
    import cdsutils

    builtins.ezca = type(ezca).of_node(ezca.ifo, log=log.append)
    rows, cols = {"DARM": 1, "MICH": 2}, {"OMC": 1, "POP9Q": 3}
    found = cdsutils.CDSMatrix("LSC-MTRX", rows=rows, cols=cols, ramping=False)
    found["DARM", "OMC"] = 1.5
    found.put("MICH", value=[2, 3])
    assert found["DARM", "OMC"] == 1.5 and found.get("MICH") == [2.0, 3.0] and found("MICH", "POP9Q") == "LSC-MTRX_2_3"
    ramped = cdsutils.CDSMatrix("LSC-MTRX", rows=[("DARM", 1), ("MICH", 2)], cols=[("A", 1), ("B", 2)], ramping=True)
    ramped.put_matrix(np.matrix([[1, 2], [3, 4]]))
    ramped.TRAMP = 0.5
    ramped.load(wait=True)
    assert ramped.TRAMP == 0.5 and not any(ramped.is_ramping())
    plain = cdsutils.CDSMatrix("LSC-MTRX", rows=dict(DARM=1, MICH=2), cols=dict(A=1, B=2))
    assert plain.get_matrix().tolist() == [[1, 2], [3, 4]]
    plain.zero()
    assert plain.get() == [0] * 4
    assert f"{ezca.ifo}:LSC-MTRX_2_3 => 3" in log


def steps(ezca, log):
    import cdsutils

    ezca["MC1_OFFSET"] = 1
    cdsutils.step(ezca, "MC1_OFFSET", "+1,3", time_step=0.02)
    assert ezca["MC1_OFFSET"] == 4


def set_points_of_buttons(ezca, log):
    from ezca import Ezca, SFMask

    word = f"{ezca.ifo}:SUS-MC1_SWSTAT"
    filt = ezca.get_LIGOFilter(FILTER)
    filt.only_on("INPUT", "FM1")
    filt.RSET.put(2)
    full, mask = ezca.setpoints["MC1_SWSTAT"]
    assert full == word and isinstance(mask, SFMask) and mask.SWSTAT == SFMask(["INPUT", "FM1"]).SWSTAT
    assert set(ezca.setpoints) == {"MC1_SWSTAT"}  # neither SW1S nor RSET
    assert ezca.check_setpoints() == ()
    somebody = Ezca("SUS", logger=False)
    somebody.memory = Memory(None)
    somebody.switch(FILTER, "FM3", "OFFSET", "ON", "FM1", "OFF")
    eventually(lambda: ezca.check_setpoints() == ((word, "IN,1", "IN,OF,3", "OF,1,3"),), 10, "the difference")
    point = ezca.memory.points[word]
    assert (point.label, ezca.words(point, 0)) == ("IN,1", "ALL OFF")
    ezca.init_setpoints([("MC1_SWSTAT", ["INPUT", "OFFSET", "FM3"]), "MC1_GAIN", ("MC1_TRAMP", 100)], init=True)
    assert [one[0] for one in ezca.check_setpoints()] == [f"{ezca.ifo}:SUS-MC1_TRAMP"]
    with raises(EzcaError, "FM11", "no button", "FM10, INPUT"):
        ezca.init_setpoints([("MC1_SWSTAT", ["FM11"])])
    ezca.switch(FILTER, "FM3", "PRESS")
    assert ezca.setpoints["MC1_SWSTAT"][1].buttons == ["INPUT", "OFFSET"]
    with tempfile.TemporaryDirectory() as folder:
        ezca.setpoint_snap(Path(folder) / "snap")
        assert f"{word} IN,OF\n" in (Path(folder) / "snap").read_text()


def snapshots(ezca, log):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "x1susmc1.snap"
        ezca["MC1_GAIN"] = 7
        ezca["MC1_TRAMP"] = 0.25
        ezca.burtrb(file)
        text = file.read_text()
        assert f"{ezca.ifo}:SUS-MC1_GAIN 1 7" in text, text
        ezca["MC1_GAIN"] = 8
        file.write_text(text.replace("RO ", ""))
        ezca.burtwb(file)
        assert ezca["MC1_GAIN"] == 7.0


def only_checked(ezca, log):
    """R11: new code is read by a process that writes nothing, whoever made the channels."""
    from ezca import Ezca

    before = ezca["MC1_SWSTAT"], ezca["MC1_GAIN"]
    kind, complaint = injected.choose(ReadOnly)
    assert not complaint
    try:
        checked = kind.of_node(ezca.ifo, log=log.append)
        checked.use_prefix("SUS")
        assert isinstance(checked, package.Ezca) and isinstance(checked, ReadOnly) and Ezca is not package.Ezca
        for one in (checked, package.Ezca("SUS")):
            began = time.monotonic()
            one.switch(FILTER, "FM1", "FM2", "INPUT", "PRESS")
            one.get_LIGOFilter(FILTER).only_on("FM3", "OFFSET")
            one["MC1_GAIN"] = 77
            one.ramp_gain(FILTER, 77, 1, wait=True)
            assert time.monotonic() - began < 1.5, "waits for buttons that nobody has pressed"
            one.close()
        assert (ezca["MC1_SWSTAT"], ezca["MC1_GAIN"]) == before
    finally:
        injected.choose(Channels)


def switched_off_by_the_environment(ezca, log):
    """EZCA_CA; nothing here waits for what cannot come."""
    word = ezca["MC1_SWSTAT"]
    for use, optic in (("READONLY", FILTER), ("DISABLE", FILTER), ("NOFAIL", "NOT-THERE")):
        os.environ["EZCA_CA"] = use
        try:
            other = type(ezca).of_node(ezca.ifo, log=log.append)
            other.use_prefix("SUS")
            filt = other.get_LIGOFilter(optic)
            filt.ramp_gain(1, ramp_time=1, wait=True)
            assert not filt.is_gain_ramping() and not other.is_offset_ramping(optic)
            other.switch(optic, "FM1", "PRESS") if use != "DISABLE" else None
            assert filt.ezca.ca_enable_write is (use == "NOFAIL") and filt.ezca.ca_enable_read is (use != "DISABLE")
            other.close()
        finally:
            del os.environ["EZCA_CA"]
    assert ezca["MC1_SWSTAT"] == word
    assert any("NOT-THERE is not switched, as EZCA_CA=NOFAIL allows: cannot convert float NaN" in line for line in log)


def lose_it(ezca, log):
    """The server of the filter is killed meanwhile."""
    filt = ezca.get_LIGOFilter(FILTER)
    filt.only_on(*BUTTONS)
    assert not filt.is_gain_ramping()
    own = package.Ezca("SUS-MC1")
    assert own["OUT16"] == 0
    print("KILL IT", flush=True)
    eventually(ezca.check_connections, 10, "the loss")
    for use in (
        lambda: ezca.switch(FILTER, "FM1", "ON"),
        lambda: filt.ramp_gain(1, 3),
        filt.is_gain_ramping,
        filt.GAIN.get,
    ):
        with raises(EzcaConnectError, f"{ezca.ifo}:SUS-MC1_"):
            use()
    # what a helper library uses is watched for, too
    with raises(EzcaConnectError, f"{ezca.ifo}:SUS-MC1_OUT16"):
        _ = own["OUT16"]
    assert ezca.lost([f"{ezca.ifo}:SUS-MC1_OUT16"]) == (f"{ezca.ifo}:SUS-MC1_OUT16",)
    print("START IT", flush=True)
    eventually(lambda: not ezca.lost(ezca.check_connections()), 30, "the server")
    filt.only_on("INPUT")
    assert filt.switch() == ["INPUT"]
    filt.ramp_gain(filt.GAIN.get() + 1, ramp_time=0.5, wait=False)
    assert filt.is_gain_ramping()


def _make(check: str) -> None:
    log: list[str] = []
    kind, complaint = injected.choose(Channels)
    assert not complaint, complaint
    ezca = kind.of_node(sys.argv[1], log=log.append)
    ezca.use_prefix("SUS")
    try:
        globals()[check](ezca, log)
    finally:
        ezca.close()


if __name__ == "__main__":
    os.environ["IFO"] = sys.argv[1]
    answer(_make)
