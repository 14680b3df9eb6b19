"""The process that uses `Channels` under test, because a process has one CA context and one CA environment.

It is asked for the functions below by their names (`tests.access.asked`), and calls them with fresh `Channels`.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
import traceback
from contextlib import contextmanager

import numpy as np
import psutil

from guardian.access import injected
from guardian.access.channel import Reply
from guardian.access.channels import Channels
from guardian.access.libca import DISCONNECTED, NORMAL
from guardian.errors import EzcaConnectError, EzcaError, Interrupted
from tests.access.asked import answer
from tests.support.waiting import eventually


@contextmanager
def raises(kind, *words):
    """The block raises exactly `kind`, with all `words` in its message."""
    try:
        yield
    except kind as error:
        assert type(error) is kind, type(error)
        missing = [word for word in words if word not in str(error)]
        assert not missing, f"{missing} not in: {error}"
    else:
        raise AssertionError(f"no {kind.__name__}")


@contextmanager
def interrupted_in(seconds):
    """A signal handler raises Interrupted in the main thread after some time; the block must let it out quickly."""

    def handler(*_):
        handler.at = time.monotonic()
        raise Interrupted

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except Interrupted:
        assert time.monotonic() - handler.at < 1.0
    else:
        raise AssertionError("was not interrupted")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# -- every type, on both servers --------------------------------------------------------------------------------------


def numbers(ezca, log):
    ezca["NUM"] = 2
    assert ezca["NUM"] == 2.0 and type(ezca["NUM"]) is float
    ezca["NUM"] = "3.25"
    assert ezca.read("NUM", as_string=True) == "3.25"
    ezca["NUM"] = np.float64(1.5)
    assert ezca["NUM"] == 1.5
    ezca["COUNT"] = 9.0
    assert ezca["COUNT"] == 9 and type(ezca["COUNT"]) is int
    ezca["COUNT"] = True
    assert ezca["COUNT"] == 1
    with raises(EzcaError, "COUNT", "LONG", str(2**31 - 1)):
        ezca["COUNT"] = 2**40
    with raises(EzcaError, "NUM", "'high'", "not a number"):
        ezca["NUM"] = "high"
    with raises(EzcaError, "NUM", "2 values", "one value"):
        ezca["NUM"] = [1, 2]


def enums(ezca, log):
    ezca["SWITCH"] = "ON"
    assert ezca["SWITCH"] == 1 and type(ezca["SWITCH"]) is int
    assert ezca.read("SWITCH", as_string=True) == "ON"
    ezca["SWITCH"] = 2
    assert ezca.read("SWITCH", as_string=True) == "AUTO"
    ezca["SWITCH"] = "0"
    assert ezca["SWITCH"] == 0
    with raises(EzcaError, "SWITCH", "'HALF'", "OFF, ON, AUTO"):
        ezca["SWITCH"] = "HALF"
    assert ezca["SWITCH"] == 0


def strings(ezca, log):
    ezca["TEXT"] = "ALIGNED"
    assert ezca["TEXT"] == "ALIGNED"
    ezca["TEXT"] = "x" * 39
    assert ezca.read("TEXT", as_string=True) == "x" * 39
    with raises(EzcaError, "TEXT", "40 bytes", "39"):
        ezca["TEXT"] = "y" * 40
    assert ezca["TEXT"] == "x" * 39


def long_strings(ezca, log):
    ezca["LONG"] = "z" * 150
    assert ezca.read("LONG", as_string=True) == "z" * 150
    ezca["LONG"] = "short"
    assert ezca.read("LONG", as_string=True) == "short"
    value = ezca["LONG"]
    assert isinstance(value, np.ndarray) and bytes(value[:5]) == b"short"
    with raises(EzcaError, "LONG", "201 bytes", "200"):
        ezca["LONG"] = "z" * 201


def arrays(ezca, log):
    ezca["WAVE"] = [1, 2, 3]
    value = ezca["WAVE"]
    assert isinstance(value, np.ndarray) and value.dtype == float and list(value) == [1, 2, 3]
    value[0] = 99  # what user code gets is its own
    assert ezca["WAVE"][0] == 1
    ezca["WAVE"] = np.arange(10)
    assert list(ezca["WAVE"]) == list(range(10))
    ezca["WAVE"] = [5]
    assert isinstance(ezca["WAVE"], np.ndarray) and list(ezca["WAVE"]) == [5]
    with raises(EzcaError, "WAVE", "11 values", "1 to 10"):
        ezca["WAVE"] = range(11)


def string_arrays(ezca, log):
    ezca["WORDS"] = ["one", "two"]
    assert list(ezca["WORDS"]) == ["one", "two"]
    with raises(EzcaError, "WORDS", "40 bytes"):
        ezca["WORDS"] = ["one", "x" * 40]


def empty_arrays(ezca, log):
    value = ezca["EMPTY"]
    assert isinstance(value, np.ndarray) and value.size == 0
    ezca["EMPTY"] = [1, 2]
    assert list(ezca["EMPTY"]) == [1, 2]
    with raises(EzcaError, "EMPTY", "0 values", "1 to 5"):
        ezca["EMPTY"] = []


def prefixes(ezca, log):
    part = Channels(ezca.ifo, "N")  # N- is not served; the escape leaves it
    try:
        assert part.prefix == f"{ezca.ifo}:N-"
        part[":NUM"] = 4
        assert ezca["NUM"] == 4 and part.count == 1
    finally:
        part.close()
    with raises(TypeError, "0"):
        ezca[0]
    with raises(TypeError):
        list(ezca)


# -- what a write says and does ---------------------------------------------------------------------------------------


def logs_changes(ezca, log):
    ezca["NUM"] = 10
    log.clear()
    ezca["NUM"] = 10
    ezca["NUM"] = 3.0
    ezca["NUM"] = 3
    ezca["NUM"] = 10
    ezca["SWITCH"] = "AUTO"
    ezca["SWITCH"] = 2
    ezca["SWITCH"] = "OFF"
    ezca.write("NUM", 11, log=False)
    name = f"{ezca.ifo}:"
    assert log == [f"{name}NUM => 3.0", f"{name}NUM => 10", f"{name}SWITCH => AUTO", f"{name}SWITCH => OFF"], log
    fresh = Channels(ezca.ifo, log=log.append)
    try:
        fresh["NUM"] = 11  # the first use of a channel knows its value, too
        assert len(log) == 4, log
    finally:
        fresh.close()


def refused_write(ezca, log):
    with raises(EzcaError, "READONLY", "no write access"):
        ezca["READONLY"] = 1
    assert ezca["READONLY"] == 3.0
    with raises(EzcaError, "REFUSE", "refused"):
        ezca["REFUSE"] = 9
    assert not log
    assert ezca["REFUSE"] == 3.0


def no_read_access(ezca, log):
    began = time.monotonic()
    with raises(EzcaError, "HIDDEN", "no read access"):
        ezca["HIDDEN"]
    with raises(EzcaError, "HIDDEN", "no write access"):
        ezca["HIDDEN"] = 1
    assert time.monotonic() - began < 5


def slow_write(ezca, log):
    began = time.monotonic()
    with raises(EzcaError, "SLOW0", "not confirmed", "wait=False"):
        ezca.write("SLOW0", 50, timeout=0.3)
    assert time.monotonic() - began < 5
    ezca.write("NUM", 5, wait=False)
    eventually(lambda: ezca["NUM"] == 5)


def interrupted_write(ezca, log):
    for turn, seconds in enumerate((0.05, 0.1, 0.2)):
        ezca.read(f"SLOW{turn + 1}")
        with interrupted_in(seconds):
            ezca.write(f"SLOW{turn + 1}", 50, timeout=50)
    with interrupted_in(0.1):
        Channels(ezca.ifo, timeout_s=60)["NOWHERE"]
    ezca["NUM"] = 6  # and nothing is stuck
    assert ezca["NUM"] == 6


def interrupted_behind_each_call(ezca, log):
    """An interrupt that arrives during a call into libca is raised right behind it: nothing there may be lost."""

    class Interrupting:
        def __init__(self, real, name):
            self.real, self.name = real, name

        def __getattr__(self, name):
            function = getattr(self.real, name)
            if name != self.name:
                return function

            def call(*arguments):
                function(*arguments)
                self.name = None
                raise Interrupted

            return call

    ezca["NUM"] = 1
    calls = "ca_create_channel ca_create_subscription ca_array_put_callback ca_array_get_callback ca_flush_io"
    for turn, name in enumerate(calls.split()):
        fresh = Channels(ezca.ifo, timeout_s=10, log=log.append)
        try:
            channel = fresh._register(fresh.full_name("NUM"))
            channel._call = Interrupting(channel._call, name)
            with raises(Interrupted):
                fresh["NUM"] = turn + 10
                fresh["NUM"]
            began = time.monotonic()
            fresh["NUM"] = turn + 20
            assert fresh["NUM"] == turn + 20
            assert time.monotonic() - began < 4, f"{name}: took {time.monotonic() - began:.1f} s"
        finally:
            fresh.close()


def interrupted_anywhere(ezca, log):
    """Interrupts at random points of writing and reading leave an object that works."""
    hits = 0

    def handler(*_):
        raise Interrupted

    before = signal.signal(signal.SIGALRM, handler)
    try:
        for turn in range(150):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0002 + 0.00001 * turn)
                while True:
                    ezca["NUM"] = turn
                    ezca["NUM"]
            except Interrupted:
                hits += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert hits == 150
    for value in (1.0, 2.0, 3.0):
        ezca["NUM"] = value
        assert ezca["NUM"] == value


def lost_before_it_is_told(ezca, log):
    """libca ends what is under way, and takes all access back, before it tells that a circuit is lost.

    That is no refusal, and no right that is missing: the method is called again when the channel is back (R13).
    """

    class Losing:
        def __init__(self, real):
            self.real = real

        def __getattr__(self, name):
            answers = {"ca_state": 1, "ca_write_access": 0, "ca_read_access": 0}
            return (lambda *_: answers[name]) if name in answers else getattr(self.real, name)

    ezca["NUM"] = 1
    channel = ezca._register(ezca.full_name("NUM"))
    reply = Reply(True, channel.circuit)
    reply.status, reply.done = DISCONNECTED, True
    for status in (NORMAL, DISCONNECTED):
        with raises(EzcaConnectError, "NUM", "lost"):
            channel._answer(0, reply, status, time.monotonic() + 5)
    assert channel.said(reply) is None and channel.lost(reply)
    real, channel._call = channel._call, Losing(channel._call)
    try:
        with raises(EzcaConnectError, "NUM", "lost"):
            ezca["NUM"] = 2
        channel._latest = channel._fetched = None
        channel._unsure = False
        with raises(EzcaConnectError, "NUM", "lost"):
            ezca["NUM"]
    finally:
        channel._call = real


# -- own writes, monitors ---------------------------------------------------------------------------------------------


def sees_own_write(ezca, log):
    for value in range(50):
        ezca["NUM"] = value
        assert ezca["NUM"] == value
    other = Channels(ezca.ifo)
    try:
        for value in range(5):
            other["NUM"] = value
            eventually(lambda value=value: ezca["NUM"] == value, what=f"a foreign write of {value}")
    finally:
        other.close()


def sees_own_write_without_event(ezca, log):
    """MDEL=10: small changes cause no monitor event, so the monitor alone would give an old value for ever."""
    ezca["LAG"] = 100
    for value in (101, 102, 103, 104):
        ezca["LAG"] = value
        assert ezca["LAG"] == value
        assert ezca["LAG"] == value
    other = Channels(ezca.ifo)
    try:
        other["LAG"] = 200
        eventually(lambda: ezca["LAG"] == 200)
    finally:
        other.close()


def fresh_read(ezca, log):
    """MDEL=10: no monitor tells of what somebody else does in small steps; who must know asks the server."""
    ezca["LAG"] = 300
    assert ezca["LAG"] == 300
    other = Channels(ezca.ifo)
    try:
        for step in range(1, 5):
            other["LAG"] = 300 + step
            assert ezca.read("LAG", fresh=True) == 300 + step
            assert ezca["LAG"] == 300 + step, "what is known stays known"
        other["LAG"] = 309
        assert ezca.read("LAG", as_string=True, fresh=True).startswith("309")
        other["LAG"] = 320
        eventually(lambda: ezca["LAG"] == 320, what="the monitor")
    finally:
        other.close()


def field_order(ezca, log):
    """The arguments of read and write come in the order of LIGO's ezca."""
    ezca["NUM"] = 1
    log.clear()
    ezca.write("NUM", 2, True, False, 7, True)
    ezca.write("NUM", 3, False, True, None, False)
    eventually(lambda: ezca["NUM"] == 3)
    assert ezca.read("SWITCH", True, True) in ("OFF", "ON", "AUTO")
    assert log[0] == f"{ezca.ifo}:NUM => 2" and log[1].startswith(f"{ezca.ifo}:SWITCH == ") and len(log) == 2, log


def cached_read(ezca, log):
    """A read that the monitor answers costs microseconds."""
    ezca["NUM"]
    began = time.perf_counter()
    for _ in range(2000):
        ezca["NUM"]
    each_us = (time.perf_counter() - began) / 2000 * 1e6
    print(f"{each_us:.1f} us a cached read", flush=True)
    assert each_us < 100


def other_threads(ezca, log):
    faults = []

    def use(number):
        try:
            for turn in range(20):
                ezca["WAVE"] = [number, turn]
                ezca.read("NUM")
                ezca.read("SWITCH", as_string=True)
        except Exception:
            faults.append(traceback.format_exc())

    threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not faults, faults[0]
    assert ezca.count == 3


# -- connections ------------------------------------------------------------------------------------------------------


def missing(ezca, log):
    name = f"{ezca.ifo}:NOWHERE"
    quick = Channels(ezca.ifo, timeout_s=0.3)
    try:
        with raises(EzcaConnectError, name, "0.3 s", "EPICS_CA_ADDR_LIST"):
            quick["NOWHERE"]
        began = time.monotonic()
        with raises(EzcaConnectError, name, "not connected"):
            quick["NOWHERE"] = 1
        assert time.monotonic() - began < 0.2, "a known lost channel is not waited for"
        try:
            quick["NOWHERE"]
        except EzcaConnectError as error:
            assert error.channels == (name,)
        quick["NUM"]
        assert quick.count == 2
        assert quick.disconnected() == (name,) and quick.check_connections() == [name]
        assert quick.lost([name, f"{ezca.ifo}:NUM", "never used"]) == (name,)
    finally:
        quick.close()
    with raises(EzcaError, "closed"):
        quick["NUM"]


def missing_ones_share_a_timeout(ezca, log):
    """In one call; the channels that exist are found all the same, and those that were missed are not waited for."""
    quick = Channels(ezca.ifo, timeout_s=1.0)
    there = ["NUM", "COUNT", "SWITCH", "TEXT", "WAVE", "READONLY"]
    names = [name for one in there for name in (f"NOT_{one}_1", f"NOT_{one}_2", one)]
    try:
        for limit_s in (1.0 + len(there) * 3 * 0.5, 0.3):
            quick.calling()
            began, found = time.monotonic(), []
            for name in names:
                try:
                    quick[name]
                    found.append(name)
                except EzcaConnectError as error:
                    assert error.channels == (f"{ezca.ifo}:{name}",)
                    told = "used up the rest of the timeout" in str(error)
                    assert told == (limit_s > 1 and name != names[0]), error
            assert found == there
            took = time.monotonic() - began
            assert took < limit_s, took
    finally:
        quick.close()


def connects_many_at_once(ezca, log):
    quick = Channels(ezca.ifo, timeout_s=1.0)
    there = ["NUM", "COUNT", "SWITCH", "TEXT", "WAVE", "READONLY"]
    try:
        quick.connect(*there)
        quick.connect("NUM")
        quick.connect()
        assert quick.check_connections() == [] and quick.count == len(there)
        began = time.monotonic()
        try:
            quick.connect("NUM", *(f"NOT{n}" for n in range(20)))
        except EzcaConnectError as error:
            assert error.channels == tuple(f"{ezca.ifo}:NOT{n}" for n in range(20)), error.channels
            assert f"{ezca.ifo}:NOT4 and 15 more: not connected" in str(error), error
        else:
            raise AssertionError("no EzcaConnectError")
        assert 0.9 < time.monotonic() - began < 3
        began = time.monotonic()
        with raises(EzcaConnectError, "NOT3", "not connected"):
            quick.connect("NOT3")
        assert time.monotonic() - began < 0.5, "it was waited for"
    finally:
        quick.close()


def foreseen(ezca, log):
    """Channels that are connected in advance are no used ones, and nobody waits for them."""
    names = ["NUM", "COUNT", "SWITCH", "NOWHERE"]
    quick = Channels(ezca.ifo, timeout_s=0.5)
    try:
        quick.foresee(quick.full_name(name) for name in names)
        assert quick.count == 0 and quick.disconnected() == () and quick.met == []
        ahead = dict(quick._foreseen)
        eventually(lambda: sum(channel.connected for channel in ahead.values()) == 3)
        for name in names[:3]:
            quick[name]
            assert quick._channels[quick.full_name(name)] is ahead[quick.full_name(name)]
        assert quick.met == [f"{ezca.ifo}:{name}" for name in names[:3]] and quick.count == 3
        with raises(EzcaConnectError, "0.5 s"):
            quick["NOWHERE"]
        quick.foresee(quick.full_name(name) for name in names)
        assert not quick._foreseen
    finally:
        quick.close()


@contextmanager
def in_environment(ifo, **values):
    """Channels that are made in an environment with these values."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    made = None
    try:
        made = Channels(ifo)
        yield made
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)
        if made is not None:
            made.close()


def ezca_ca_readonly(ezca, log):
    ezca["NUM"] = 5
    with in_environment(ezca.ifo, EZCA_CA="READONLY", EZCA_TIMEOUT="0.5") as other:
        assert other.timeout == 0.5
        other["NUM"] = 6
        other.write("NUM", 6, wait=False)
        other["NOWHERE"] = 6
        assert other.count == 0, "nothing was even looked for"
        assert other.read("NUM", fresh=True) == 5
        with raises(EzcaConnectError, "NOWHERE"):
            other["NOWHERE"]
        with raises(EzcaConnectError, "NOWHERE"):
            other.connect("NOWHERE")
        with raises(TypeError):
            other[0] = 1


def ezca_ca_disable(ezca, log):
    ezca["NUM"] = 5
    with in_environment(ezca.ifo, EZCA_CA="DISABLE") as other:
        other["NUM"] = 6
        assert math.isnan(other["NUM"]) and other.read("NUM", as_string=True) == "nan"
        other.connect("NUM", "NOWHERE")
        assert other.count == 0 and not other.check_connections()
        with raises(TypeError):
            other[0]
    assert ezca.read("NUM", fresh=True) == 5


def ezca_ca_nofail(ezca, log):
    ezca["NUM"] = 5
    with in_environment(ezca.ifo, EZCA_CA="NOFAIL", EZCA_TIMEOUT="0.5") as other:
        other["NUM"] = 6
        assert other["NUM"] == 6
        other["NOWHERE"] = 6
        other.connect("NOWHERE", "NUM")
        assert math.isnan(other["NOWHERE"]) and other.read("NOWHERE", as_string=True) == "nan"
        assert other.check_connections() == [f"{ezca.ifo}:NOWHERE"]
        with raises(EzcaError, "TEXT"):
            other["TEXT"] = "x" * 50


def environment_that_is_not_understood(ezca, log):
    for name, value in (("EZCA_CA", "SOMETIMES"), ("EZCA_TIMEOUT", "soon")):
        with raises(EzcaError, name, value), in_environment(ezca.ifo, **{name: value}):
            pass


def nudges(ezca, log):
    """A change of a channel that the last call has read rings, unless the code writes it itself."""
    rung = []
    mine = Channels(ezca.ifo, nudge=lambda: rung.append(1), timeout_s=20)
    try:
        ezca["NUM"], ezca["COUNT"] = 1, 1

        def call(*reads, **writes):
            mine.calling()
            for name in reads:
                mine[name]
            for name, value in writes.items():
                mine[name] = value

        def rings(**writes):
            for name, value in writes.items():
                ezca[name] = value
                eventually(lambda name=name, value=value: mine._channels[mine.full_name(name)]._latest is not None)
            time.sleep(0.3)
            count = len(rung)
            rung.clear()
            return count

        call("NUM", "COUNT")
        assert rings(NUM=2) == 0, "nobody wants to be woken"
        mine.wake(True)
        assert rings(NUM=3) == 1 and rings(COUNT=2) == 1
        assert rings(NUM=3) == 0, "the same value is no change"
        call("NUM")
        assert rings(COUNT=3) == 0, "the last call has not read it"
        assert rings(NUM=4) == 1
        call("NUM", "COUNT", NUM=5)
        assert rings(NUM=6) == 0 and rings(COUNT=4) == 1, "it writes NUM itself"
        call("NUM")
        assert rings(NUM=7) == 0, "its own write may still be on its way"
        call("NUM")
        assert rings(NUM=8) == 1
    finally:
        mine.close()


def sees_what_the_code_has_written_through_another_object(ezca, log, name="NUM"):
    """Helper libraries make an Ezca of their own: what is read is older than the writes of none."""
    kind, _complaint = injected.choose(Channels)
    all_of_them = kind.of_node(ezca.ifo, log=log.append), kind("", ezca.ifo), kind("", ezca.ifo, timeout=5)
    try:
        value = 0
        for _turn in range(30):
            for one in all_of_them:
                value = (value + 1) % 8
                one[name] = value
                assert [other[name] for other in all_of_them] == [value] * 3
    finally:
        for one in all_of_them:
            one.close()


def what_it_writes_through_another_object_wakes_nobody(ezca, log):
    rung = []
    kind, _complaint = injected.choose(Channels)
    node = kind.of_node(ezca.ifo, log=log.append, nudge=lambda: rung.append(1))
    own = kind("", ezca.ifo)
    try:
        node.wake(True)
        for value in range(5):
            node.calling()
            node["NUM"]
            own["NUM"] = value
            time.sleep(0.1)
            if not value:
                rung.clear()  # the first event of a monitor
        assert rung == []
        node.calling()
        node.calling()
        node["NUM"]
        ezca["NUM"] = 77
        eventually(lambda: rung, 10, "somebody else's write to ring")
    finally:
        own.close()
        node.close()


def sees_it_without_event(ezca, log):
    sees_what_the_code_has_written_through_another_object(ezca, log, "LAG")


def names_that_no_channel_has(ezca, log):
    for name in ("NUM\0X", "\udc80", "A" * 5000):
        for use in (ezca.read, lambda name: ezca.write(name, 1), ezca.connect):
            for _again in range(2):
                with raises(EzcaError, "is not a channel name"):
                    use(name)
    assert len(ezca.check_connections()) == 1, "but for one that libca refuses, they were never channels"


def failures_leak_nothing(ezca, log):
    def use():
        return threading.active_count(), psutil.Process().num_threads(), psutil.Process().num_fds()

    quick = Channels(ezca.ifo, timeout_s=0.05)
    try:
        for turn in range(60):
            if turn == 5:
                before = use()
            for name, value in (("NOWHERE", 1), ("READONLY", 2), ("TEXT", "x" * 50), ("REFUSE", 50)):
                try:
                    quick[name] = value
                except (EzcaError, EzcaConnectError):
                    continue
                raise AssertionError(name)
        assert use() == before, (before, use())
    finally:
        quick.close()


# -- a server that goes and comes: steps on one object ----------------------------------------------------------------


#: What the kept object told of lost channels, each time.
TOLD: list[tuple[str, ...]] = []


def use_and_keep(ezca, log):
    """Of two channels that are foreseen one is used, and was there before that."""
    ezca.foresee(ezca.full_name(name) for name in ("COUNT", "SWITCH"))
    ahead = tuple(ezca._foreseen.values())
    eventually(lambda: all(channel.connected for channel in ahead))
    ezca["NUM"] = 12
    assert ezca["NUM"] == 12 and ezca["COUNT"] == 7
    assert not TOLD


def see_it_gone(ezca, log):
    name = f"{ezca.ifo}:NUM"
    began = time.monotonic()
    eventually(lambda: ezca.lost([name]) == (name,))
    print(f"lost after {time.monotonic() - began:.2f} s", flush=True)
    for use in (lambda: ezca["NUM"], lambda: ezca.write("NUM", 1), lambda: ezca["COUNT"]):
        with raises(EzcaConnectError, ezca.ifo, "not connected. It is used again when its IOC is back"):
            use()
    eventually(lambda: set(TOLD[-1]) == {name, f"{ezca.ifo}:COUNT"}, what="both that were used to be told as lost")
    with raises(EzcaConnectError, f"{ezca.ifo}:LATER"):
        ezca.read("LATER", timeout=0.2)


def see_it_back(ezca, log):
    names = [f"{ezca.ifo}:NUM", f"{ezca.ifo}:LATER"]
    began = time.monotonic()
    eventually(lambda: not ezca.lost(names), timeout_s=60)
    print(f"back after {time.monotonic() - began:.2f} s", flush=True)
    # Of another kind than before: NUM is a text now.
    assert ezca["NUM"] == "now a text", ezca["NUM"]
    assert ezca["LATER"] == 1
    eventually(lambda: not TOLD[-1], what="nothing lost any more")
    assert ezca["COUNT"] == 8
    assert ezca.read("SWITCH", as_string=True, timeout=2) == "ON", "foreseen, lost and never used till now"
    ezca["NUM"] = "yes"
    assert ezca["NUM"] == "yes"


def lose_it_while_writing(ezca, log):
    with raises(EzcaConnectError, "SLOW0", "lost"):
        ezca.write("SLOW0", 50, timeout=60)


def find_it_late_and_write(ezca, log):
    """The write has its whole time, however long the server let us wait for the connection."""
    print("SEARCHING", flush=True)
    began = time.monotonic()
    with raises(EzcaError, "SLOW0", "not confirmed in time"):
        ezca.write("SLOW0", 50, timeout=10)
    print(f"gave up after {time.monotonic() - began:.2f} s", flush=True)


def main(ifo):
    kept = None

    def make(check):
        nonlocal kept
        keep = check in ("use_and_keep", "see_it_gone", "see_it_back")
        log = []
        told = TOLD if keep else []
        ezca = (keep and kept) or Channels(ifo, log=log.append, lost=told.append, timeout_s=20)
        if keep:
            kept = ezca
        try:
            globals()[check](ezca, log)
        finally:
            if not keep:
                ezca.close()

    answer(make)


if __name__ == "__main__":
    main(sys.argv[1])
