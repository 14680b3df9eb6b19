"""Ending user code: what wakes, what is spared, and that nothing else is ever hit. Real workers, under a fake host."""

from __future__ import annotations

import random
import signal
import time
from typing import Any

import pytest

from guardian.core.events import Began, Enter, Judge, Leave, Left, Raised, Report, Returned, Stop
from guardian.enums import Call, OnComplete
from guardian.state import GuardState
from guardian.worker.inbox import Inbox
from guardian.worker.interrupt import SIGNAL, Interrupter
from guardian.worker.loop import Loop
from tests.worker.conftest import Start
from tests.worker.fake_host import Worker

pytestmark = pytest.mark.proc

#: Seconds on a quiet machine are milliseconds; the host kills after 1 s (STOP) or 2 s (redirect).
SOON_S = 10.0

STUCK = """
import signal, subprocess, threading, time
from guardian import GuardState, GuardStateDecorator

class SLEEP(GuardState):
    def run(self):
        log('in')
        time.sleep(3600)

class SLEEP_IN_MAIN(GuardState):
    def main(self):
        log('in')
        time.sleep(3600)

class SLEEP_WHEN_MADE(GuardState):
    def __init__(self, logfunc=None):
        super().__init__(logfunc)
        log('in')
        time.sleep(3600)

class SPIN(GuardState):
    def run(self):
        log('in')
        while True:
            pass

class LOCK(GuardState):
    def run(self):
        lock = threading.Lock()
        lock.acquire()
        log('in')
        lock.acquire()

class EVENT(GuardState):
    def run(self):
        log('in')
        threading.Event().wait()

class PROGRAM(GuardState):
    def run(self):
        log('in')
        subprocess.call(['sleep', '1000'])

class TIMER(GuardState):
    def main(self):
        self.timer['long'] = 3600
        log('in')
        while not self.timer['long']:
            pass

class guard(GuardStateDecorator):
    def pre_exec(self):
        log('in')
        time.sleep(3600)

class DECORATOR(GuardState):
    @guard
    def run(self):
        pass

class NESTED(GuardState):
    def run(self):
        try:
            try:
                log('in')
                time.sleep(3600)
            except ValueError:
                log('wrong')
            finally:
                log('inner')
        except Exception:
            log('wrong')
        finally:
            log('outer')

class ANGRY(GuardState):
    def run(self):
        try:
            log('in')
            time.sleep(3600)
        finally:
            1 / 0

class TRUE(GuardState):
    def run(self):
        try:
            log('in')
            time.sleep(3600)
        except:
            return 'SLEEP'

class BARE(GuardState):
    # The bare except comes round more than once: each shot breaks one turn.
    def run(self):
        turns = 0
        while turns < 3:
            try:
                if not turns:
                    log('in')
                time.sleep(3600)
            except:
                turns += 1
        log('turns = %d', turns)

class CAREFUL(GuardState):
    # Cleaning up takes longer than the pause between two shots.
    def run(self):
        try:
            log('in')
            time.sleep(3600)
        finally:
            for step in range(6):
                try:
                    time.sleep(0.1)
                    raise KeyError(step)
                except KeyError:
                    pass
            log('cleaned up')

class NOTIFYING(GuardState):
    def run(self):
        log('in')
        while True:
            notify('the same')

class CROWDED(GuardState):
    # A thread that notifies shields nobody but itself.
    def run(self):
        def flood():
            for n in range(100_000):
                if gone.is_set():
                    break
                notify('n %d' % (n % 30))
        gone = threading.Event()
        thread = threading.Thread(target=flood)
        thread.start()
        try:
            log('in')
            while True:
                notify('mine')
        finally:
            gone.set()
            thread.join()

class PRINTING(GuardState):
    def run(self):
        log('in')
        while True:
            str.join(' ', ['a'] * 100)
            log('x')

class WELL(GuardState):
    def run(self):
        log('well')
        return True
"""
STATES = [
    "SLEEP",
    "SLEEP_IN_MAIN",
    "SLEEP_WHEN_MADE",
    "SPIN",
    "LOCK",
    "EVENT",
    "PROGRAM",
    "TIMER",
    "DECORATOR",
    "NESTED",
    "ANGRY",
    "TRUE",
    "BARE",
    "CAREFUL",
    "NOTIFYING",
    "CROWDED",
    "PRINTING",
]


def get_stuck(worker: Worker, state: str) -> None:
    seen = sum(line.endswith("] in") for line in worker.log)
    worker.enter(state)
    worker.until(lambda: sum(line.endswith("] in") for line in worker.log) > seen, f"{state} to be stuck")


def test_a_leave_ends_whatever_waits_or_turns_in_python(run: Start) -> None:
    worker = run(STUCK)
    for state in STATES:
        get_stuck(worker, state)
        took_s = worker.leave()
        assert took_s < SOON_S, f"{state} took {took_s:.2f} s\n{worker.story()}"
        # R8: nothing that came of it is told, and nothing of it is called again.
        assert not [r for r in worker.of(Raised) if r.entry == worker.entry], worker.story()
        assert not [r for r in worker.of(Returned) if r.entry == worker.entry and r.outcome], worker.story()
        worker.enter("WELL", OnComplete.WAIT)
        while not worker.outcome():
            pass
    for words in ("inner", "outer", "cleaned up", "turns = 3"):
        worker.says(words)
    assert not [line for line in worker.log if "wrong" in line or line.startswith("ERROR")]
    worker.stop()


@pytest.mark.parametrize("state", STATES)
def test_a_stop_ends_it_in_good_order(run: Start, state: str) -> None:
    worker = run(STUCK)
    get_stuck(worker, state)
    assert worker.stop() < SOON_S
    assert not worker.of(Raised) and not [line for line in worker.log if line.startswith("ERROR")]


def test_a_stop_at_rest(run: Start) -> None:
    worker = run(STUCK)
    worker.stop()
    worker = run(STUCK)
    worker.enter("WELL", OnComplete.WAIT)
    worker.hear(Returned, lambda r: r.outcome is True)
    worker.stop()


GATED = """
import os, time
from guardian import GuardState

class GATED(GuardState):
    def run(self):
        log('in')
        while not os.path.exists(IFO):
            time.sleep(0.005)
        return True
"""


def test_a_leave_without_interrupt_waits_for_the_method(run: Start, tmp_path: object) -> None:
    gate = f"{tmp_path}/gate"
    worker = run(GATED, ifo=gate)
    worker.enter("GATED")
    worker.says("in")
    calls = worker.beat().call
    worker.tell(Leave(entry=1, interrupt=False))
    worker.listen(0.4)  # more than one pause between two shots
    assert not worker.of(Left)
    open(gate, "w").close()
    worker.hear(Left)
    assert worker.beat().call == calls and not worker.of(Raised)


def test_words_about_another_entry_do_nothing(run: Start) -> None:
    worker = run(STUCK)
    worker.entry = 4
    get_stuck(worker, "SLEEP")
    call = worker.beat().call
    worker.tell(Leave(entry=4, interrupt=True), Leave(entry=6, interrupt=True), Judge(entry=4, seq=1))
    worker.listen(0.4)  # more than one pause between two shots
    assert worker.beat().call == call and worker.beat().method is Call.RUN and not worker.of(Left)
    worker.leave()
    assert [left.entry for left in worker.of(Left)] == [4, 6, 5]


def test_an_interrupted_of_user_codes_own_is_an_error_like_any_other(run: Start) -> None:
    worker = run(
        """
        from guardian import GuardState
        from guardian.errors import Interrupted
        class OWN(GuardState):
            def main(self):
                raise Interrupted('mine')
        """
    )
    worker.enter("OWN")
    assert "Interrupted: mine (SUS.py:6)" in worker.hear(Raised).message


def test_enter_and_leave_in_one_packet(run: Start) -> None:
    """The word to leave may be there before user code is: it is not lost, and no method hangs."""
    worker = run(STUCK)
    for _ in range(100):
        worker.entry += 1
        worker.tell(
            Enter(entry=worker.entry, state="SLEEP_IN_MAIN", on_complete=OnComplete.KEEP),
            Leave(entry=worker.entry, interrupt=True),
        )
        worker.hear(Left, lambda left: left.entry == worker.entry)
    assert not worker.of(Raised)
    worker.enter("WELL")
    worker.hear(Returned, lambda r: r.outcome is True)


class _Quiet:
    """Everything that the loop needs beside an inbox and states, and that says nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_args, **_kwargs: None


def test_a_leave_between_two_looks_into_the_inbox_is_not_lost() -> None:
    """It comes when the loop has seen an empty inbox and user code does not run yet: there is nothing to shoot at."""
    made = []

    class Stuck(GuardState):
        def main(self) -> None:
            made.append(self)

    heard: list[Report] = []

    def send(report: Report) -> None:
        heard.append(report)
        if isinstance(report, Began):
            inbox.put(Leave(entry=1, interrupt=True))
            assert interrupter.shoot(1) == 0
        elif isinstance(report, Left):
            inbox.put(Stop())

    before = signal.getsignal(SIGNAL)
    try:
        interrupter, inbox, quiet = Interrupter(), Inbox(), _Quiet()
        inbox.put(Enter(entry=1, state="STUCK", on_complete=OnComplete.KEEP))
        Loop(
            states={"STUCK": Stuck},
            inbox=inbox,
            send=send,
            interrupter=interrupter,
            beat=quiet,
            notices=quiet,  # type: ignore[arg-type]
            channels=quiet,
            log=quiet.log,
            say=quiet.say,
            context=quiet.context,
            exchange=quiet.exchange,
        ).run()
    finally:
        signal.signal(SIGNAL, before)
    assert heard == [Began(entry=1), Left(entry=1)] and not made


BUSY = """
import threading, time
from guardian import GuardState

LOCK = threading.Lock()

class BUSY(GuardState):
    def main(self):
        self.ended = 0
        self.timer['x'] = 0.001
        notify('busy')

    def run(self):
        for n in range(200):
            with LOCK:
                log('x')
            notify('n %d' % (n % 3))
            if n % 50 == 0:
                time.sleep(0.0005)
        return True

class NEXT(GuardState):
    def main(self):
        self.whole = list(range(50))
        return len(self.whole) == 50 and LOCK.acquire(timeout=10) and LOCK.release() is None
"""


@pytest.mark.slow
def test_500_rounds_of_leaving_at_random_moments(run: Start) -> None:
    """A late shot hits neither the next state, nor the loop, nor a line on the link, nor leaves a lock taken."""
    rng = random.Random(20261122)
    worker = run(BUSY)
    began = time.monotonic()
    for turn in range(500):
        worker.enter("BUSY")
        how = turn % 4
        if how:
            worker.hear(Began, lambda b: b.entry == worker.entry)
            until = time.monotonic() + rng.random() * (0.001, 0.01, 0.03)[how - 1]
            while time.monotonic() < until:
                pass
        if turn % 3:
            worker.leave()
        else:  # a second shot on the heels of the first
            worker.tell(Leave(entry=worker.entry, interrupt=True), Leave(entry=worker.entry, interrupt=True))
            for _ in range(2):
                worker.hear(Left, lambda left: left.entry == worker.entry)
        worker.enter("NEXT", OnComplete.WAIT)
        report = worker.hear(Returned, lambda r: r.entry == worker.entry)
        assert report.call is Call.MAIN and report.outcome is True, worker.story()
    assert not worker.of(Raised), worker.story()
    assert worker.beat().method is None
    print(f"500 rounds in {time.monotonic() - began:.1f} s")
    worker.stop()
    assert not [line for line in worker.log if line.startswith("ERROR")]
