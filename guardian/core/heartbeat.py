"""A heartbeat: what a process says of itself to whoever watches it from outside, and how that is read. Pure.

What counts is `beat`: a counter that the loop of the process moves. That heartbeats come says only that some thread
still sends them. So a process promises two things, how often it sends (`period_s`) and how long its counter may stand
(`stall_s`), and the watcher judges by them. CPU time is not in it: an idle process is healthy.

What comes over a network may be anything, so all of it is checked here. Members that are not known are passed over:
they are of a newer sender.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from guardian.enums import ProcessState
from guardian.errors import ExosError

#: Bytes of a heartbeat on a wire.
MOST_BYTES = 65_536
#: Characters of a name, and of any other text; texts in a list; further facts.
NAME_LENGTH = 80
TEXT_LENGTH = 200
MOST_LATE = 512
MOST_FACTS = 32
#: What may be promised, in seconds.
SHORTEST_S, LONGEST_S = 0.05, 86_400.0
#: A counter may stand for so many periods, unless something else was promised.
STALL_PERIODS = 3

Fact = str | int | float | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """One heartbeat.

    Parameters
    ----------
    name : of the process. beat : the counter: it differs whenever the loop has moved. host : the machine.
    pid, run : which process sends; `run` differs where two have the same pid. state : how far it has come.
    late : the watched threads and pools that are late. sent : epoch seconds. seq : counts the heartbeats of a process.
    period_s : how often they are sent. stall_s : how long the counter may stand. facts : what else it says of itself.
    """

    name: str
    beat: int | float | str
    host: str = ""
    pid: int = 0
    run: str = ""
    state: ProcessState = ProcessState.READY
    uptime_s: float = 0.0
    mem_bytes: int = 0
    late: tuple[str, ...] = ()
    sent: float = 0.0
    seq: int = 0
    period_s: float = 10.0
    stall_s: float = 10.0 * STALL_PERIODS
    facts: Mapping[str, Fact] = field(default_factory=dict)

    @property
    def process(self) -> tuple[str, int, str]:
        """Which process this is of: another one has another."""
        return self.host, self.pid, self.run

    def as_dict(self) -> dict[str, Any]:
        """As it goes over a wire."""
        return {
            "name": self.name,
            "host": self.host,
            "pid": self.pid,
            "run": self.run,
            "state": self.state.name,
            "beat": self.beat,
            "uptime_s": round(self.uptime_s, 1),
            "mem_bytes": self.mem_bytes,
            "late": list(self.late),
            "sent": round(self.sent, 3),
            "seq": self.seq,
            "period_s": self.period_s,
            "stall_s": self.stall_s,
            "facts": dict(self.facts),
        }

    def as_json(self) -> bytes:
        return json.dumps(self.as_dict(), separators=(",", ":"), ensure_ascii=False).encode()


def read(said: bytes | str | Mapping[str, Any] | Heartbeat) -> Heartbeat:
    """A heartbeat as it came, checked.

    Raises
    ------
    ExosError
        It is none; the message names what is wrong with it.
    """
    if isinstance(said, Heartbeat):
        return said
    if isinstance(said, bytes | str):
        if len(said) > MOST_BYTES:
            raise ExosError(f"a heartbeat of {len(said)} bytes is refused; {MOST_BYTES} are allowed")
        try:
            said = json.loads(said)
        except (ValueError, RecursionError) as error:
            raise ExosError(f"this is no heartbeat, since it is no JSON: {error}") from None
    if not isinstance(said, Mapping):
        raise ExosError(f"a heartbeat is a JSON object with name and beat, and this is a {type(said).__name__}")
    period_s = _number(said, "period_s", 10.0, SHORTEST_S, LONGEST_S)
    return Heartbeat(
        name=check_name(said.get("name")),
        beat=_beat(said.get("beat")),
        host=_text(said, "host"),
        pid=int(_number(said, "pid", 0, 0, 2**53)),
        run=_text(said, "run"),
        state=_state(said.get("state", ProcessState.READY.name)),
        uptime_s=_number(said, "uptime_s", 0.0, 0.0, 1e12),
        mem_bytes=int(_number(said, "mem_bytes", 0, 0, 2**63)),
        late=_late(said.get("late", [])),
        sent=_number(said, "sent", 0.0, 0.0, 1e12),
        seq=int(_number(said, "seq", 0, 0, 2**63)),
        period_s=period_s,
        stall_s=_number(said, "stall_s", period_s * STALL_PERIODS, SHORTEST_S, LONGEST_S),
        facts=check_facts(said.get("facts", {})),
    )


def check_name(name: object) -> str:
    """`name`, if a process can be called so.

    Raises
    ------
    ExosError
        It cannot.
    """
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > NAME_LENGTH:
        raise ExosError(
            f"the name of a process is a text of 1 to {NAME_LENGTH} printable characters, not {name!r:.100}"
        )
    return name


def check_period(name: str, seconds: object) -> float:
    """`seconds`, if they can be promised; `name` says of what.

    Raises
    ------
    ExosError
        They cannot.
    """
    return _number({name: seconds}, name, 0.0, SHORTEST_S, LONGEST_S)


def check_facts(facts: object) -> dict[str, Fact]:
    """Further facts: texts, numbers and truths by name.

    Raises
    ------
    ExosError
        There are too many, or they are something else.
    """
    if not isinstance(facts, Mapping) or len(facts) > MOST_FACTS:
        raise ExosError(f"the facts of a heartbeat are at most {MOST_FACTS} texts and numbers by name")
    for name, fact in facts.items():
        check_name(name)
        if not _is_number(fact) and not (isinstance(fact, str) and len(fact) <= TEXT_LENGTH):
            raise ExosError(f"the fact {name!r} of a heartbeat is no number and no text of {TEXT_LENGTH} characters")
    return dict(facts)


def _beat(beat: object) -> int | float | str:
    if _is_number(beat) and not isinstance(beat, bool):
        return beat
    if isinstance(beat, str) and 0 < len(beat) <= TEXT_LENGTH and beat.isprintable():
        return beat
    raise ExosError(f"the beat of a heartbeat is a counter, not {beat!r:.100}")


def _is_number(value: object) -> TypeGuard[int | float]:
    """Whether it is one that a float can hold, as JSON allows for others too."""
    try:
        return isinstance(value, int | float) and math.isfinite(value)
    except OverflowError:
        return False


def _number(said: Mapping[str, Any], name: str, usual: float, low: float, high: float) -> float:
    value = said.get(name, usual)
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:  # NaN is refused too
        raise ExosError(f"{name} of a heartbeat is a number from {low:g} to {high:g}, not {value!r:.100}")
    return value


def _text(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name, "")
    if not isinstance(value, str) or len(value) > TEXT_LENGTH or not value.isprintable():
        raise ExosError(f"{name} of a heartbeat is a text of at most {TEXT_LENGTH} characters, not {value!r:.100}")
    return value


def _state(name: object) -> ProcessState:
    if not isinstance(name, str) or name not in ProcessState.__members__:
        raise ExosError(f"state of a heartbeat is one of {', '.join(ProcessState.__members__)}, not {name!r:.100}")
    return ProcessState[name]


def _late(names: object) -> tuple[str, ...]:
    if not isinstance(names, list | tuple) or len(names) > MOST_LATE:
        raise ExosError(f"late of a heartbeat is a list of at most {MOST_LATE} names")
    return tuple(check_name(name) for name in names)
