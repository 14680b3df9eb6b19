"""Whether a process that died is started again, and after how long. Pure; for workers and for the host itself.

What counts is the time for which there *was* a process: deaths are "so many within a window of life". Waiting for the
next start is no life, so back-off can neither hide a crash loop (three deaths that are thirty seconds of waiting apart
are three deaths in no time), nor let an `ALWAYS` fall back to its first delay. One that lived for a whole window has
left its past behind.

A death that was none of its doing (the process that forks died, no descriptors were left) is no reason to give it up.
It is worth the same patience, though: the wait doubles as for any other.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from guardian.enums import Restart

#: More deaths than this make no longer wait: 2 to this power is more than any longest delay.
_DOUBLINGS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """What is done about a process that ended without being asked. Times in seconds.

    Parameters
    ----------
    restarts : how often it is started again within `window_s` of its life, where `restart` is ON_FAILURE.
    delay_s : before the first start; twice as long before each further one in the window, up to `delay_max_s`.
    """

    restart: Restart = Restart.ON_FAILURE
    restarts: int = 3
    window_s: float = 60.0
    delay_s: float = 0.5
    delay_max_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What follows a death.

    Parameters
    ----------
    give_up : it is not started again. delay_s : else after so many seconds. deaths : this one and those before it in
    the window.
    """

    give_up: bool
    delay_s: float
    deaths: int


class Deaths:
    """The deaths of one process, life after life. Times are monotonic seconds."""

    def __init__(self, policy: RestartPolicy) -> None:
        self._at: deque[float] = deque()  # in seconds of life
        self.obey(policy)
        self._lived_s = 0.0
        self._bad_luck = 0
        self._born: float | None = None

    def obey(self, policy: RestartPolicy) -> None:
        """What is done from now on; what has happened is judged by it at the next death."""
        self.policy = policy
        most = policy.restarts + 1 if policy.restart is Restart.ON_FAILURE else _DOUBLINGS
        self._at = deque(self._at, maxlen=max(most, _DOUBLINGS))

    def born(self, now: float) -> None:
        """A process is being started."""
        self._born = now

    def ended(self, now: float) -> float:
        """It is gone, for whatever reason. How long it lived."""
        lived_s = 0.0 if self._born is None else max(0.0, now - self._born)
        self._born = None
        self._lived_s += lived_s
        if lived_s >= self.policy.window_s:
            self._bad_luck = 0
        return lived_s

    def judge(self, *, innocent: bool = False) -> Verdict:
        """It is gone and nobody had asked: what now?"""
        policy = self.policy
        if innocent:
            self._bad_luck += 1
        else:
            self._bad_luck = 0
            self._at.append(self._lived_s)
        while self._at and self._lived_s - self._at[0] > policy.window_s:
            self._at.popleft()
        number = len(self._at)
        doublings = min(max(number, self._bad_luck) - 1, _DOUBLINGS)
        too_often = policy.restart is Restart.NEVER or (
            policy.restart is Restart.ON_FAILURE and number > policy.restarts
        )
        return Verdict(
            give_up=too_often and not innocent,
            delay_s=min(policy.delay_s * 2.0 ** max(doublings, 0), policy.delay_max_s),
            deaths=number,
        )

    def pardon(self) -> None:
        """Somebody asked for a new start: earlier deaths do not count any more."""
        self._at.clear()
        self._bad_luck = 0


def told(verdict: Verdict, policy: RestartPolicy) -> str:
    """What follows a death, as the end of a sentence: "; 3 times in 60 s; it is being started again, after 2 s"."""
    often = f"; {verdict.deaths} times in {policy.window_s:g} s" if verdict.deaths > 1 else ""
    if not verdict.give_up:
        return f"{often}; it is being started again, after {verdict.delay_s:g} s"
    return f"{often}; not started again" + (' (restart = "never")' if policy.restart is Restart.NEVER else "")
