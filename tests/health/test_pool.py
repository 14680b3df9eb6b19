"""A pool that is watched: a ThreadPoolExecutor in everything, its beat is progress, stuck workers are replaced."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import textwrap
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed, wait
from concurrent.futures.thread import BrokenThreadPool

import pytest

from guardian.enums import Recovery
from guardian.errors import ExosError, Interrupted
from guardian.health import MonitoredThreadPool, Told, deregister, keepalive, on_change, register, told
from guardian.health import threads as room
from tests.support import REPO, Child, eventually

LONG_S = 3600.0


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    before = room.table.all()
    yield
    gc.collect()
    eventually(lambda: set(room.table.all()) <= set(before), what="all slots to be free")


@pytest.fixture
def news() -> Iterator[list[Told]]:
    """What was told of watched threads and pools."""
    heard: list[Told] = []
    on_change(heard.append)
    yield heard
    told._callbacks.remove(heard.append)


def counter(pool: MonitoredThreadPool) -> int:
    """How often it has beaten."""
    slot = pool._crew.registration.watched.slot
    return room.table.counters[slot]


def hands(pool: MonitoredThreadPool) -> int:
    return len(pool._crew.hands)


# --- it is a ThreadPoolExecutor ---------------------------------------------------------------------------------------


def test_jobs_are_done_and_their_results_given():
    with MonitoredThreadPool(3, "numbers") as pool:
        assert isinstance(pool, ThreadPoolExecutor)
        assert pool.submit(pow, 2, 10).result() == 1024
        assert pool.submit(int, "z", base=36).result() == 35
        assert list(pool.map(lambda a, b: a * b, range(100), range(100))) == [n * n for n in range(100)]
        futures = [pool.submit(str, n) for n in range(50)]
        assert {future.result() for future in as_completed(futures)} == {str(n) for n in range(50)}
        assert wait(futures).not_done == set()
        assert hands(pool) <= 3


def test_what_a_job_raises_is_raised():
    with MonitoredThreadPool(1) as pool:
        future = pool.submit(int, "x")
        with pytest.raises(ValueError, match="invalid literal"):
            future.result()
        assert isinstance(future.exception(), ValueError)
        assert pool.submit(sys.exit, 3).exception().code == 3  # type: ignore[union-attr]
        assert pool.submit(str, 5).result() == "5"


def test_arguments_are_those_of_the_field_and_of_the_standard_library():
    with MonitoredThreadPool(2, "model", 20) as pool:
        assert (pool.name, pool.period_s) == ("model", 20)
    with MonitoredThreadPool(max_workers=2, name="model", period=20) as pool:
        assert pool.period_s == 20
    with MonitoredThreadPool() as pool:
        assert pool.name.startswith("pool-") and pool.period_s == 15
    seen: list[tuple[str, str]] = []

    def initializer(word: str) -> None:
        seen.append((word, threading.current_thread().name))

    with MonitoredThreadPool(1, thread_name_prefix="worker", initializer=initializer, initargs=("x",)) as pool:
        pool.submit(int).result()
    assert seen == [("x", "worker_0")]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"period_s": 0.01}, "period of a pool"),
        ({"period": "15"}, "period of a pool"),
        ({"period": 3, "period_s": 4}, "give one of them"),
        ({"name": "a\nb"}, "name of a pool"),
        ({"recovery": "pray"}, "Recovery"),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(given, words):
    with pytest.raises(ExosError, match=words):
        MonitoredThreadPool(1, **given)
    with pytest.raises(ValueError, match="max_workers"):
        MonitoredThreadPool(0)


def test_after_shutdown_nothing_is_taken_but_what_was_is_done():
    pool = MonitoredThreadPool(1)
    futures = [pool.submit(time.sleep, 0.01) for _ in range(5)]
    pool.shutdown()
    assert all(future.done() for future in futures)
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(int)
    pool.shutdown()


def test_shutdown_can_cancel_what_waits_and_those_who_wait_hear_of_it():
    pool = MonitoredThreadPool(1)
    go_on = threading.Event()
    first = pool.submit(go_on.wait, 60)
    eventually(first.running)
    others = [pool.submit(int) for _ in range(5)]
    waiting = threading.Thread(target=wait, args=(others,))
    waiting.start()
    pool.shutdown(wait=False, cancel_futures=True)
    waiting.join(30)
    assert not waiting.is_alive()
    assert all(future.cancelled() for future in others) and not first.done()
    with pytest.raises(CancelledError):
        others[0].result()
    go_on.set()
    assert first.result() is True


def test_a_job_that_waits_in_the_queue_can_be_cancelled():
    with MonitoredThreadPool(1) as pool:
        go_on = threading.Event()
        first = pool.submit(go_on.wait, 60)
        second, third = pool.submit(int, 2), pool.submit(int, 3)
        assert second.cancel() and second.cancelled()
        go_on.set()
        assert (first.result(), third.result()) == (True, 3)


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_a_callback_that_raises_harms_nobody(error):
    def raises(_future: object) -> None:
        raise error

    with MonitoredThreadPool(1, "calls back", LONG_S) as pool:
        go_on = threading.Event()
        future = pool.submit(go_on.wait, 60)
        future.add_done_callback(raises)
        go_on.set()
        assert future.result(30) is True
        assert pool.submit(int, "5").result(30) == 5


def test_who_waits_hears_before_callbacks_that_take_their_time():
    with MonitoredThreadPool(1, "calls back", LONG_S) as pool:
        go_on, heard = threading.Event(), threading.Event()
        future = pool.submit(go_on.wait, 60)
        future.add_done_callback(lambda _future: heard.wait(60))
        go_on.set()
        assert future.result(30) is True
        heard.set()


@pytest.mark.proc
def test_a_callback_of_a_job_that_was_given_up_may_raise(news):
    go_on = threading.Event()
    with MonitoredThreadPool(1, "calls back", 0.4, Recovery.THREAD) as pool:
        stuck = pool.submit(go_on.wait, 60)
        stuck.add_done_callback(lambda _future: sys.exit(3))
        assert isinstance(stuck.exception(30), ExosError)
        assert pool.submit(int, "5").result(30) == 5
        go_on.set()


def test_an_initializer_that_fails_breaks_the_pool_and_its_jobs():
    pool = MonitoredThreadPool(2, initializer=lambda: 1 / 0)
    with pytest.raises(BrokenThreadPool):
        for _ in range(100):
            pool.submit(int).result(30)
    with pytest.raises(BrokenThreadPool):
        pool.submit(int)
    pool.shutdown()


async def test_asyncio_uses_it():
    with MonitoredThreadPool(2) as pool:
        loop = asyncio.get_running_loop()
        assert await loop.run_in_executor(pool, pow, 2, 5) == 32
        results = await asyncio.gather(*(loop.run_in_executor(pool, abs, -n) for n in range(20)))
        assert results == list(range(20))


def test_workers_are_made_as_they_are_needed():
    with MonitoredThreadPool(20) as pool:
        for _ in range(50):
            pool.submit(int).result()
        assert hands(pool) <= 2
        go_on = threading.Event()
        futures = [pool.submit(go_on.wait, 60) for _ in range(25)]
        eventually(lambda: sum(future.running() for future in futures) == 20)
        assert hands(pool) == 20
        go_on.set()


def test_many_threads_submit_and_nothing_is_lost_or_done_twice():
    done: list[int] = []
    with MonitoredThreadPool(4) as pool:

        def submit(first: int) -> None:
            for number in range(first, first + 500):
                pool.submit(done.append, number)

        threads = [threading.Thread(target=submit, args=(500 * n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(done) == list(range(4000))


def test_what_a_job_had_is_let_go():
    class Big:
        pass

    with MonitoredThreadPool(1) as pool:
        big = Big()
        seen = weakref.ref(big)
        assert pool.submit(lambda _big: None, big).result() is None
        del big
        eventually(lambda: gc.collect() >= 0 and seen() is None)


def test_a_pool_that_nobody_has_any_more_ends():
    names = {f"forgotten-{n}_0" for n in range(5)}
    for n in range(5):
        MonitoredThreadPool(2, f"forgotten-{n}").submit(int)
    loop = [MonitoredThreadPool(2, "forgotten-4")]
    loop.append(loop)  # type: ignore[arg-type]
    del loop
    gc.collect()
    eventually(lambda: not names & {thread.name for thread in threading.enumerate()})


def test_the_collector_of_garbage_waits_for_nobody():
    """It runs in the middle of anything, so also of a thread that starts while whoever starts it holds a lock."""
    pool = MonitoredThreadPool(2, "closed")
    pool.shutdown()
    other = MonitoredThreadPool(2, "open")
    there, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with room.table.lock, other._crew.lock:
            there.set()
            go_on.wait(60)

    def collect() -> None:
        nonlocal pool, other
        del pool, other
        gc.collect()

    holder, collector = threading.Thread(target=hold), threading.Thread(target=collect, daemon=True)
    holder.start()
    there.wait(60)
    collector.start()
    collector.join(10)
    is_stuck = collector.is_alive()
    go_on.set()
    holder.join()
    assert not is_stuck


# --- the beat ---------------------------------------------------------------------------------------------------------


def test_an_idle_pool_beats_and_one_in_which_nothing_gets_done_does_not():
    with MonitoredThreadPool(4, "lamp", 0.4, Recovery.REPORT) as pool:
        before = counter(pool)
        eventually(lambda: counter(pool) > before + 2)
        go_on = threading.Event()
        hanging = pool.submit(go_on.wait, 60)
        eventually(hanging.running)
        time.sleep(0.3)  # whoever was about to beat has done so
        before = counter(pool)
        time.sleep(1.0)
        assert counter(pool) == before, "three workers are idle, but nothing gets done"
        pool.submit(int).result()
        assert counter(pool) > before
        go_on.set()
        hanging.result()
        before = counter(pool)
        eventually(lambda: counter(pool) > before + 2)


def test_a_stuck_pool_is_told_as_late_and_once_when_it_is_well_again(news):
    with MonitoredThreadPool(2, "stuck", 0.4, Recovery.REPORT) as pool:
        go_on = threading.Event()
        futures = [pool.submit(go_on.wait, 60) for _ in range(5)]
        eventually(lambda: news)
        time.sleep(1.0)
        assert [one.what for one in news] == ["LATE"]
        assert "pool stuck has not beaten for 0.5" in news[0].sentence
        go_on.set()
        wait(futures)
        eventually(lambda: len(news) == 2)
    assert [one.what for one in news] == ["LATE", "ALIVE"]


def test_a_long_job_that_says_that_it_goes_on_is_progress(news):
    def long() -> str:
        for _ in range(40):
            keepalive()
            time.sleep(0.05)
        return "done"

    with MonitoredThreadPool(1, "long", 1.0, Recovery.REPORT) as pool:
        assert pool.submit(long).result() == "done"
    assert news == []


def test_a_job_may_register_its_own_thread_and_the_next_one_beats_for_the_pool_again():
    def registers() -> None:
        with register("of my own", LONG_S):
            keepalive()

    with MonitoredThreadPool(1, "shared", LONG_S) as pool:
        pool.submit(registers).result()
        before = counter(pool)
        pool.submit(lambda: [keepalive() for _ in range(10)]).result()
        eventually(lambda: counter(pool) >= before + 11)
        with pytest.raises(ExosError, match="shutdown"):
            pool.submit(deregister).result()


def test_a_pool_needs_one_slot_however_many_workers_it_has():
    before = len(room.table.all())
    with MonitoredThreadPool(10) as pool:
        wait([pool.submit(time.sleep, 0.01) for _ in range(30)])
        assert len(room.table.all()) == before + 1
    assert len(room.table.all()) == before


# --- recovery ---------------------------------------------------------------------------------------------------------


def test_stuck_workers_are_replaced_and_the_queue_goes_on(news):
    go_on = threading.Event()
    late_results: list[object] = []

    def hangs() -> str:
        go_on.wait(60)
        try:
            keepalive()
        except Interrupted as error:
            late_results.append(error)
            raise
        return "too late"

    with MonitoredThreadPool(2, "mended", 0.4, Recovery.THREAD) as pool:
        stuck = [pool.submit(hangs), pool.submit(hangs)]
        queued = [pool.submit(pow, 2, n) for n in range(10)]
        called: list[object] = []
        stuck[0].add_done_callback(called.append)
        assert [future.result(30) for future in queued] == [2**n for n in range(10)]
        for future in stuck:
            with pytest.raises(ExosError, match=r"given up after .* pool mended has not beaten"):
                future.result(30)
        eventually(lambda: called == [stuck[0]])
        assert pool.submit(int, "7").result(30) == 7
        assert hands(pool) <= 2
        go_on.set()
        eventually(lambda: len(late_results) == 2)
        assert isinstance(stuck[0].exception(), ExosError), "what it returned later counts for nothing"
    assert [one.what for one in news] == ["LATE", "RENEWED"]
    assert news[0].thread.name == "mended"


def test_a_job_that_is_young_is_not_given_up_with_the_stuck_one(news):
    go_on = threading.Event()

    def young() -> str:
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            time.sleep(0.05)
        keepalive()
        return "well"

    with MonitoredThreadPool(2, "mixed", 1.0, Recovery.THREAD) as pool:
        stuck = pool.submit(go_on.wait, 60)
        time.sleep(0.6)
        other = pool.submit(young)
        assert other.result(60) == "well"
        with pytest.raises(ExosError, match="given up"):
            stuck.result(30)
        go_on.set()
    assert [one.what for one in news][:2] == ["LATE", "RENEWED"]


@pytest.mark.proc
def test_shutdown_does_not_wait_for_workers_that_were_given_up(news):
    go_on = threading.Event()
    pool = MonitoredThreadPool(1, "left", 0.3, Recovery.THREAD)
    stuck = pool.submit(go_on.wait, 60)
    began = time.monotonic()
    pool.shutdown()
    assert time.monotonic() - began < 30 and stuck.done()
    go_on.set()


# --- programs ---------------------------------------------------------------------------------------------------------


def program(child: Callable[..., Child], code: str) -> Child:
    env = {**os.environ, "PYTHONPATH": str(REPO)}
    return child([sys.executable, "-c", textwrap.dedent(code)], env=env)


@pytest.mark.proc
def test_a_stuck_pool_ends_its_program(child):
    code = """
        import time
        from guardian.health import MonitoredThreadPool
        def hangs_here(): time.sleep(600)
        pool = MonitoredThreadPool(2, "camera", 0.4)
        pool.submit(hangs_here).result()
    """
    ended = program(child, code)
    assert ended.wait() == 70
    assert "pool camera has not beaten for 0.5" in ended.output and "hangs_here" in ended.output


@pytest.mark.proc
def test_a_pool_that_is_late_again_at_once_ends_its_program(child):
    code = """
        import time
        from guardian.health import MonitoredThreadPool, Recovery
        pool = MonitoredThreadPool(1, "camera", 0.4, Recovery.THREAD)
        for _ in range(3):
            pool.submit(time.sleep, 600)
        time.sleep(60)
    """
    ended = program(child, code)
    assert ended.wait() == 70
    assert "was made anew" in ended.output and "has not helped" in ended.output


@pytest.mark.proc
def test_the_end_of_the_interpreter_finishes_what_was_submitted(child):
    code = """
        import sys, time
        from guardian.health import MonitoredThreadPool
        def job(n):
            time.sleep(0.02)
            sys.stdout.write(f"job {n}\\n")
        pool = MonitoredThreadPool(2)
        for n in range(20):
            pool.submit(job, n)
        other = MonitoredThreadPool(2)
        print("end of main", flush=True)
    """
    ended = program(child, code)
    assert ended.wait() == 0
    assert all(f"job {n}\n" in ended.output for n in range(20))


@pytest.mark.proc
def test_the_end_of_the_interpreter_waits_for_no_job_that_hangs(child):
    code = """
        import time, logging
        from guardian.health import MonitoredThreadPool, Recovery
        pool = MonitoredThreadPool(2, "camera", 0.5, Recovery.REPORT)
        pool.submit(time.sleep, 600)
    """
    ended = program(child, code)
    assert ended.wait() == 0
    assert "1 jobs hang" in ended.output


@pytest.mark.proc
def test_code_that_is_interrupted_again_and_again_leaves_the_pool_whole(child):
    """As a redirect interrupts user code: at any bytecode (R8)."""
    code = """
        import random, threading, time
        from guardian.errors import Interrupted
        from guardian.health import MonitoredThreadPool, threads
        from guardian.worker.interrupt import Interrupter

        interrupter = Interrupter()
        threads.table.shield = interrupter.shield
        pool = MonitoredThreadPool(2, "shot at", 600)
        ended = False

        def shoot():
            while not ended:
                time.sleep(random.uniform(0, 0.0005))
                interrupter.shoot()

        def use():
            for _ in range(100):
                future = pool.submit(time.sleep, random.choice([0, 0.0002]))
                future.add_done_callback(lambda _future: None)
                if not future.done():
                    future.result()
                pool.submit(int).cancel()
                list(pool.map(int, "12"))

        shooter = threading.Thread(target=shoot)
        shooter.start()
        until, hits = time.monotonic() + 8, 0
        while time.monotonic() < until:
            try:
                interrupter.call(use)
            except Interrupted:
                hits += 1
        ended = True
        shooter.join()
        assert [future.result(30) for future in [pool.submit(int, n) for n in "123456"]] == [1, 2, 3, 4, 5, 6]
        pool.shutdown()
        print("INTERRUPTED", hits)
    """
    ended = program(child, code)
    assert ended.wait(120) == 0, ended.report()
    assert int(ended.wait_for(r"INTERRUPTED (\d+)")[1]) > 100


@pytest.mark.proc
def test_a_forked_child_neither_hangs_nor_uses_the_pool(child):
    code = """
        import os, time, threading
        from guardian.health import MonitoredThreadPool, ExosError
        pool = MonitoredThreadPool(2, "camera")
        stop = threading.Event()
        def busy():
            while not stop.is_set():
                pool.submit(int).result()
        threads = [threading.Thread(target=busy) for _ in range(3)]
        for thread in threads: thread.start()
        waits = pool.submit(time.sleep, 2)
        for _ in range(50):
            pid = os.fork()
            if pid == 0:
                try:
                    pool.submit(int)
                except ExosError as error:
                    assert "make a pool in the child" in str(error)
                else:
                    os._exit(3)
                try:
                    waits.result()
                except ExosError as error:
                    assert "nobody does it" in str(error)
                else:
                    os._exit(4)
                pool.shutdown()
                del pool
                with MonitoredThreadPool(1, "of the child") as mine:
                    assert mine.submit(pow, 2, 3).result() == 8
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
        stop.set()
        for thread in threads: thread.join()
        pool.shutdown()
        print("ALL WELL")
    """
    ended = program(child, code)
    assert ended.wait(60) == 0, ended.report()
    assert "ALL WELL" in ended.output


@pytest.mark.proc
def test_a_child_that_is_forked_ends_in_good_order(child):
    code = """
        import os, sys, time
        from guardian.health import MonitoredThreadPool
        pool = MonitoredThreadPool(2, "camera")
        pool.submit(int).result()
        if os.fork() == 0:
            sys.exit(5)
        print("child", os.waitstatus_to_exitcode(os.wait()[1]))
    """
    ended = program(child, code)
    assert ended.wait() == 0
    assert "child 5" in ended.output


@pytest.mark.proc
def test_a_job_that_forks_may_use_a_pool_in_the_child(child):
    code = """
        import os, threading, time
        from guardian.health import MonitoredThreadPool, waits
        there = threading.Event()
        def waits_just_now():
            with waits._lock:
                there.set()
                time.sleep(5)
        def forks():
            pid = os.fork()
            if pid == 0:
                with MonitoredThreadPool(1, "of the child") as mine:
                    os._exit(mine.submit(pow, 2, 3).result())
            for _ in range(3000):
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    return os.waitstatus_to_exitcode(status)
                time.sleep(0.01)
            os.kill(pid, 9)
            os.waitpid(pid, 0)
        threading.Thread(target=waits_just_now, daemon=True).start()
        there.wait()
        with MonitoredThreadPool(2, "camera", 600) as pool:
            print("child", pool.submit(forks).result())
    """
    ended = program(child, code)
    assert ended.wait(60) == 0, ended.report()
    assert "child 8" in ended.output
