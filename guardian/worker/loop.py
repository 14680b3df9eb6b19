"""The loop that runs user code: main() once, then run() sixteen times a second, as the host tells it.

The loop knows one entry at a time and decides nothing: it makes the calls, says what came of them, and obeys. What it
says is little: the return of main(), then only a changed outcome, a completion it waits after, a jump, an error, and
the answer to a Judge. Everything it waits for has a deadline or a wake-up. A state that has no ``run()`` of its own is
called seldom: nobody can tell but who pays for it. Most nodes rest in such a state for days.

Timing (R2, R7, R18): the first run() follows main() at once, the next ones on a grid of one cycle; a Judge calls run()
immediately, and so does a change of a node that the code manages or watches; with ``reactive = True`` also one of a
channel that the last call has read. Extra calls keep 10 ms apart. With ``reactive = False`` there are none: a Judge
waits for the next call of the cycle.

What user code does cannot end the loop: all it raises is an error of its state (R12), also what its signal handlers
raise while no method runs. A result that comes after the word to leave is nobody's business any more (R8).
"""

from __future__ import annotations

import os
import sysconfig
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from guardian.core.events import (
    Began,
    Connected,
    Enter,
    Judge,
    Leave,
    Left,
    Pause,
    Policy,
    Raised,
    Reload,
    Reloaded,
    ReloadFailed,
    Reloading,
    Report,
    Resume,
    Returned,
    Stop,
)
from guardian.enums import Call, ErrorKind, OnComplete
from guardian.errors import EzcaConnectError, Interrupted, SystemLoadError
from guardian.state import GuardState
from guardian.worker.faults import describe, is_ours, one_line, plain_str, user_traceback
from guardian.worker.inbox import Inbox
from guardian.worker.interrupt import Interrupter
from guardian.worker.leftovers import left_behind, open_files
from guardian.worker.notices import Notices
from guardian.worker.system import System

CYCLE_S = 1 / 16
#: Where there is nothing to call: so often that the loop is seen to turn, see `guardian.host.vigil.IDLE_S`.
IDLE_CYCLE_S = 1 / 4
EXTRA_CALL_S = 0.01
#: How often a method is called again that met a lost channel nobody here can watch: no name, or an unknown one (R13).
RETRY_S = 1.0
#: Longer names are no states, and are cut before they travel.
MAX_JUMP = 200
#: Channels named in one report.
MAX_CHANNELS = 100
#: As it is here: user code may put another one in its place, for all states.
_NO_RUN = GuardState.run
_STDLIB = sysconfig.get_paths()["stdlib"] + os.sep


class BeatKeeper(Protocol):
    """The part of the beat page that the loop writes."""

    def cycle(self) -> None: ...
    def begin(self, method: Call, entry: int) -> int: ...
    def end(self) -> float: ...


class Channels(Protocol):
    """The part of the channels that the loop asks."""

    def calling(self) -> None: ...
    def lost(self, names: tuple[str, ...]) -> tuple[str, ...]: ...


#: Imports the system anew for the present state and its living instance: `guardian.worker.exchange.Code.exchange`.
Exchange = Callable[[str, GuardState | None], tuple[System, GuardState | None]]


@dataclass(slots=True)
class Stay:
    """The entry the loop works on.

    Parameters
    ----------
    next_call : None once nothing more is to be called.
    resting : complete under WAIT, until the host says what comes.
    told : the outcome that was reported last; None: nothing yet.
    lost : channels that the last call missed; None when it did not.
    watched : the channels can tell when those are back.
    retry_at : when the call is made again if nobody can tell.
    """

    entry: int
    state: str
    on_complete: OnComplete
    next_call: Call | None = Call.MAIN
    instance: GuardState | None = None
    resting: bool = False
    told: bool | None = None
    judge: int = 0
    lost: tuple[str, ...] | None = None
    watched: bool = False
    retry_at: float = 0.0


class Loop:
    """Runs the states of one system. Make it and call :meth:`run` in the main thread.

    Parameters
    ----------
    states : state classes by name. send : hands a report to the host. log : what states get as logfunc.
    reactive : False: no calls between those of the cycle (R18).
    exchange : reads new code.
    say : a line for the log with its level. context : told "STATE.method" before each call and "" after it.
    """

    def __init__(
        self,
        *,
        states: Mapping[str, type[GuardState]],
        inbox: Inbox,
        send: Callable[[Report], None],
        interrupter: Interrupter,
        beat: BeatKeeper,
        notices: Notices,
        channels: Channels,
        log: Callable[..., None],
        say: Callable[[str, str], None],
        context: Callable[[str], None],
        exchange: Exchange,
        after_call: Callable[[], None] = lambda: None,
        reactive: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._states = states
        self._inbox = inbox
        self._send = send
        self._interrupter = interrupter
        self._beat = beat
        self._notices = notices
        self._channels = channels
        self._log = log
        self._say = say
        self._context = context
        self._after_call = after_call
        self._exchange = exchange
        self._reactive = reactive
        self._clock = clock
        self._stay: Stay | None = None
        self._paused = False
        self._stopped = False
        self._due = 0.0
        self._extra_at = float("-inf")

    def run(self) -> None:
        """Until Stop."""
        while not self._stopped:
            try:
                self._round()
            except BaseException as error:
                if not _from_signal_handler(error):
                    raise
                self._strayed(error)

    def _round(self) -> None:
        while not self._stopped and (command := self._inbox.take()) is not None:
            self._COMMANDS[type(command)](self, command)
        if not self._stopped and not self._turn():
            self._inbox.wait(self._wait_s())

    def _wait_s(self) -> float | None:
        stay = self._stay
        if stay is None or self._paused or stay.next_call is None or (stay.resting and not stay.judge):
            return None
        return max(0.0, self._due - self._clock())

    def _turn(self) -> bool:
        """Make the call that is due; False if none is."""
        stay = self._stay
        if stay is None or self._paused or stay.next_call is None:
            return False
        now = self._clock()
        nudged = self._reactive and self._inbox.nudged and not stay.resting
        if (stay.judge and self._reactive) or nudged:
            if now < self._extra_at + EXTRA_CALL_S:
                self._due = min(self._due, self._extra_at + EXTRA_CALL_S)
                return False
            self._extra_at = now
        elif (stay.resting and not stay.judge) or now < self._due:
            return False
        late_s, cycle_s = now - self._due, self._cycle_s(stay)
        self._due = now + cycle_s if stay.judge or nudged or late_s >= cycle_s else self._due + cycle_s
        self._inbox.forget_nudge()
        self._beat.cycle()
        if stay.lost is not None and not stay.judge:
            if not self._worth_trying(stay, now, nudged):
                return False
            if stay.watched:
                self._send(Connected(entry=stay.entry))
                stay.lost = None
        self._call(stay, stay.next_call)
        return True

    def _cycle_s(self, stay: Stay) -> float:
        """Seconds from this call to the next one."""
        idle = self._reactive and stay.next_call is Call.RUN and not _has_run(stay.instance)
        return IDLE_CYCLE_S if idle else CYCLE_S

    def _worth_trying(self, stay: Stay, now: float, nudged: bool) -> bool:
        return not self._channels.lost(stay.lost or ()) if stay.watched else nudged or now >= stay.retry_at

    # --- one call of user code ---------------------------------------------------------------------------------

    def _call(self, stay: Stay, call: Call) -> None:
        if call is Call.MAIN and stay.instance is None:
            self._send(Began(entry=stay.entry))
        self._context(f"{stay.state}.{call.value}")
        self._notices.calling()
        self._channels.calling()
        self._beat.begin(call, stay.entry)
        outcome: bool | str | None = None
        failure: BaseException | None = None
        try:
            outcome = self._interrupter.call(lambda: self._ask(stay, call), stay.entry)
        except BaseException as error:  # R12: also SystemExit and KeyboardInterrupt: user code ends no worker
            failure = error
        try:
            self._after_call()
        finally:
            self._beat.end()
        self._notices.called(whole_run=failure is None and call is Call.RUN)
        if self._inbox.ends_call(stay.entry):  # R8: whatever came of it
            stay.next_call = None
        elif isinstance(failure, EzcaConnectError):
            self._missed(stay, call, failure)
        elif failure is not None:
            self._failed(stay, call, failure)
        elif outcome is not None:
            self._returned(stay, call, outcome)
        self._context("")

    def _ask(self, stay: Stay, call: Call) -> bool | str:
        """In here user code runs, and an interrupt may strike. One that came a moment too early is made up for."""
        if self._inbox.ends_call(stay.entry):
            raise Interrupted
        return _outcome(self._method(stay, call)())

    def _method(self, stay: Stay, call: Call) -> Callable[[], Any]:
        if stay.instance is None:
            stay.instance = self._states[stay.state](self._log)
        method: Callable[[], Any] = getattr(stay.instance, call.value)
        return method

    def _returned(self, stay: Stay, call: Call, outcome: bool | str) -> None:
        recovered = stay.lost is not None
        stay.lost = None
        seq, stay.judge = stay.judge, 0
        if call is Call.MAIN:
            stay.next_call = Call.RUN
            self._due = self._clock()  # R2: the first run() follows at once
        if isinstance(outcome, str):
            stay.next_call = None  # a jump always waits
        else:
            stay.resting = outcome and stay.on_complete is OnComplete.WAIT
        if seq or recovered or stay.resting or outcome is not stay.told or call is Call.MAIN:
            stay.told = outcome if isinstance(outcome, bool) else None
            self._send(Returned(entry=stay.entry, call=call, outcome=outcome, seq=seq))

    def _missed(self, stay: Stay, call: Call, error: EzcaConnectError) -> None:
        """R13: say which channels are lost, once, and try the same method again when they are back."""
        channels = _names(getattr(error, "channels", ()))
        stay.retry_at = self._clock() + RETRY_S
        stay.watched = bool(channels and self._channels.lost(channels))
        asked, stay.judge = stay.judge, 0
        if stay.lost != channels or asked:
            stay.lost = channels
            stay.told = None
            message = one_line(error) or "a channel is not connected"
            self._send(Raised(entry=stay.entry, call=call, kind=ErrorKind.CONNECT, message=message, channels=channels))

    def _failed(self, stay: Stay, call: Call, error: BaseException) -> None:
        stay.next_call = None
        self._say("ERROR", user_traceback(error))
        message = f"{stay.state}.{call.value}() raised {describe(error)}; the log has the traceback"
        self._send(Raised(entry=stay.entry, call=call, kind=ErrorKind.ERROR, message=message))

    def _strayed(self, error: BaseException) -> None:
        """A signal handler of user code has raised while none of its methods was running."""
        if self._stay is not None and self._stay.next_call is not None:
            self._failed(self._stay, self._stay.next_call, error)
        else:
            self._say("ERROR", user_traceback(error))

    # --- commands ----------------------------------------------------------------------------------------------

    def _on_enter(self, command: Enter) -> None:
        self._stay = Stay(command.entry, command.state, command.on_complete)
        self._due = self._clock()

    def _live(self, entry: int) -> Stay | None:
        return self._stay if self._stay is not None and self._stay.entry == entry else None

    def _on_policy(self, command: Policy) -> None:
        stay = self._live(command.entry)
        if stay is not None:
            stay.on_complete = command.on_complete
            if command.on_complete is OnComplete.KEEP:
                stay.resting = False

    def _on_judge(self, command: Judge) -> None:
        stay = self._live(command.entry)
        if stay is not None and stay.next_call is not None:
            stay.judge = command.seq
            if self._reactive:
                self._due = self._clock()

    def _on_leave(self, command: Leave) -> None:
        if self._live(command.entry) is not None:
            self._stay = None
        self._send(Left(entry=command.entry))

    def _on_pause(self, _command: Pause) -> None:
        self._paused = True

    def _on_resume(self, _command: Resume) -> None:
        self._paused = False
        self._due = self._clock()

    def _on_reload(self, _command: Reload) -> None:
        """R11: commands are obeyed between two methods, so this is the moment. Only Stop and GiveUp interrupt it."""
        self._send(Reloading())
        stay, files = self._stay, open_files()
        state, instance = (stay.state, stay.instance) if stay is not None else ("", None)
        self._context("load")
        try:
            system, converted = self._interrupter.call(lambda: self._exchange(state, instance))
        except SystemLoadError as error:
            if error.details:
                self._say("ERROR", error.details)
            self._send(ReloadFailed(reason=str(error)))
            return
        except BaseException as error:  # a signal handler of user code, or an interrupt
            if not self._inbox.ends_call(0):
                self._send(ReloadFailed(reason=describe(error)))
            return
        finally:
            self._after_call()
            self._context("")
        self._states, self._reactive = system.states, system.facts.reactive is not False
        if stay is not None:
            stay.instance = converted
            self._due = min(self._due, self._clock() + CYCLE_S)  # it may have a run() now
            if state not in system.states:
                stay.next_call = None  # the host knows where to go
        self._send(Reloaded(facts=system.facts, left=left_behind(converted, files)))

    def _on_stop(self, _command: Stop) -> None:
        self._stopped = True

    _COMMANDS: dict[type, Callable[[Loop, Any], None]] = {
        Enter: _on_enter,
        Policy: _on_policy,
        Judge: _on_judge,
        Leave: _on_leave,
        Pause: _on_pause,
        Resume: _on_resume,
        Reload: _on_reload,
        Stop: _on_stop,
    }


def _has_run(instance: object) -> bool:
    """Whether its run() is not that of every state."""
    return getattr(type(instance), "run", None) is not _NO_RUN or "run" in vars(instance)


def _outcome(value: Any) -> bool | str:
    """R3: a str is a jump, else its truth; one whose truth cannot be taken is an error of user code."""
    if isinstance(value, str):
        return plain_str(value)[:MAX_JUMP]
    try:
        return bool(value)
    except Exception as error:
        shown = f"{type(value).__module__}.{type(value).__name__}"
        raise TypeError(f"returned a {shown} that is neither true nor false: {one_line(error)}") from error


def _names(channels: Any) -> tuple[str, ...]:
    """The channels that an error of user code names, whatever it took for a list of names."""
    if isinstance(channels, (list, tuple, set, frozenset)):
        return tuple(plain_str(name) for name in channels if isinstance(name, str))[:MAX_CHANNELS]
    return (plain_str(channels),) if isinstance(channels, str) and channels else ()


def _from_signal_handler(error: BaseException) -> bool:
    """Whether `error` was raised by a signal handler of user code in the middle of our own."""
    if isinstance(error, KeyboardInterrupt):  # Python's own handler, which user code has put back
        return True
    frames = traceback.extract_tb(error.__traceback__)
    return any(not is_ours(frame.filename) and not frame.filename.startswith(_STDLIB) for frame in frames)
