"""The process whose set points are under test: asked for the functions below by their names (`tests.access.asked`)."""

from __future__ import annotations

import math
import os
import signal
import struct
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from guardian.access import injected, listing
from guardian.access import watch as watching
from guardian.access.channels import Channels
from guardian.access.watch import Watch
from guardian.core import setpoints
from guardian.core.events import Differences, Setpoints
from guardian.core.setpoints import Listed, Setpoint, packed, unpacked
from guardian.errors import EzcaConnectError, EzcaError
from tests.access.asked import answer
from tests.access.client import interrupted_in, raises
from tests.support.waiting import eventually


def values(ezca):
    return {name: unpacked(point.value) for name, point in by_name(ezca).items()}


def by_name(ezca):
    return {point.name: point for point in ezca.memory.points.values()}


# -- what is remembered -----------------------------------------------------------------------------------------------


def every_kind_is_remembered_as_the_channel_holds_it(ezca, log):
    single = struct.unpack("f", struct.pack("f", 0.1))[0]
    for name, value, kept in [
        ("NUM", 3, 3.0),
        ("NUM", "3.25", 3.25),
        ("COUNT", 4.9, 4),
        ("SWITCH", "ON", 1),
        ("SWITCH", 2, 2),
        ("TEXT", "SAFE", "SAFE"),
        ("LONG", "a long text " * 9, "a long text " * 9),
        ("WAVE", np.array([1, 2]), [1.0, 2.0]),
        ("SINGLE", 0.1, single),
        ("NUM", np.float32(0.5), 0.5),
        ("NUM", math.inf, math.inf),
        ("NUM", math.nan, math.nan),
    ]:
        ezca[name] = value
        found = values(ezca)[name]
        assert setpoints.same(kept, found) and type(found) is type(kept), (name, value, found)
        assert ezca.check_setpoints() == (), ezca.check_setpoints()
    assert by_name(ezca)["SWITCH"].label == "AUTO"
    assert all(abs(point.at - time.time()) < 60 for point in by_name(ezca).values())
    assert ezca.setpoints["SWITCH"] == (f"{ezca.ifo}:SWITCH", 2)
    assert list(ezca.setpoints["WAVE"][1]) == [1.0, 2.0]
    assert not log or all("watched" not in line for line in log)


def what_is_no_set_point(ezca, log):
    ezca["FILT_RSET"] = 2
    ezca.write("NUM", 5, monitor=False)
    with raises(EzcaError, "READONLY"):
        ezca["READONLY"] = 1
    with raises(EzcaError, "REFUSE"):
        ezca["REFUSE"] = 1
    with raises(EzcaError, "SLOW0", "not confirmed"):
        ezca.write("SLOW0", 50, timeout=0.2)
    with raises(EzcaError, "TEXT"):
        ezca["TEXT"] = "x" * 50
    assert ezca.setpoints == {}
    ezca["NUM"] = 4
    ezca.write("NUM", 5, monitor=False)
    assert values(ezca) == {"NUM": 4.0}, "what was set before stands"
    ((full, expected, found, off),) = ezca.check_setpoints()
    assert (full, expected, found, off) == (f"{ezca.ifo}:NUM", 4.0, 5.0, 1.0)


def another_set_point_than_what_is_written(ezca, log):
    ezca.write("NUM", 5, setpoint=6)
    assert values(ezca) == {"NUM": 6.0}
    ezca.write("NUM", 5, True, True, 0)  # 0 is one, too
    assert values(ezca) == {"NUM": 0.0}
    ezca.write("SWITCH", "ON", setpoint="AUTO", wait=False)
    assert values(ezca)["SWITCH"] == 2 and by_name(ezca)["SWITCH"].label == "AUTO"
    with raises(EzcaError, "'high'"):
        ezca.write("NUM", 7, setpoint="high")
    assert ezca["NUM"] == 5, "a set point that cannot be is found out before anything is written"


def an_interrupted_write_is_a_set_point(ezca, log):
    ezca.read("SLOW1")
    with interrupted_in(0.1):
        ezca.write("SLOW1", 50, timeout=50)
    assert values(ezca) == {"SLOW1": 50.0}


def interrupts_anywhere_leave_what_is_there(ezca, log):
    """The last write that was begun is what is remembered, or the one before it."""
    hits = 0

    def handler(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, handler)
    value = 0
    try:
        for turn in range(100):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0002 + 0.00002 * turn)
                while True:
                    value += 1
                    ezca["NUM"] = value
            except KeyboardInterrupt:
                hits += 1
            kept = values(ezca).get("NUM", value)
            assert kept in (value, value - 1), (kept, value)
            value = int(kept)  # two interrupts may both come before a write begins
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert hits == 100


def the_table_is_bounded_and_says_so(ezca, log):
    most, setpoints.MOST = setpoints.MOST, 2
    try:
        for name in ("NUM", "COUNT", "SWITCH", "SWITCH"):
            ezca[name] = 1
        ezca["NUM"] = 9
        assert values(ezca) == {"NUM": 9.0, "COUNT": 1}
        told = [line for line in log if "not watched" in line]
        assert len(told) == 1 and "SWITCH" in told[0] and "2 channels" in told[0], log
    finally:
        setpoints.MOST = most
    ezca["LONG"] = "x" * 100
    bytes_, setpoints.MOST_BYTES = setpoints.MOST_BYTES, 50
    try:
        ezca["LONG"] = "y" * 100
        assert "LONG" not in values(ezca), "what was set before is not what is set now"
        assert any("LONG" in line and "50 are remembered" in line for line in log), log
    finally:
        setpoints.MOST_BYTES = bytes_
    longest, setpoints.NAME_LENGTH = setpoints.NAME_LENGTH, len(f"{ezca.ifo}:NUM")
    try:
        ezca["NUM"] = ezca["COUNT"] = 5
        assert values(ezca)["NUM"] == 5 and "COUNT" not in values(ezca)
        assert sum("COUNT"[:2] in line and "name has more" in line for line in log) == 1, log
    finally:
        setpoints.NAME_LENGTH = longest


# -- what user code asks ----------------------------------------------------------------------------------------------


def tables_as_in_the_field(ezca, log):
    ezca["NUM"] = 4
    ezca["TEXT"] = "SAFE"
    ezca["LONG"] = "here"
    ezca.init_setpoints(["NUM", "TEXT", ("SWITCH", "ON"), ("WAVE", [1, 2]), "LONG"])
    assert values(ezca) == {"NUM": 4.0, "TEXT": "SAFE", "SWITCH": 1, "WAVE": [1.0, 2.0], "LONG": "here"}
    ezca.write("SWITCH", "OFF", monitor=False)
    ezca.write("WAVE", [1, 3], monitor=False)
    ezca.write("TEXT", "BAD", monitor=False)
    ezca.write("LONG", "there", monitor=False)
    told = {full.split(":")[1]: rest for full, *rest in ezca.check_setpoints()}
    assert (
        told["SWITCH"] == [1, 0, -1] and told["TEXT"] == ["SAFE", "BAD", ""] and told["LONG"] == ["here", "there", ""]
    )
    assert [list(part) for part in told["WAVE"]] == [[1, 2], [1, 3], [0, 1]]
    ezca.init_setpoints(["NUM"], init=True)
    assert values(ezca) == {"NUM": 4.0}
    for odd in ([3], [("NUM",)], [("NUM", 1, 2)], [(3, 1)]):
        with raises(EzcaError, "neither 'CHAN' nor ('CHAN', value)"):
            ezca.init_setpoints(odd, init=True)
    assert values(ezca) == {"NUM": 4.0}, "a bad table changes nothing"
    with raises(EzcaError, "'NUM' is no table"):
        ezca.init_setpoints("NUM", init=True)
    with raises(EzcaError, "SWITCH", "'HALF'"):
        ezca.init_setpoints([("SWITCH", "HALF")])
    with raises(EzcaError, "NUM", "2 values"):
        ezca.init_setpoints([("NUM", ["INPUT", "FM1"])])
    quick = Channels(ezca.ifo, timeout_s=0.2)
    try:
        with raises(EzcaConnectError, "NOWHERE"):
            quick.init_setpoints(["NOWHERE"])
        quick.memory.keep(Setpoint(channel=f"{ezca.ifo}:NOWHERE", name="NOWHERE", value="3.0"))
        assert quick.check_setpoints() == ((f"{ezca.ifo}:NOWHERE", "", "DEAD", ""),)
    finally:
        quick.close()
    file = Path(tempfile.mkdtemp()) / "snap"
    ezca["SWITCH"] = "ON"
    ezca.setpoint_snap(file)
    assert file.read_text() == f"{ezca.ifo}:NUM 4.0\n{ezca.ifo}:SWITCH 1\n"


def they_are_looked_at_whatever_code_calls_them_now(ezca, log):
    """A LOAD may change the prefix, and an Ezca of the code's own may be of another machine."""
    kind, _complaint = injected.choose(Channels)
    node = kind.of_node("Y1", log=log.append, timeout_s=1)
    own = kind("", ezca.ifo)
    try:
        own["NUM"] = 3
        assert node.check_setpoints() == () and list(node.setpoints) == [f"{ezca.ifo}:NUM"]
    finally:
        own.close()
        node.close()
    ezca["NUM"] = 4
    ezca.use_prefix("SUS")
    assert ezca.check_setpoints() == () and ezca.check_connections() == []


def where_the_environment_switches_channels_off(ezca, log):
    before = os.environ.get("EZCA_CA")
    try:
        for said in ("READONLY", "DISABLE", "NOFAIL"):
            os.environ["EZCA_CA"] = said
            other = Channels(ezca.ifo, timeout_s=0.3)
            try:
                other["NUM"] = 8
                other["NOWHERE"] = 8
                if said != "READONLY":
                    other.init_setpoints(["NOWHERE"])
                other.init_setpoints(["COUNT"])
                kept = {"READONLY": {"COUNT"}, "DISABLE": set(), "NOFAIL": {"NUM", "COUNT"}}[said]
                assert set(values(other)) == kept, (said, values(other))
                assert other.check_setpoints() == ()
            finally:
                other.close()
    finally:
        os.environ.pop("EZCA_CA") if before is None else os.environ.update(EZCA_CA=before)


# -- the monitor ------------------------------------------------------------------------------------------------------


class Heard:
    """What a monitor tells."""

    def __init__(self):
        self.reports = []
        self.standing = ()
        self.stood = []
        self.said = []

    def stand(self, texts):
        self.standing = texts
        self.stood.append(tuple(text.split(" is ")[-1].split(",")[0] for text in texts))

    @property
    def points(self):
        points = {}
        for report in tuple(self.reports):
            if isinstance(report, Setpoints):
                for channel in report.gone:
                    points.pop(channel, None)
                points.update((one.channel, one) for one in report.points)
        return points

    @property
    def changed(self):
        """What differs, by the last part of its name: set, is."""
        told = [report for report in tuple(self.reports) if isinstance(report, Differences)]
        return None if not told else {one.channel.split(":")[1]: (one.set, one.now) for one in told[-1].first}

    def waits(self, **changed):
        eventually(lambda: self.changed == changed, 30, f"{changed}, heard {self.reports[-3:]} {self.said}")


@contextmanager
def watched(ezca, *, restored=(), monitor=True, notify=False, settle_s=0.2, look_s=0.2, dead_s=1.0):
    """A monitor that is quicker than it is."""
    before = watching.SETTLE_S, watching.LOOK_S, watching.DEAD_S, listing.SILENT_S
    watching.SETTLE_S, watching.LOOK_S, watching.DEAD_S, listing.SILENT_S = settle_s, look_s, dead_s, 1.0
    heard = Heard()
    watch = Watch(ezca, restored=restored, report=heard.reports.append, stand=heard.stand, say=heard.said.append)
    try:
        watch.switch(monitor=monitor, notify=notify)
        yield watch, heard
    finally:
        watch.switch(monitor=False, notify=False)
        eventually(lambda: not watch._on_since, 10, "the monitor to rest")
        ezca.memory.changed = lambda: None
        watching.SETTLE_S, watching.LOOK_S, watching.DEAD_S, listing.SILENT_S = before


def what_others_change_is_told_and_what_comes_back_too(ezca, log):
    other = Channels(ezca.ifo)
    with watched(ezca, notify=True) as (_watch, heard):
        ezca["NUM"] = 3
        ezca["SWITCH"] = "ON"
        ezca["TEXT"] = "SAFE"
        heard.waits()
        before = time.time()
        other["NUM"] = 5
        heard.waits(NUM=(3.0, 5.0))
        assert heard.standing[0].startswith(f"{ezca.ifo}:NUM is 5, set to 3 (since "), heard.standing
        eventually(lambda: heard.points[f"{ezca.ifo}:NUM"].since >= before - 0.01, 10, "the time to be told")
        other["SWITCH"] = "AUTO"
        heard.waits(NUM=(3.0, 5.0), SWITCH=("ON", "AUTO"))
        other["TEXT"] = "BAD"
        other["NUM"] = 3 + 1e-13
        heard.waits(SWITCH=("ON", "AUTO"), TEXT=("SAFE", "BAD"))
        ezca["TEXT"] = "BAD"
        ezca["SWITCH"] = "ON"
        heard.waits()
        assert heard.standing == ()
        eventually(lambda: not any(one.since for one in heard.points.values()), 10, "no time to stand")
    assert heard.said == []
    other.close()


def a_channel_that_keeps_moving_is_no_flood_of_notifications(ezca, log):
    other = Channels(ezca.ifo)
    with watched(ezca, notify=True) as (_watch, heard):
        ezca["NUM"] = 3
        heard.waits()
        for value in range(5, 12):
            other["NUM"] = value
            heard.waits(NUM=(3.0, float(value)))
        assert heard.stood == [("5",)], heard.stood
        before, watching.NOTICE_S = watching.NOTICE_S, 0.0
        try:
            eventually(lambda: heard.stood[-1] == ("11",), 10, "the value to be told anew")
        finally:
            watching.NOTICE_S = before
        ezca["NUM"] = 3
        heard.waits()
        eventually(lambda: heard.stood == [("5",), ("11",), ()], 10, "the notification to go")
    other.close()


def a_channel_that_code_reads_and_writes_in_every_cycle(ezca, log):
    """Own writes are no changes, however fast, and whether or not code reads them back."""
    with watched(ezca, settle_s=0.0, look_s=0.01) as (_watch, heard):
        until = time.monotonic() + 4
        value = 0
        while time.monotonic() < until:
            value += 1
            ezca["NUM"] = value
            if value % 3:
                ezca["NUM"]
            time.sleep(0.003)
        eventually(lambda: heard.points, 10, "it to be told")
        assert all(report.count == 0 for report in heard.reports if isinstance(report, Differences)), heard.reports[-5:]
        told = [report for report in heard.reports if isinstance(report, Setpoints)]
        print(f"{value} writes, told in {len(told)} messages", flush=True)
        assert len(told) < 60


def own_writes_that_nobody_waits_for(ezca, log):
    """As far as the server handles requests in order."""
    with watched(ezca, settle_s=0.0, look_s=0.01) as (_watch, heard):
        until = time.monotonic() + 2
        value = 0
        while time.monotonic() < until:
            value += 1
            ezca.write("NUM", value, wait=False)
            time.sleep(0.002)
        ezca["NUM"]
        assert all(report.count == 0 for report in heard.reports if isinstance(report, Differences)), heard.reports[-5:]


def a_write_that_takes_long_is_no_change_while_it_does(ezca, log):
    """The record has its new value at once, and says only much later that it is done."""
    name = f"{ezca.ifo}:SLOW3"
    now = ezca["SLOW3"]
    with watched(ezca) as (_watch, heard):
        ezca.memory.keep(Setpoint(channel=name, name="SLOW3", value=packed(now), at=time.time()))
        heard.waits()
        with raises(EzcaError, "not confirmed"):
            ezca.write("SLOW3", 50, timeout=3)
        assert heard.changed == {}
        heard.waits(SLOW3=(now, 50.0))  # nobody knows whether it was taken, until it is looked at


def an_own_write_below_the_dead_band_is_no_change(ezca, log):
    """MDEL: no monitor tells of it, so the server is asked."""
    ezca["LAG"] = 50
    ezca["LAG"]
    with watched(ezca) as (_watch, heard):
        ezca["LAG"] = 51
        heard.waits()
        time.sleep(1.5)
        assert heard.changed == {}
        other = Channels(ezca.ifo)
        other["LAG"] = 100
        heard.waits(LAG=(51.0, 100.0))
        other.close()


def what_does_not_stay_is_told_once_however_often_it_is_set(ezca, log):
    """The record has a limit, and code that writes in every cycle sets it anew once a minute."""
    again, setpoints.AGAIN_S = setpoints.AGAIN_S, 0.5
    try:
        with watched(ezca, notify=True) as (_watch, heard):
            ezca["CLAMP"] = 50
            heard.waits(CLAMP=(50.0, 10.0))
            eventually(lambda: heard.points[f"{ezca.ifo}:CLAMP"].since, 10, "since when")
            since, told = heard.points[f"{ezca.ifo}:CLAMP"].since, len(heard.reports)
            first = heard.points[f"{ezca.ifo}:CLAMP"].at
            for _cycle in range(30):
                ezca["CLAMP"] = 50
                time.sleep(0.1)
            assert heard.points[f"{ezca.ifo}:CLAMP"].at > first + 1, "it was set anew"
            assert all(report.count for report in heard.reports[told:] if isinstance(report, Differences))
            assert heard.points[f"{ezca.ifo}:CLAMP"].since == since and heard.standing
            ezca["CLAMP"] = 5
            heard.waits()
            assert heard.standing == ()
            eventually(lambda: not heard.points[f"{ezca.ifo}:CLAMP"].since, 10, "it to be as it was set")
    finally:
        setpoints.AGAIN_S = again


def so_it_is_of_what_code_sets_through_an_ezca_of_its_own(ezca, log):
    """The monitor then watches it on a channel of its own, which knows nothing of the write."""
    kind, _complaint = injected.choose(Channels)
    node = kind.of_node(ezca.ifo, log=log.append, timeout_s=20)
    own = kind("", ezca.ifo)
    try:
        own["LAG"] = 50
        with watched(node) as (_watch, heard):
            eventually(lambda: any(one.peek() for one in tuple(node._apart)), 10, "the monitor to know it")
            own["LAG"] = 51
            time.sleep(1.5)
            assert heard.changed == {}
            ezca.write("LAG", 100, monitor=False)
            heard.waits(LAG=(51.0, 100.0))
    finally:
        own.close()
        node.close()


def what_an_earlier_worker_has_set_is_watched_on_channels_of_its_own(ezca, log):
    ezca["NUM"] = 5
    fresh = Channels(ezca.ifo)
    num, count, gone = (f"{ezca.ifo}:{name}" for name in ("NUM", "COUNT", "NOWHERE"))
    restored = [
        Setpoint(channel=num, name="NUM", value="3.0", at=1e9, since=1.1e9),
        Setpoint(channel=count, name="COUNT", value=packed(ezca["COUNT"]), at=1e9),
        Setpoint(channel=gone, name="NOWHERE", value="1.0", at=1e9),
    ]
    try:
        with watched(fresh, restored=restored, notify=True) as (_watch, heard):
            heard.waits(NUM=(3.0, 5.0), NOWHERE=(1.0, "DEAD"))
            told = [report for report in heard.reports if isinstance(report, Differences)][-1]
            assert {one.channel: one.since for one in told.first}[num] == 1.1e9, "since when was known"
            assert any("NOWHERE does not answer" in text for text in heard.standing)
            assert fresh.count == 0 and fresh.disconnected() == ()
            assert num not in heard.points, "what the host knows is not told again"
            fresh["NUM"] = 4  # from now on on the channel of the code
            heard.waits(NOWHERE=(1.0, "DEAD"))
            assert fresh.count == 1 and len(fresh._apart) == 2
        eventually(lambda: not fresh._apart, 10, "the channels to be given back")
    finally:
        fresh.close()


def what_was_dead_for_the_last_worker_is_so_for_the_next_one(ezca, log):
    """In between nothing is told, so that no alarm goes and comes."""
    first, watching.FIRST_S = watching.FIRST_S, 0.5
    gone = Setpoint(channel=f"{ezca.ifo}:NOWHERE", name="NOWHERE", value="1.0", at=1e9, since=1.1e9)
    try:
        with watched(ezca, restored=[gone], dead_s=20) as (_watch, heard):
            heard.waits(NOWHERE=(1.0, "DEAD"))
            told = [report for report in heard.reports if isinstance(report, Differences)]
            assert [report.count for report in told] == [1] and told[0].first[0].since == 1.1e9
    finally:
        watching.FIRST_S = first


def the_list_of_the_module(ezca, log):
    ezca.write("NUM", 2, monitor=False)
    ezca.write("SWITCH", "ON", monitor=False)
    ezca["TEXT"] = "SAFE"
    entries = [
        Listed(name="NUM"),
        Listed(name="SWITCH", value='"ON"'),
        Listed(name="COUNT", value="70"),
        Listed(name="TEXT", value='"OTHER"'),
        Listed(name="NOWHERE"),
        Listed(name="NOWHERE2", value="3"),
    ]
    with watched(ezca) as (watch, heard):
        watch.listed(entries, anew=False)
        eventually(lambda: f"{ezca.ifo}:NUM" in heard.points, 20, "the value it has")
        heard.waits(COUNT=(70, ezca["COUNT"]), NOWHERE2=(3, "DEAD"))
        assert values(ezca)["TEXT"] == "SAFE", "what code has written counts more"
        assert unpacked(heard.points[f"{ezca.ifo}:NUM"].value) == 2.0 and heard.points[f"{ezca.ifo}:NUM"].module
        eventually(lambda: any("NOWHERE does not answer" in line for line in heard.said), 10, "it to be told")
        ezca.write("NUM", 6, monitor=False)
        ezca.write("COUNT", 70, monitor=False)
        heard.waits(NUM=(2.0, 6.0), NOWHERE2=(3, "DEAD"))
        watch.listed(entries[:2], anew=False)  # a new worker
        heard.waits(NUM=(2.0, 6.0))
        assert set(values(ezca)) == {"NUM", "SWITCH", "TEXT"}
        watch.listed(entries[:2], anew=True)  # a LOAD takes it as it is
        heard.waits()
        eventually(lambda: values(ezca).get("NUM") == 6.0, 10, "the value it has now")
        ezca["NUM"] = 7
        watch.listed([], anew=True)
        eventually(lambda: set(values(ezca)) == {"NUM", "TEXT"}, 10, "what the module said to go")


def nobody_works_while_there_is_nothing_to_do(ezca, log):
    threads = threading.active_count()
    with watched(ezca, monitor=False) as (watch, heard):
        watch.listed([], anew=False)
        time.sleep(0.3)
        assert heard.reports == []
        ezca["NUM"] = 3
        eventually(lambda: heard.points, 10, "it to be told")
        time.sleep(0.3)
        rounds, tell = [], watch._tell

        def counted():
            rounds.append(1)
            tell()

        watch._tell = counted
        time.sleep(1.0)
        assert rounds == []
    assert threading.active_count() <= threads + 1


def a_child_that_user_code_forks_tells_nobody(ezca, log):
    with watched(ezca, monitor=False) as (_watch, heard):
        ezca["NUM"] = 3
        eventually(lambda: heard.points, 10, "it to be told")
        pid = os.fork()
        if pid == 0:
            ezca.memory.keep(Setpoint(channel="X", name="X", value="1", at=time.time()))
            os._exit(0 if len(ezca.memory.points) == 2 else 1)
        assert os.waitpid(pid, 0)[1] == 0
        assert set(heard.points) == {f"{ezca.ifo}:NUM"}


def many_writes_are_told_in_few_messages_and_flushed_at_the_end(ezca, log):
    with watched(ezca, monitor=False) as (watch, heard):
        for value in range(300):
            ezca.memory.keep(Setpoint(channel=f"X:{value % 100}", name="x", value=str(value), at=time.time()))
            time.sleep(0.001)
        watch.flush(5)
        assert heard.points == ezca.memory.points and len(heard.points) == 100
        assert len(heard.reports) < 30, len(heard.reports)
        ezca.memory.forget()
        watch.flush(5)
        assert heard.points == {}


def main(ifo):
    def make(check):
        log = []
        ezca = Channels(ifo, log=log.append, timeout_s=20)
        try:
            globals()[check](ezca, log)
        finally:
            ezca.close()

    answer(make)


if __name__ == "__main__":
    main(sys.argv[1])
