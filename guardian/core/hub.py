"""Judges processes by their heartbeats: who beats, who has stalled, who is silent, who was restarted. Pure.

Two counters of each process are watched by a `Standstill`: how many heartbeats have come, and the counter in them. So
neither a clock that jumps nor a hub that was stopped for a while makes anybody look dead, and CPU time is never looked
at. Each change is told once, with a sentence.

Which process sends is known by its machine, its pid and its `run`. A process that was replaced by another one and sends
again is either late mail (a number that has come already) or a second program under the same name, which is told once.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from guardian.core.heartbeat import Heartbeat, check_name, check_period
from guardian.core.standstill import Standstill
from guardian.enums import ProcessState, Pulse
from guardian.errors import ExosError

#: Periods without a heartbeat after which a process is silent.
SILENT_PERIODS = 3
#: Looks in the shortest period, and the limits of the time between two looks, in seconds.
LOOKS = 4
LOOK_S = (0.05, 1.0)
#: Processes that a hub can watch, and earlier processes of one name that it remembers.
MOST = 2000
_REMEMBERED = 8

_SAYS_SO = {ProcessState.STOPPED: Pulse.STOPPED, ProcessState.FAIL: Pulse.FAILED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What has changed about a process.

    Parameters
    ----------
    before : None: nothing was known of it. The same as `pulse`: two programs send under this name.
    sentence : what to tell a person. heartbeat : the last one, None if there has been none.
    """

    name: str
    pulse: Pulse
    before: Pulse | None
    sentence: str
    heartbeat: Heartbeat | None


@dataclass(slots=True)
class _Member:
    name: str
    silent_s: float
    heartbeat: Heartbeat | None = None
    pulse: Pulse | None = None
    came: int = 0
    silence: Standstill = field(default_factory=lambda: Standstill(0.0))
    stand: Standstill = field(default_factory=lambda: Standstill(0.0))
    repeated: bool = False  #: the last heartbeat told nothing new: they come, and the counter stands
    is_new: bool = False  #: a restarted process that has not been seen to beat
    first_beat: object = None
    before_s: float = 0.0  #: how long the silence or the stall had lasted before it ended
    replaced: dict[tuple[str, int, str], int] = field(default_factory=dict)
    twins: set[tuple[str, int, str]] = field(default_factory=set)

    @property
    def silent(self) -> bool:
        return self.silence.stood_s >= self.silent_s

    def look(self, most_s: float, now: float) -> None:
        self.silence.most_s = self.stand.most_s = most_s
        self.silence.look(self.came, now)
        if self.silent:  # a counter stands only while it is told
            self.stand = Standstill(most_s)
        elif self.heartbeat is not None:
            self.stand.look((self.heartbeat.process, self.heartbeat.beat), now)

    def judge(self) -> Pulse | None:
        """What it is now; None: too early to say."""
        heartbeat = self.heartbeat
        if heartbeat is None:
            return Pulse.SILENT if self.silent else None
        says = _SAYS_SO.get(heartbeat.state)
        if self.silent:
            return Pulse.STOPPED if says is Pulse.STOPPED else Pulse.SILENT
        if self.stand.stood_s >= heartbeat.stall_s and self.repeated:
            return Pulse.STALLED
        if says is not None:
            return says
        return Pulse.RESTARTED if self.is_new else Pulse.BEATING


class Roll:
    """All processes that are watched. `now` is monotonic seconds everywhere."""

    def __init__(self) -> None:
        self._members: dict[str, _Member] = {}

    @property
    def look_s(self) -> float:
        """Seconds between two looks."""
        shortest = min(
            (member.silent_s / SILENT_PERIODS for member in self._members.values()), default=LOOKS * LOOK_S[1]
        )
        return min(max(shortest / LOOKS, LOOK_S[0]), LOOK_S[1])

    @property
    def pulses(self) -> dict[str, Pulse | None]:
        """What each is; None: nothing is known yet of one that is expected."""
        return {name: member.pulse for name, member in self._members.items()}

    @property
    def heartbeats(self) -> dict[str, Heartbeat]:
        """The last one of each."""
        return {name: one.heartbeat for name, one in self._members.items() if one.heartbeat is not None}

    def expect(self, name: str, silent_s: float) -> None:
        """This one is to be there: it is silent if no heartbeat comes for so long, also if none ever came.

        Raises
        ------
        ExosError
            Such a name or time cannot be, or there are too many.
        """
        silent_s = check_period("the time without a heartbeat", silent_s)
        self._member(check_name(name), silent_s).silent_s = silent_s

    def forget(self, name: str) -> None:
        """It is not watched any more, until its next heartbeat."""
        self._members.pop(name, None)

    def receive(self, heartbeat: Heartbeat, now: float) -> tuple[Change, ...]:
        """A heartbeat has come.

        Raises
        ------
        ExosError
            Of a process too many.
        """
        member = self._member(heartbeat.name, heartbeat.period_s * SILENT_PERIODS)
        before = member.heartbeat
        sentence = ""
        if before is not None and _is_another(before, heartbeat):
            known = member.replaced.get(heartbeat.process)
            if known is not None and not member.silent:
                return self._from_before(member, heartbeat, known)
            member.replaced.pop(heartbeat.process, None)
            member.replaced[before.process] = before.seq
            if len(member.replaced) > _REMEMBERED:
                del member.replaced[next(iter(member.replaced))]
            member.is_new, member.first_beat = True, heartbeat.beat
            member.stand = Standstill(member.stand.most_s)
            sentence = _restarted(before, heartbeat)
        elif before is not None and _is_late_mail(before, heartbeat):
            return ()
        elif member.is_new and heartbeat.beat != member.first_beat:
            member.is_new = False
        member.repeated = before is not None and (before.beat, before.state) == (heartbeat.beat, heartbeat.state)
        member.heartbeat = heartbeat
        member.silent_s = heartbeat.period_s * SILENT_PERIODS
        member.came += 1
        member.before_s = max(member.silence.stood_s, member.stand.stood_s)
        member.look(2 * self.look_s, now)
        return self._changes(member, sentence)

    def look(self, now: float) -> tuple[Change, ...]:
        """Look at all of them. Call it every `look_s`."""
        found: list[Change] = []
        most_s = 2 * self.look_s
        for member in self._members.values():
            member.look(most_s, now)
            found += self._changes(member, "")
        return tuple(found)

    def _member(self, name: str, silent_s: float) -> _Member:
        member = self._members.get(name)
        if member is None:
            if len(self._members) >= MOST:
                raise ExosError(
                    f"{name} is not watched: this hub watches {MOST} processes already; forget some of them"
                )
            member = self._members[name] = _Member(name, silent_s)
        return member

    def _changes(self, member: _Member, sentence: str) -> tuple[Change, ...]:
        pulse, before = member.judge(), member.pulse
        if pulse is None or pulse is before:
            return ()
        if pulse is not Pulse.RESTARTED or not sentence:
            sentence = _sentence(member, pulse, before)
        member.pulse = pulse
        return (self._change(member, before, sentence),)

    def _from_before(self, member: _Member, heartbeat: Heartbeat, known: int) -> tuple[Change, ...]:
        """Of a process that was replaced: late mail, or two programs of one name."""
        present = member.heartbeat
        if heartbeat.seq <= known or heartbeat.process in member.twins or present is None or member.pulse is None:
            return ()
        member.twins.add(heartbeat.process)
        sentence = (
            f"{member.name}: two programs send under this name, {_who(present)} and {_who(heartbeat)}; the latter is "
            "not looked at. Give one of them another name, or end it."
        )
        return (self._change(member, member.pulse, sentence),)

    @staticmethod
    def _change(member: _Member, before: Pulse | None, sentence: str) -> Change:
        assert member.pulse is not None
        return Change(
            name=member.name, pulse=member.pulse, before=before, sentence=sentence, heartbeat=member.heartbeat
        )


def _is_another(before: Heartbeat, now: Heartbeat) -> bool:
    """Another process; also one that has the same pid and gives no `run`, but has been up for less."""
    differ = any(one and other and one != other for one, other in zip(before.process, now.process, strict=True))
    return differ or (not now.run and now.uptime_s < before.uptime_s)


def _is_late_mail(before: Heartbeat, now: Heartbeat) -> bool:
    """One of the same process that was overtaken. Without a `run` a lower number is that of a new process."""
    return bool(now.run) and 0 < now.seq <= before.seq


def _who(heartbeat: Heartbeat) -> str:
    pid = f"pid {heartbeat.pid}" if heartbeat.pid else ""
    return " on ".join(word for word in (pid, heartbeat.host) if word) or "somebody"


def _restarted(before: Heartbeat, now: Heartbeat) -> str:
    up = f", which had been up for {_span(before.uptime_s)}" if before.uptime_s else ""
    return f"{now.name}: RESTARTED: {_who(now)} has taken the place of {_who(before)}{up}"


def _sentence(member: _Member, pulse: Pulse, before: Pulse | None) -> str:
    heartbeat, name = member.heartbeat, member.name
    if heartbeat is None:
        return (
            f"{name}: SILENT: it is expected, and no heartbeat has come for {_span(member.silence.stood_s)}. "
            "Start it, or see whether its heartbeats find the way here."
        )
    who = _who(heartbeat)
    late = f"; threads late: {', '.join(heartbeat.late)}" if heartbeat.late else ""
    if pulse is Pulse.SILENT:
        return (
            f"{name}: SILENT: no heartbeat for {_span(member.silence.stood_s)}, one every {_span(heartbeat.period_s)} "
            f"was promised; the last one was of {who}, {heartbeat.state.name}{late}. "
            "See whether it runs, and whether its machine answers."
        )
    if pulse is Pulse.STALLED:
        return (
            f"{name}: STALLED: heartbeats come from {who}, but its counter has stood at {heartbeat.beat} for "
            f"{_span(member.stand.stood_s)}{late}. Its main loop hangs: see where, and restart it."
        )
    if pulse is Pulse.FAILED:
        return f"{name}: FAILED: {who} says so itself{late}"
    if pulse is Pulse.STOPPED:
        return f"{name}: STOPPED: {who} says that it was stopped"
    if pulse is Pulse.RESTARTED:
        return f"{name}: RESTARTED: heartbeats come again, from {who}"
    if before in (Pulse.SILENT, Pulse.STALLED):
        was = "silence" if before is Pulse.SILENT else "standing still"
        return f"{name}: BEATING again, after {_span(member.before_s)} of {was}: {who}, {heartbeat.state.name}{late}"
    return f"{name}: BEATING: {who}, {heartbeat.state.name}{late}"


def _span(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
