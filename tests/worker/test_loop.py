"""The loop that runs user code: order, timing, what it reports and when. Real workers, under a fake host.

User code tells the times of its calls in the log (CLOCK_MONOTONIC, one for the whole machine), so nothing here depends
on how soon the test hears of them.
"""

from __future__ import annotations

import itertools
import textwrap
import time
from pathlib import Path

import pytest

from guardian.core.events import (
    Began,
    Judge,
    Leave,
    Left,
    Loaded,
    Notifications,
    Pause,
    Policy,
    Reached,
    Reload,
    Reloaded,
    Resume,
    Returned,
    Sources,
)
from guardian.enums import Call, OnComplete
from guardian.worker.loop import CYCLE_S, EXTRA_CALL_S, IDLE_CYCLE_S
from tests.worker.conftest import Start
from tests.worker.fake_host import Worker

pytestmark = pytest.mark.proc

KEEP, WAIT = OnComplete.KEEP, OnComplete.WAIT

STATES = """
import os, time
import numpy as np
from guardian import GuardState

def now(mark):
    log('%s= %.6f', mark, time.monotonic())

class TIMES(GuardState):
    def __init__(self, logfunc=None):
        super().__init__(logfunc)
        now('made')
    def main(self):
        now('main')
    def run(self):
        now('run')

class EMPTY(GuardState):
    pass

class DONE(GuardState):
    def run(self):
        now('run')
        return True

class JUMP(GuardState):
    def run(self):
        return 'SAFE'

class GATED(GuardState):
    # Complete while the file is there.
    def run(self):
        return os.path.exists(SITE)

class SLOW(GuardState):
    def run(self):
        now('began')
        while not os.path.exists(SITE):
            time.sleep(0.002)
        now('ended')
        return True

class COUNT(GuardState):
    def main(self):
        self.count = 0
        self.timer['t'] = 0.5
    def run(self):
        self.count += 1
        log('count = %d %r', self.count, self.timer['t'])
        return self.timer['t']
"""


def gate(run: Start, tmp_path: Path, state: str, on_complete: OnComplete = KEEP) -> tuple[Worker, Path]:
    """A worker in a state that looks at a file, and the file, which is not there yet."""
    path = tmp_path / "gate"
    worker = run(STATES, site=str(path))
    worker.enter(state, on_complete)
    return worker, path


# --- order and timing ---------------------------------------------------------------------------------------------


def test_R2_main_then_run_at_once_then_every_cycle(run: Start) -> None:
    worker = run(STATES)
    worker.enter("TIMES")
    worker.until(lambda: len(worker.numbers("run= ")) >= 33, "33 calls of run()")
    runs = worker.numbers("run= ")
    # A busy machine may delay single calls; the grid is kept in the middle.
    steps = sorted(b - a for a, b in itertools.pairwise(runs))
    middle = steps[len(steps) // 2]
    assert abs(middle - CYCLE_S) < 0.15 * CYCLE_S, f"calls every {middle * 1000:.1f} ms"
    assert min(steps) > 0.0, steps
    said = [type(r).__name__ for _, r in worker.reports if not isinstance(r, (Loaded, Reached, Sources))]
    assert said == ["Began", "Returned"], worker.story()
    for _ in range(5):
        worker.leave()
        worker.enter("TIMES")
        seen = len(worker.numbers("run= "))
        worker.until(lambda seen=seen: len(worker.numbers("run= ")) > seen, "another call of run()")
    runs = worker.numbers("run= ")
    mains = worker.numbers("main= ")
    assert all(made <= main for made, main in zip(worker.numbers("made= "), mains, strict=True))
    gaps = [min(run - main for run in runs if run >= main) for main in mains]
    assert min(gaps) < CYCLE_S / 3, "the first run() follows main() at once"
    print(f"run() every {middle * 1000:.3f} ms, first after main() {min(gaps) * 1e6:.0f} us")


def test_R2_an_empty_state_completes_and_rests(run: Start) -> None:
    worker = run(STATES)
    entry = worker.enter("EMPTY", WAIT)
    assert [worker.hear(Returned) for _ in range(2)] == [
        Returned(entry=entry, call=Call.MAIN, outcome=False),
        Returned(entry=entry, call=Call.RUN, outcome=True),
    ]
    calls = worker.beat().call
    worker.listen(4 * CYCLE_S)
    assert worker.beat().call == calls == 2


def test_R4_under_keep_run_goes_on_and_only_changes_are_told(run: Start, tmp_path: Path) -> None:
    worker, path = gate(run, tmp_path, "GATED")
    assert worker.outcome() is False
    for told, outcome in enumerate((True, False, True), start=1):
        calls = worker.beat().call
        worker.until(lambda calls=calls: worker.beat().call > calls + 2, "more calls")
        assert len(worker.of(Returned)) == told, "calls with the same outcome are not told"
        path.touch() if outcome else path.unlink()
        assert worker.outcome() is outcome
    calls = worker.beat().call
    worker.until(lambda: worker.beat().call > calls + 2, "run() to go on")
    assert len(worker.of(Returned)) == 4


def test_R6_a_jump_waits_under_either_policy(run: Start) -> None:
    worker = run(STATES)
    for policy in (KEEP, WAIT):
        worker.enter("JUMP", policy)
        assert [worker.outcome(), worker.outcome()] == [False, "SAFE"]
        calls = worker.beat().call
        worker.tell(Policy(entry=worker.entry, on_complete=KEEP), Judge(entry=worker.entry, seq=9))
        worker.listen(3 * CYCLE_S)
        assert worker.beat().call == calls and len(worker.of(Returned)) == 2 * worker.entry


# --- states without a run() of their own --------------------------------------------------------------------------

NO_RUN = """
import threading, time
from guardian import GuardState, GuardStateDecorator

def tells():
    log('run= %.6f', time.monotonic())

class EMPTY(GuardState):
    pass

class MAIN(GuardState):
    def main(self):
        notify('from main')

class BY_MAIN(GuardState):
    def main(self):
        self.run = tells

class LATER(GuardState):
    def main(self):
        threading.Timer(1.0, lambda: setattr(self, 'run', tells)).start()

class OF_THE_CLASS(GuardState):
    def main(self):
        threading.Timer(1.0, lambda: setattr(type(self), 'run', lambda self: tells())).start()

class watched(GuardStateDecorator):
    def pre_exec(self):
        tells()

@watched
class DECORATED(GuardState):
    pass

class FOR_ALL(GuardState):
    def main(self):
        GuardState.run = lambda self: tells()
"""


def middle(times: list[float]) -> float:
    """The usual time between two of them: a busy machine may delay single calls."""
    steps = sorted(b - a for a, b in itertools.pairwise(times))
    return steps[len(steps) // 2]


def calls_every(worker: Worker, count: int = 9) -> float:
    """Seconds between two calls, by the beat: some states have nothing that could tell."""
    times: list[float] = []
    calls = [worker.beat().call]

    def called() -> bool:
        if worker.beat().call != calls[-1]:
            calls.append(worker.beat().call)
            times.append(time.monotonic())
        return len(times) >= count

    until = time.monotonic() + 30
    while not called():
        assert time.monotonic() < until, f"{len(times)} calls in 30 s\n{worker.story()}"
        time.sleep(0.002)
    return (times[-1] - times[0]) / (calls[-1] - calls[1])


def test_a_state_without_a_run_of_its_own_is_called_seldom(run: Start) -> None:
    worker = run(NO_RUN)
    worker.enter("EMPTY")
    assert [worker.outcome(), worker.outcome()] == [False, True]
    every_s = calls_every(worker)
    assert 0.8 * IDLE_CYCLE_S < every_s < 2 * IDLE_CYCLE_S, f"calls every {every_s * 1000:.0f} ms"


def test_R7_a_judge_is_answered_at_once_also_where_calls_are_seldom(run: Start) -> None:
    worker = run(NO_RUN)
    worker.enter("EMPTY")
    assert [worker.outcome(), worker.outcome()] == [False, True]
    waits = []
    for seq in range(1, 31):
        worker.listen(0.015 + 0.001 * seq)
        asked = time.monotonic()
        worker.tell(Judge(entry=worker.entry, seq=seq))
        assert worker.hear(Returned, lambda r, seq=seq: r.seq == seq).outcome is True
        waits.append(time.monotonic() - asked)
    usual_s = sorted(waits)[len(waits) // 2]
    assert usual_s < CYCLE_S / 3, f"answers took {usual_s * 1000:.1f} ms"


def test_R18_a_system_that_is_not_reactive_answers_a_judge_within_a_cycle_also_without_a_run(run: Start) -> None:
    worker = run(NO_RUN + "\nreactive = False\n")
    worker.enter("EMPTY")
    assert [worker.outcome(), worker.outcome()] == [False, True]
    waits = []
    for seq in range(1, 16):
        worker.listen(0.013 * seq % CYCLE_S)
        asked = time.monotonic()
        worker.tell(Judge(entry=worker.entry, seq=seq))
        worker.hear(Returned, lambda r, seq=seq: r.seq == seq)
        waits.append(time.monotonic() - asked)
    usual_s = sorted(waits)[len(waits) // 2]
    assert usual_s < 1.5 * CYCLE_S, f"answers took {usual_s * 1000:.1f} ms"


@pytest.mark.parametrize("state", ["BY_MAIN", "LATER", "OF_THE_CLASS", "DECORATED", "FOR_ALL"])
def test_a_run_that_the_state_gets_later_is_called_every_cycle_from_then_on(run: Start, state: str) -> None:
    worker = run(NO_RUN)
    worker.enter(state)
    worker.until(lambda: len(worker.numbers("run= ")) >= 26, "26 calls of run()")
    every_s = middle(worker.numbers("run= ")[1:])
    assert abs(every_s - CYCLE_S) < 0.25 * CYCLE_S, f"calls every {every_s * 1000:.1f} ms"


def test_R11_a_run_that_comes_with_new_code_is_called_every_cycle_from_then_on(run: Start, tmp_path: Path) -> None:
    worker = run(NO_RUN)
    worker.enter("EMPTY")
    assert [worker.outcome(), worker.outcome()] == [False, True]
    worker.listen(2 * IDLE_CYCLE_S)
    with_run = NO_RUN.replace(
        "class EMPTY(GuardState):\n    pass", "class EMPTY(GuardState):\n    run = lambda s: tells()"
    )
    (tmp_path / "SUS.py").write_text(textwrap.dedent(with_run))
    worker.tell(Reload())
    worker.hear(Reloaded)
    worker.until(lambda: len(worker.numbers("run= ")) >= 26, "26 calls of run()")
    every_s = middle(worker.numbers("run= ")[1:])
    assert abs(every_s - CYCLE_S) < 0.25 * CYCLE_S, f"calls every {every_s * 1000:.1f} ms"


def test_R11_a_run_that_goes_with_new_code_is_called_no_more(run: Start, tmp_path: Path) -> None:
    with_run = NO_RUN.replace(
        "class EMPTY(GuardState):\n    pass", "class EMPTY(GuardState):\n    run = lambda s: tells()"
    )
    worker = run(with_run)
    worker.enter("EMPTY")
    worker.until(lambda: worker.numbers("run= "), "run()")
    (tmp_path / "SUS.py").write_text(textwrap.dedent(NO_RUN))
    worker.tell(Reload())
    worker.hear(Reloaded)
    assert worker.hear(Returned, lambda r: r.outcome is True), "the run() of every state completes it"
    assert calls_every(worker) > 0.8 * IDLE_CYCLE_S


def test_R14_a_text_of_main_goes_after_a_second_and_a_run_without_it_also_where_calls_are_seldom(run: Start) -> None:
    worker = run(NO_RUN)
    worker.enter("MAIN")
    assert worker.hear(Notifications).texts == ("from main",)
    given = time.monotonic()
    assert worker.hear(Notifications).texts == ()
    stood_s = time.monotonic() - given
    assert 0.9 < stood_s < 2 + IDLE_CYCLE_S, f"it stood for {stood_s:.2f} s"


# --- Judge (R7, R18) ----------------------------------------------------------------------------------------------


def test_R7_a_judge_is_answered_at_once_in_any_case(run: Start) -> None:
    worker = run(STATES)
    worker.enter("TIMES")
    worker.outcome()
    waits = []
    for seq in range(1, 31):
        worker.listen(0.015 + 0.001 * seq)
        asked = time.monotonic()
        worker.tell(Judge(entry=worker.entry, seq=seq))
        answer = worker.hear(Returned, lambda r, seq=seq: r.seq == seq)
        assert answer.outcome is False and answer.call is Call.RUN
        waits.append(time.monotonic() - asked)
    middle = sorted(waits)[len(waits) // 2]
    assert middle < CYCLE_S / 3, f"answers took {middle * 1000:.1f} ms"
    assert len([r for r in worker.of(Returned) if r.seq]) == 30
    print(f"a Judge is answered in {middle * 1000:.2f} ms")


def test_R18_extra_calls_keep_their_distance(run: Start) -> None:
    worker = run(STATES)
    worker.enter("TIMES")
    worker.outcome()
    before = len(worker.numbers("run= "))
    for seq in range(1, 41):
        worker.tell(Judge(entry=worker.entry, seq=seq))
        worker.hear(Returned, lambda r, seq=seq: r.seq == seq)
    worker.until(lambda: len(worker.numbers("run= ")) >= before + 40, "40 calls")
    runs = worker.numbers("run= ")
    assert runs[before + 39] - runs[before] >= 37 * EXTRA_CALL_S
    worker.tell(
        *(Judge(entry=worker.entry, seq=seq) for seq in range(41, 61))
    )  # all at once: one call, the last number
    worker.hear(Returned, lambda r: r.seq == 60)
    assert len([r for r in worker.of(Returned) if r.seq > 40]) < 10


def test_R18_a_system_that_is_not_reactive_is_called_on_the_cycle_only(run: Start) -> None:
    worker = run(STATES + "\nreactive = False\n")
    worker.enter("TIMES")
    worker.outcome()
    for seq in range(1, 11):
        worker.tell(Judge(entry=worker.entry, seq=seq))
        worker.hear(Returned, lambda r, seq=seq: r.seq == seq)
    runs = worker.numbers("run= ")
    gaps = sorted(b - a for a, b in itertools.pairwise(runs[1:]))
    assert gaps[len(gaps) // 2] > CYCLE_S * 0.8, f"run() was called every {gaps[len(gaps) // 2] * 1000:.1f} ms"


def test_R7_a_judge_during_a_long_call_is_answered_right_behind_it(run: Start, tmp_path: Path) -> None:
    worker, path = gate(run, tmp_path, "SLOW")
    worker.says("began= ")
    worker.tell(Policy(entry=1, on_complete=WAIT), Judge(entry=1, seq=3))
    worker.listen(2 * CYCLE_S)
    assert [r.call for r in worker.of(Returned)] == [Call.MAIN], "nothing is answered before the call is over"
    path.touch()
    answer = worker.hear(Returned, lambda r: r.seq == 3)
    assert answer.outcome is True
    # The call in progress counts by itself: it is told as a completion, before the answer.
    told = [(r.call, r.outcome, r.seq) for r in worker.of(Returned)]
    assert told == [(Call.MAIN, False, 0), (Call.RUN, True, 0), (Call.RUN, True, 3)]
    worker.until(lambda: len(worker.numbers("ended= ")) == 2, "two calls")


# --- policies crossing a completion -------------------------------------------------------------------------------


def test_keep_becomes_wait_the_next_completion_is_told_and_waited_after(run: Start) -> None:
    worker = run(STATES)
    worker.enter("DONE", KEEP)
    assert [worker.outcome(), worker.outcome()] == [False, True]
    worker.tell(Policy(entry=1, on_complete=WAIT))
    assert worker.outcome() is True
    calls = worker.beat().call
    worker.listen(3 * CYCLE_S)
    assert worker.beat().call == calls


def test_wait_becomes_keep_behind_a_completion_and_run_goes_on(run: Start) -> None:
    worker = run(STATES)
    worker.enter("DONE", WAIT)
    assert [worker.outcome(), worker.outcome()] == [False, True]
    worker.tell(Policy(entry=1, on_complete=KEEP), Judge(entry=1, seq=1))
    assert worker.hear(Returned, lambda r: r.seq == 1).outcome is True
    calls = worker.beat().call
    worker.until(lambda: worker.beat().call > calls + 3, "run() to go on")
    assert len(worker.of(Returned)) == 3


def test_a_judge_at_rest_that_finds_it_incomplete_starts_the_calls_again(run: Start, tmp_path: Path) -> None:
    path = tmp_path / "gate"
    path.touch()
    worker, _ = gate(run, tmp_path, "GATED", WAIT)
    assert [worker.outcome(), worker.outcome()] == [False, True]
    path.unlink()
    worker.tell(Judge(entry=1, seq=1))
    assert worker.hear(Returned, lambda r: r.seq == 1).outcome is False
    calls = worker.beat().call
    worker.until(lambda: worker.beat().call > calls + 2, "run() to go on")
    path.touch()
    assert worker.outcome() is True


def test_words_about_an_entry_that_is_over_are_ignored(run: Start) -> None:
    worker = run(STATES)
    worker.enter("DONE", WAIT)
    worker.hear(Returned, lambda r: r.outcome is True)
    worker.enter("DONE", WAIT)
    worker.hear(Returned, lambda r: r.entry == 2 and r.outcome is True)
    calls = worker.beat().call
    worker.tell(
        Policy(entry=1, on_complete=KEEP), Judge(entry=1, seq=1), Judge(entry=3, seq=2), Leave(entry=1, interrupt=True)
    )
    worker.hear(Left, lambda left: left.entry == 1)
    worker.listen(3 * CYCLE_S)
    assert worker.beat().call == calls
    worker.tell(Judge(entry=2, seq=3))
    assert worker.hear(Returned, lambda r: r.seq == 3).entry == 2


# --- Pause (R10) --------------------------------------------------------------------------------------------------


def is_still(worker: Worker) -> bool:
    """Whether no call was made for longer than the timer of COUNT."""
    calls = worker.beat().call
    worker.listen(0.6)
    return worker.beat().call == calls


def test_R10_pause_lets_the_method_end_and_resume_keeps_instance_and_timers(run: Start, tmp_path: Path) -> None:
    worker, path = gate(run, tmp_path, "SLOW", WAIT)
    worker.says("began= ")
    worker.tell(Pause())
    path.touch()
    assert [worker.outcome(), worker.outcome()] == [False, True]
    worker.leave()
    worker.tell(Resume())
    worker.enter("COUNT")
    worker.says("count = 2")
    worker.tell(Pause(), Pause())
    worker.until(lambda: is_still(worker), "the calls to cease")
    counted = int(worker.numbers("count = ")[-1])
    worker.tell(Resume())
    line = worker.says(f"count = {counted + 1} ")
    assert line.endswith("True"), "the same instance, and its timer ran on"
    assert worker.hear(Returned, lambda r: r.call is Call.RUN and r.entry == 2 and r.outcome is True)


def test_what_is_asked_under_pause_is_done_after_it(run: Start) -> None:
    worker = run(STATES)
    worker.tell(Pause())
    worker.enter("DONE", WAIT)
    worker.tell(Judge(entry=1, seq=1))
    worker.listen(3 * CYCLE_S)
    assert not worker.of(Began)
    worker.tell(Resume())
    worker.hear(Returned, lambda r: r.seq == 1)
    assert worker.hear(Returned, lambda r: r.call is Call.RUN).outcome is True


def test_the_whole_list_of_texts_and_how_they_go(run: Start) -> None:
    worker = run(
        """
        from guardian import GuardState
        class HOT(GuardState):
            def main(self):
                notify('main')
                self.timer['t'] = 0.2
            def run(self):
                if not self.timer['t']:
                    notify('%s is %d', 'run', 3)
        """
    )
    worker.enter("HOT")
    assert worker.hear(Notifications).texts == ("main",)
    began = time.monotonic()
    assert worker.hear(Notifications).texts == ("main", "run is 3")
    assert worker.hear(Notifications).texts == ("run is 3",)
    assert worker.hear(Notifications).texts == ()
    assert time.monotonic() - began > 1.0
