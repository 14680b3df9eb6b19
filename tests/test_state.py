"""What users subclass: states, timers that compare clocks when read (R18), and decorators as real modules use them."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from typing import Any

import pytest

from guardian.state import GuardState, GuardStateDecorator, Timers


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_R2_an_empty_state_completes_in_run() -> None:
    state = GuardState()
    assert state.main() is None and state.run() is True
    assert (state.index, state.request, state.goto, state.redirect) == (None, True, False, True)


def test_R18_a_timer_is_False_until_its_time_and_True_from_then_on(clock: Clock) -> None:
    timer = Timers(clock=clock)
    timer["x"] = 5
    assert timer["x"] is False
    clock.now += 4.999
    assert timer["x"] is False
    clock.now += 0.001
    assert timer["x"] is True and timer["x"] is True
    clock.now += 1000
    assert timer["x"] is True


def test_R18_a_busy_wait_ends_without_anybody_ticking(clock: Clock) -> None:
    timer = Timers(clock=clock)
    timer["x"] = 1.5
    turns = 0
    while not timer["x"]:
        clock.now += 0.5
        turns += 1
    assert turns == 3


@pytest.mark.parametrize("seconds", [0, -1, 0.0])
def test_no_time_is_over_at_once(clock: Clock, seconds: float) -> None:
    timer = Timers(clock=clock)
    timer["x"] = seconds
    assert timer["x"] is True


def test_a_timer_can_be_started_again(clock: Clock) -> None:
    timer = Timers(clock=clock)
    timer["x"] = 0
    assert timer["x"]
    timer["x"] = 1
    assert not timer["x"] and "x" in timer and "y" not in timer


def test_a_timer_nobody_set_says_which_there_are(clock: Clock) -> None:
    timer = Timers(clock=clock)
    timer["ramp"] = 1
    with pytest.raises(KeyError, match=r"'x' was not set in this state.*'ramp'"):
        timer["x"]


def test_timers_are_logged_once(clock: Clock) -> None:
    lines: list[str] = []
    timer = Timers(lines.append, clock)
    timer["x"] = 2
    clock.now += 3
    assert timer["x"] and timer["x"]
    assert lines == ["timer['x'] = 2", "timer['x'] done"]


def test_R2_fresh_timers_in_every_instance() -> None:
    first, second = GuardState(), GuardState(None)
    first.timer["x"] = 0
    assert "x" not in second.timer


def test_a_base_class_with_its_own_init_as_in_the_field() -> None:
    class Ramp(GuardState):
        def __init__(self, logfunc: Any = None, gain: float = 1) -> None:
            super().__init__(logfunc)
            self.gain = gain

    assert Ramp(logfunc=print).gain == 1 and Ramp(print).timer is not None


# --- decorators


class State(GuardState):
    value: Any = None

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []


def decorator(name: str, before: Any = None, after: Any = None) -> Any:
    """A decorator class, made by a factory as real modules do."""

    class Made(GuardStateDecorator):
        def pre_exec(self) -> Any:
            self.seen.append(f"{name} pre")
            return before

        def post_exec(self) -> Any:
            self.seen.append(f"{name} post")
            return after

    return Made


def run(*decorators: Any, returns: Any = True) -> tuple[Any, list[str]]:
    def method(self: State) -> Any:
        """What it does."""
        self.seen.append("run")
        return returns

    wrapped: Any = method
    for one in reversed(decorators):
        wrapped = one(wrapped)
    cls: Any = type("S", (State,), {"run": wrapped})
    assert cls.run.__name__ == "method" and cls.run.__doc__ == "What it does."
    state = cls()
    return state.run(), state.seen


@pytest.mark.parametrize(
    ("before", "after", "expected", "ran"),
    [
        (None, None, True, True),
        ("DOWN", None, "DOWN", False),
        (False, None, False, False),
        (True, "X", True, False),
        (None, "X", "X", True),
        (None, False, False, True),
    ],
)
def test_what_a_decorator_returns(before: Any, after: Any, expected: Any, ran: bool) -> None:
    value, seen = run(decorator("d", before, after))
    assert value == expected and ("run" in seen) == ran


def test_stacked_decorators_run_outermost_first_and_the_first_answer_counts() -> None:
    assert run(decorator("a"), decorator("b"), decorator("c")) == (
        True,
        ["a pre", "b pre", "c pre", "run", "c post", "b post", "a post"],
    )
    assert run(decorator("a"), decorator("b", "DOWN"), decorator("c", "UP")) == ("DOWN", ["a pre", "b pre", "a post"])


def test_a_decorator_without_hooks_or_with_a_misspelt_one_does_nothing() -> None:
    class Misspelt(GuardStateDecorator):
        def pre_exc(self) -> str:
            raise AssertionError("never called")

    class Empty(GuardStateDecorator):
        pass

    assert run(Misspelt, Empty) == (True, ["run"])


def test_a_decorator_on_a_class_wraps_main_and_run() -> None:
    @decorator("d", "DOWN")
    class Guarded(State):
        def main(self) -> Any:
            raise AssertionError("never called")

    assert isinstance(Guarded, type) and issubclass(Guarded, State)
    state = Guarded()
    assert (state.main(), state.run(), state.seen) == ("DOWN", "DOWN", ["d pre", "d pre"])
    assert State().run() is True  # the base is untouched


def test_decorated_methods_are_inherited_and_overridden() -> None:
    class Base(State):
        @decorator("d")
        def run(self) -> Any:
            self.seen.append("base")
            return self.value

    class Child(Base):
        value = 7

    class Grandchild(Child):
        def run(self) -> Any:
            self.seen.append("own")
            return super().run()

    child, grandchild = Child(), Grandchild()
    assert child.run() == 7 and child.seen == ["d pre", "base", "d post"]
    assert grandchild.run() == 7 and grandchild.seen == ["own", "d pre", "base", "d post"]


def test_two_instances_do_not_meet_and_a_raise_leaves_nothing_behind() -> None:
    class Nested(State):
        other: State | None = None

        @decorator("d")
        def run(self) -> Any:
            if self.other is not None:
                self.other.run()
            self.seen.append("run")
            if self.value:
                raise ValueError("oops")
            return True

    outer, inner = Nested(), Nested()
    outer.other = inner
    assert outer.run() is True
    assert outer.seen == inner.seen == ["d pre", "run", "d post"]
    inner.value = 1
    with pytest.raises(ValueError, match="oops"):
        outer.run()
    assert Nested.run.state is None


def test_a_name_that_neither_decorator_nor_state_has() -> None:
    class Curious(GuardStateDecorator):
        def pre_exec(self) -> Any:
            return self.nothing_of_this_name

    class Looks(State):
        @Curious
        def run(self) -> Any:
            return True

    with pytest.raises(AttributeError, match="nothing_of_this_name"):
        Looks().run()
    with pytest.raises(AttributeError, match="Curious"):
        Looks.run.nothing_of_this_name  # noqa: B018
