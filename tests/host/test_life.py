"""The life of a worker process, as the rows PROC_* tell it."""

from __future__ import annotations

from guardian.enums import ProcessState
from guardian.host.life import Life


def test_a_process_that_is_ready_before_its_number_is_told_is_ready_then():
    life = Life("X1:SUS_MC1")
    life.asked()
    life.reached(ProcessState.LOADCFG)
    life.reached(ProcessState.READY)
    assert (life.process.state, life.process.pid) == (ProcessState.STARTED, 0)
    life.exists(4711)
    assert (life.process.state, life.process.pid) == (ProcessState.READY, 4711)


def test_how_far_the_last_one_was_says_nothing_of_the_next():
    life = Life("X1:SUS_MC1")
    life.asked()
    life.exists(4711)
    life.reached(ProcessState.READY)
    life.ended("exit code 1")
    life.asked()
    life.exists(4712)
    assert (life.process.state, life.process.pid) == (ProcessState.BOOTING, 4712)


def test_it_goes_no_step_back():
    life = Life("X1:SUS_MC1")
    life.asked()
    life.exists(4711)
    life.reached(ProcessState.READY)
    life.reached(ProcessState.LOADCFG)
    assert life.process.state is ProcessState.READY
