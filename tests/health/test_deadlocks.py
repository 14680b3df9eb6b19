"""A job that waits for what no worker is left to do is told so; whoever can still go on is never told that."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import (
    ALL_COMPLETED,
    FIRST_COMPLETED,
    FIRST_EXCEPTION,
    Future,
    ThreadPoolExecutor,
    as_completed,
    wait,
)
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any

import pytest

from guardian.enums import Recovery
from guardian.errors import DeadlockDetectedError, ExosError
from guardian.health import MonitoredThreadPool
from guardian.health import waits as graph
from tests.support import eventually

ANSWER_S = 60.0


@pytest.fixture
def pool() -> Iterator[Callable[..., MonitoredThreadPool]]:
    made: list[MonitoredThreadPool] = []

    def make(workers: int, name: str = "p") -> MonitoredThreadPool:
        made.append(MonitoredThreadPool(workers, name, 15, Recovery.REPORT))
        return made[-1]

    yield make
    for one in made:
        one.shutdown(cancel_futures=True)
    assert graph._waits == {}


WAYS: dict[str, Callable[[Future[Any]], Any]] = {
    "result": lambda future: future.result(),
    "exception": lambda future: future.exception(),
    "as_completed": lambda future: [one.result() for one in as_completed([future])],
    "wait": lambda future: wait([future]),
    "wait for the first": lambda future: wait({future}, return_when=FIRST_COMPLETED),
    "wait for an exception": lambda future: wait([future], return_when=FIRST_EXCEPTION),
}


@pytest.mark.parametrize("way", WAYS)
def test_waiting_for_a_job_of_the_same_full_pool(way, pool):
    full = pool(1, "narrow")

    def job() -> Any:
        return WAYS[way](full.submit(int))

    asked = full.submit(job)
    with pytest.raises(DeadlockDetectedError, match=r"pool narrow: .* its one worker waits"):
        asked.result(ANSWER_S)
    assert full.submit(int, "5").result(ANSWER_S) == 5, "the pool goes on"


@pytest.mark.parametrize("way", WAYS)
def test_waiting_for_its_own_result(way, pool):
    wide = pool(4)
    own: list[Future[Any]] = []
    there = threading.Event()

    def job() -> Any:
        there.wait(ANSWER_S)
        return WAYS[way](own[0])

    own.append(wide.submit(job))
    there.set()
    with pytest.raises(DeadlockDetectedError, match="itself"):
        own[0].result(ANSWER_S)


def test_the_results_of_map_in_a_job_of_the_same_full_pool(pool):
    full = pool(1)
    with pytest.raises(DeadlockDetectedError):
        full.submit(lambda: list(full.map(int, "123"))).result(ANSWER_S)


def test_shutdown_in_a_job_of_the_same_pool_shuts_nothing_down(pool):
    own = pool(3, "own")
    with pytest.raises(DeadlockDetectedError, match="shutdown"):
        own.submit(own.shutdown).result(ANSWER_S)
    assert own.submit(int, "5").result(ANSWER_S) == 5
    own.submit(own.shutdown, wait=False).result(ANSWER_S)
    with pytest.raises(RuntimeError):
        own.submit(int)


def test_the_last_worker_that_begins_to_wait_is_told_and_the_others_go_on(pool):
    full = pool(3)
    together = threading.Barrier(3)

    def job(number: int) -> int:
        together.wait(ANSWER_S)
        return int(full.submit(lambda: number).result())

    asked = [full.submit(job, number) for number in range(3)]
    wait(asked, ANSWER_S)
    told = [future for future in asked if isinstance(future.exception(0), DeadlockDetectedError)]
    assert len(told) == 1
    assert sorted(future.result(0) for future in asked if future not in told) == sorted(
        number for number, future in enumerate(asked) if future not in told
    )


def test_two_that_begin_at_the_same_instant_are_seen_every_time(pool):
    full = pool(2)
    for _ in range(300):
        together = threading.Barrier(2)

        def job(together: threading.Barrier = together) -> Any:
            together.wait(ANSWER_S)
            return full.submit(int).result()

        asked = [full.submit(job) for _ in range(2)]
        assert wait(asked, ANSWER_S).not_done == set(), "a deadlock was not seen"
        assert sum(isinstance(future.exception(0), DeadlockDetectedError) for future in asked) == 1


def test_two_jobs_that_wait_for_each_other_though_workers_are_free(pool):
    wide = pool(8)
    both: list[Future[Any]] = []
    there = threading.Event()

    def job(other: int) -> Any:
        there.wait(ANSWER_S)
        return both[other].result()

    both += [wide.submit(job, 1), wide.submit(job, 0)]
    there.set()
    wait(both, ANSWER_S)
    assert all(isinstance(future.exception(0), DeadlockDetectedError) for future in both), "one told, one passed on"
    assert both[0].exception(0) is both[1].exception(0)


def test_two_pools_that_wait_for_each_other(pool):
    one, other = pool(1, "one"), pool(1, "other")
    ready = threading.Event()

    def inner() -> Any:
        ready.wait(ANSWER_S)
        return one.submit(int).result()

    def outer() -> Any:
        future = other.submit(inner)
        ready.set()
        return future.result()

    with pytest.raises(DeadlockDetectedError):
        one.submit(outer).result(ANSWER_S)


def test_a_pool_is_shut_down_by_a_job_that_it_waits_for(pool):
    one, other = pool(1, "one"), pool(1, "other")

    def shuts() -> None:
        other.submit(lambda: one.submit(int).result())
        time.sleep(0.1)
        other.shutdown()

    with pytest.raises(DeadlockDetectedError):
        one.submit(shuts).result(ANSWER_S)
        for future in other._crew.outstanding():
            future.result(ANSWER_S)


# --- no false alarm ---------------------------------------------------------------------------------------------------


def test_a_free_worker_does_it(pool):
    wide = pool(2)
    assert wide.submit(lambda: wide.submit(int, "7").result()).result(ANSWER_S) == 7


def test_a_worker_that_will_be_free_does_it(pool):
    full = pool(2)
    go_on = threading.Event()
    busy = full.submit(go_on.wait, ANSWER_S)
    asked = full.submit(lambda: full.submit(int, "7").result())
    time.sleep(0.2)
    assert not asked.done()
    go_on.set()
    assert asked.result(ANSWER_S) == 7 and busy.result(ANSWER_S)


def test_one_that_waits_with_a_timeout_gets_its_timeout(pool):
    full = pool(1)

    def job() -> str:
        future = full.submit(int)
        with pytest.raises(FutureTimeout):
            future.result(0.05)
        with pytest.raises(FutureTimeout):
            future.exception(timeout=0.05)
        with pytest.raises(FutureTimeout):
            list(as_completed([future], 0.05))
        assert wait([future], 0.05).not_done == {future}
        return "all in time"

    assert full.submit(job).result(ANSWER_S) == "all in time"


def test_one_that_waits_with_a_timeout_will_be_free_for_others(pool):
    full = pool(2)
    blocked: list[Future[Any]] = []

    def timed() -> str:
        eventually(lambda: graph._waits)  # the other one waits, for a job that only this worker can do
        with pytest.raises(FutureTimeout):
            blocked[0].result(0.3)
        return "free"

    asked = full.submit(timed)
    eventually(asked.running)
    blocked.append(full.submit(lambda: full.submit(int, "7").result()))
    assert asked.result(ANSWER_S) == "free"
    assert blocked[0].result(ANSWER_S) == 7


def test_the_first_of_several_is_enough(pool):
    full = pool(1)
    outside: Future[int] = Future()

    def job() -> int:
        inside = full.submit(int)
        done = wait([inside, outside], return_when=FIRST_COMPLETED).done
        assert done == {outside}
        first = next(as_completed([outside, inside]))
        return int(first.result())

    asked = full.submit(job)
    time.sleep(0.2)
    assert not asked.done()
    outside.set_result(3)
    assert asked.result(ANSWER_S) == 3


def test_all_of_several_are_not_done_if_one_cannot_be(pool):
    full = pool(1)
    outside: Future[int] = Future()
    with pytest.raises(DeadlockDetectedError):
        full.submit(lambda: wait([full.submit(int), outside], return_when=ALL_COMPLETED)).result(ANSWER_S)


def test_what_is_done_or_cancelled_is_not_waited_for(pool):
    full = pool(1)

    def job() -> str:
        future = full.submit(int)
        assert future.cancel()
        assert wait([future], 5).done == {future} or future.cancelled()
        return "well"

    assert full.submit(job).result(ANSWER_S) == "well"
    done = full.submit(int)
    done.result(ANSWER_S)
    assert full.submit(lambda: (done.result(), wait([done]).done)).result(ANSWER_S) == (0, {done})


def test_threads_that_are_no_workers_wait_as_ever(pool):
    full = pool(1)
    go_on = threading.Event()
    first = full.submit(go_on.wait, ANSWER_S)
    others = [full.submit(int, n) for n in range(5)]
    got: list[Any] = []
    threads = [threading.Thread(target=lambda: got.append([f.result() for f in others])) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    go_on.set()
    for thread in threads:
        thread.join(ANSWER_S)
    assert got == [list(range(5))] * 3 and first.result()


def test_other_executors_do_not_take_part(pool):
    full = pool(1)
    with ThreadPoolExecutor(1) as plain:
        assert full.submit(lambda: plain.submit(int, "4").result()).result(ANSWER_S) == 4
        assert full.submit(lambda: [f.result() for f in as_completed([plain.submit(int, "4")])]).result(ANSWER_S) == [4]


def test_a_worker_that_takes_the_place_of_a_stuck_one_is_free():
    with MonitoredThreadPool(1, "renewed", 0.4, Recovery.THREAD) as pool:
        go_on = threading.Event()
        stuck = pool.submit(go_on.wait, ANSWER_S)
        queued = pool.submit(int, "7")
        assert queued.result(ANSWER_S) == 7
        assert isinstance(stuck.exception(ANSWER_S), ExosError)
        go_on.set()


@pytest.mark.parametrize("seed", range(5))
def test_trees_of_jobs_end_always_and_are_never_told_wrongly_when_there_is_room(seed, pool):
    """Each job waits for its children in one of the ways. With a worker for each job nobody may be told anything; with
    fewer, some may, and all the same everything ends."""
    dice = random.Random(seed)

    def tree(depth: int) -> list[Any]:
        return [tree(depth - 1) for _ in range(dice.randrange(3))] if depth else []

    shape = [tree(3) for _ in range(3)]
    ways = {id_: dice.choice(list(WAYS)) for id_ in range(1000)}

    def count(node: list[Any]) -> int:
        return 1 + sum(map(count, node))

    def run(workers: int) -> list[BaseException | None]:
        there = pool(workers)
        numbers = iter(range(1000))

        def job(node: list[Any]) -> None:
            for future in [there.submit(job, child) for child in node]:
                WAYS[ways[next(numbers)]](future)

        futures = [there.submit(job, node) for node in shape]
        assert wait(futures, ANSWER_S).not_done == set()
        return [future.exception(0) for future in futures]

    assert run(count(shape)) == [None] * 3
    for workers in (1, 2, 3):
        assert all(error is None or isinstance(error, DeadlockDetectedError) for error in run(workers))
