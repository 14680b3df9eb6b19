"""R14 on a clock of the test's own: what stands, from when, until when."""

from __future__ import annotations

import threading

from guardian.worker.notices import MAX_TEXT, MAX_TEXTS, MIN_SEND_S, MIN_SHOWN_S, Notices


class Node:
    """A node whose calls take no time but that which the test lets pass."""

    def __init__(self) -> None:
        self.now = 100.0
        self.sent: list[tuple[str, ...]] = []
        self.notices = Notices(self.sent.append, lambda: self.now)

    def call(self, *texts: str, run: bool = True, seconds: float = 1 / 16) -> tuple[str, ...]:
        """One call that notifies these; what stands after it."""
        self.notices.calling()
        for text in texts:
            self.notices.give(text)
        self.now += seconds
        self.notices.called(whole_run=run)
        return self.sent[-1] if self.sent else ()


def test_R14_a_text_stands_at_once_and_every_text_of_the_cycle() -> None:
    node = Node()
    node.notices.calling()
    node.notices.give("one")
    assert node.sent == [("one",)]
    node.notices.give("two")
    node.notices.give("one")
    node.notices.called(whole_run=True)
    assert node.sent == [("one",), ("one", "two")]


def test_R14_it_stands_for_a_second_and_goes_with_the_first_run_without_it() -> None:
    node = Node()
    node.call("hot")
    node.now += MIN_SHOWN_S - 3 / 16
    assert node.call() == ("hot",)
    node.now += 1 / 16
    assert node.call() == () and node.sent == [("hot",), ()]


def test_R14_what_main_said_goes_with_the_first_whole_run_behind_it() -> None:
    node = Node()
    node.call("from main", run=False)
    assert node.call(seconds=2.0) == ()


def test_R14_main_and_a_run_that_failed_clear_nothing() -> None:
    node = Node()
    node.call("hot")
    node.now += 10
    assert node.call(run=False) == ("hot",)
    assert node.call(run=False) == ("hot",)
    assert node.call() == ()


def test_a_text_of_every_other_run_does_not_flicker() -> None:
    node = Node()
    for _ in range(100):
        node.call("hot")
        node.call()
    assert node.sent == [("hot",)]


def test_an_unchanged_list_is_said_once() -> None:
    node = Node()
    for _ in range(100):
        node.call("a", "b")
    assert node.sent == [("a",), ("a", "b")]


def test_a_flood_is_slowed_down_and_cut_to_the_newest() -> None:
    node = Node()
    node.notices.calling()
    for number in range(10_000):
        node.now += 0.0001
        node.notices.give(f"text {number}")
    assert len(node.sent) <= 1.0 / MIN_SEND_S + 2
    node.notices.called(whole_run=True)
    assert node.sent[-1] == tuple(f"text {n}" for n in range(10_000 - MAX_TEXTS, 10_000))


def test_a_long_text_is_cut() -> None:
    node = Node()
    (text,) = node.call("x" * 10_000)
    assert len(text) == MAX_TEXT and text.endswith("...")


def test_threads_of_user_code_may_notify_while_a_run_ends() -> None:
    node = Node()
    go = threading.Barrier(5)

    def give(name: int) -> None:
        go.wait(30)
        for number in range(500):
            node.notices.give(f"{name} {number}")

    threads = [threading.Thread(target=give, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    go.wait(30)
    for _ in range(500):
        node.call()
    for thread in threads:
        thread.join(30)
    node.now += 2
    assert node.call() == ()


def test_a_signal_handler_in_the_middle_of_a_notify_may_notify_too() -> None:
    node = Node()
    node.notices = Notices(lambda texts: node.notices.give("again") if texts == ("one",) else None, lambda: node.now)
    node.call("one")


def test_texts_of_our_own_stand_until_others_do_whatever_is_called() -> None:
    node = Node()
    node.notices.stand(("GAIN is 5, set to 3",))
    assert node.call("hot") == ("hot", "GAIN is 5, set to 3")
    for _ in range(40):
        node.call()
    assert node.sent[-1] == ("GAIN is 5, set to 3",)
    node.notices.stand(())
    assert node.sent[-1] == ()
    node.notices.stand(())
    assert len(node.sent) == 4
