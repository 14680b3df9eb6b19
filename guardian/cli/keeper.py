"""The keeper of a host: a small parent process that starts it again when it dies or hangs (``[keeper]`` of a site).

`guardhost` turns into its keeper, so a service manager, a terminal or a script sees one process with the number that it
started, and sends its signals there. They are passed on; SIGHUP has the host read its site file anew, unless the
terminal has hung up: then both end. What else the keeper does:

* A host that ended as it was asked to (exit code 0) is not started again, nor is the first one if it was called wrongly
  (2); the keeper ends with its exit code. The same call cannot be wrong once a host has run and died: that its port is
  taken or its site file does not read *now* may be over soon. Any other end is a death, and what follows is policy
  (`guardian.core.deaths`). Given up, the keeper ends with exit code 1: then a service manager may have a policy of its
  own.
* A host that cannot be started for want of memory, processes or descriptors is tried again for as long as it takes.
* Before the next host starts, all processes of the last one are gone: its orphans become children of the keeper.
* A host whose event loop stands still has hung (`guardian.host.pulse`). It writes its stacks and is killed, and this is
  a death. Only time counts for which the keeper itself was seen to run.
* A host that somebody has stopped (SIGSTOP, a debugger) has not hung: somebody holds it. That is told, nothing is done.
* If the keeper dies the kernel sends the host SIGTERM, and it ends its nodes in good order.
* A service manager hears of the host from the host itself (`guardian.host.service`). The keeper speaks only while there
  is none, or one that has not beaten yet: that it lives, and what it waits for.

There are no threads, no handlers and no libraries here: signals are blocked, and taken one at a time. So there is no
moment at which one is lost, or finds half of something done.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import NoReturn

from guardian.cli.output import FAILED, OK, WRONG_CALL, tell
from guardian.cli.terminal import SETTLE_S, Terminal
from guardian.core.deaths import Deaths, RestartPolicy, told
from guardian.core.standstill import Standstill
from guardian.enums import Restart
from guardian.host import notify, pulse
from guardian.worker.descendants import Process, children, importable, look
from guardian.worker.interrupt import DUMP_SIGNAL
from guardian.worker.system_calls import adopt_orphans

ASKING = frozenset({signal.SIGTERM, signal.SIGINT})
TAKEN = ASKING | {signal.SIGHUP, signal.SIGCHLD}
#: The longest pause between two looks at a host.
LOOK_S = 1.0
#: The first beat may take longer than any other: a host imports and reads files before its loop turns.
START_S = 60.0
#: What a host gets to say where it stands before it is killed, and to be gone after that before it is told of.
LAST_WORDS_S, GONE_S = 0.5, 10.0
#: How long what a dead host has left behind may take to end by itself, and then by force.
CLEAR_S = 10.0
#: Between two looks at who is left.
REAP_S = 0.1
#: si_code of a signal that the terminal sent: whoever else is in the foreground has got it too.
SI_KERNEL = 0x80

Tell = Callable[[str], None]


def become(command: str, argv: Sequence[str], policy: RestartPolicy, hang_after_s: float) -> NoReturn:
    """Turn this process into the keeper of ``command argv``."""
    order = json.dumps({**asdict(policy), "restart": policy.restart.value, "hang_after_s": hang_after_s})
    signal.pthread_sigmask(signal.SIG_BLOCK, TAKEN)  # it stays so: what comes from now on is taken by the keeper
    line = [sys.executable, "-P", "-m", __name__, order, command, *argv]
    os.execve(sys.executable, line, importable(os.environ))


def main(argv: Sequence[str]) -> int:
    """Be the keeper. `argv`: the order that :func:`become` wrote, a command, and its command line."""
    if len(argv) < 2:
        tell("guardian.cli.keeper", "guardhost starts this by itself, if its site file has [keeper] with restart")
        return WRONG_CALL
    order, command, *words = argv
    options = json.loads(order)
    hang_after_s = options.pop("hang_after_s")
    policy = RestartPolicy(**{**options, "restart": Restart(options["restart"])})
    signal.pthread_sigmask(signal.SIG_BLOCK, TAKEN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # whoever ignores it has no children to wait for
    adopt_orphans()
    return Keeper(command, words, Deaths(policy), hang_after_s).run()


class Keeper:
    """Keeps ``command argv`` running, for as long as `deaths` allow."""

    def __init__(self, command: str, argv: Sequence[str], deaths: Deaths, hang_after_s: float) -> None:
        self._line = [sys.executable, "-P", "-m", f"guardian.cli.{command}", *argv]
        self._deaths = deaths
        self._hang_after_s = hang_after_s
        self._asked: set[int] = set()
        self._terminal = Terminal()
        self._tell: Tell = lambda text: tell(command, text)
        self._manager = notify.listen_to(os.environ)  # it stays there, for the host

    def run(self) -> int:
        """Until it is asked to end, or gives up. Returns the exit code."""
        last = ""
        while True:
            is_first = not last
            self._deaths.born(time.monotonic())
            try:
                host = Host(self._line, last, self._hang_after_s, self._tell)
            except OSError as error:
                self._deaths.ended(time.monotonic())
                delay_s = self._deaths.judge(innocent=True).delay_s
                self._tell(f"no process can be made for the host: {error.strerror}; tried again, after {delay_s:g} s")
                self._wait(delay_s)
                if self._asked:
                    return FAILED
                continue
            self._live(host)
            last = f"the host (pid {host.pid}) {host.how} after {self._deaths.ended(time.monotonic()):.1f} s"
            self._lives(last)
            clear_up(self._tell)
            if self._asked and host.ended_by not in (0, *self._asked):
                self._tell(f"{last}, while it was ending")
                return FAILED
            final = (OK, WRONG_CALL) if is_first else (OK,)
            if self._asked or (not host.ended_by and host.code in final):
                return host.code
            verdict = self._deaths.judge()
            self._tell(last + told(verdict, self._deaths.policy))
            if verdict.give_up:
                self._tell("its nodes do not run. See its log for the cause, then start it again")
                return FAILED
            self._wait(verdict.delay_s)
            if self._asked:
                return OK

    def _live(self, host: Host) -> None:
        """One host, until its end."""
        while not host.is_gone():
            if (number := self._take(host.look_s)) is not None:
                host.send(number)
            host.look()
            if not host.has_beaten:
                self._lives("a host starts")

    def _wait(self, for_s: float) -> None:
        """Unless somebody wants the end."""
        until = time.monotonic() + for_s
        while not self._asked and (left_s := until - time.monotonic()) > 0:
            self._lives(f"there is no host; the next one starts in {left_s:.0f} s")
            if self._take(min(left_s, LOOK_S)) == signal.SIGHUP:
                self._tell(f"SIGHUP: there is no host; the next one starts in {left_s:.1f} s and reads its site file")

    def _take(self, for_s: float | None) -> int | None:
        """The next signal, if the host is to hear of it. Whether somebody wants the end is noted."""
        info = take(for_s)
        # A keeper that was stopped and goes on may get an empty answer, as of a signal that there is not.
        if info is None or info.si_signo not in (*ASKING, signal.SIGHUP):
            return None
        number = info.si_signo
        if number == signal.SIGHUP:
            if self._terminal.kept:
                time.sleep(SETTLE_S)
            if not self._terminal.has_hung_up():
                return number
            number = signal.SIGTERM
        self._asked.add(number)
        return None if number == signal.SIGINT and info.si_code == SI_KERNEL else number

    def _lives(self, how: str) -> None:
        """The service manager need not worry: somebody cares for the host, and has until the next look."""
        self._manager.send(notify.ALIVE, notify.more_time(START_S), notify.status(how))


class Host:
    """One process of the host.

    Attributes
    ----------
    code, ended_by : how it ended: its exit code, or the signal that killed it; one of them is 0. how : in words.
    """

    def __init__(self, line: Sequence[str], last: str, hang_after_s: float, tell: Tell) -> None:
        self._tell = tell
        self._hang_after_s = hang_after_s
        self.look_s = min(LOOK_S, hang_after_s / 8) if hang_after_s else None
        fd = pulse.create()
        try:
            self._pulse = pulse.Pulse(fd)
            self.pid = _start(line, {"keeper": os.getpid(), "pulse": fd, "last": last})
        finally:
            os.close(fd)
        self._stand = Standstill(2 * (self.look_s or 0.0))
        self._is_held = False
        self._hung = ""
        self._killed_at: float | None = None
        self.code = self.ended_by = 0
        self.how = ""

    @property
    def has_beaten(self) -> bool:
        return bool(self._pulse.count)

    def send(self, number: int) -> None:
        os.kill(self.pid, number)  # it is not reaped yet, so the number is its own

    def is_gone(self) -> bool:
        while (ended := os.waitpid(-1, os.WNOHANG))[0] != self.pid:  # the others are orphans
            if not ended[0]:
                return False
        self._pulse.close()
        code = os.waitstatus_to_exitcode(ended[1])
        self.code, self.ended_by = max(code, 0), max(-code, 0)
        how = f"ended with exit code {code}" if code >= 0 else f"was killed by {_name(-code)}"
        self.how = f"{self._hung} and {how}" if self._hung else how
        return True

    def look(self) -> None:
        """Does its loop turn?"""
        if self.look_s is None or (seen := _look(self.pid)) is None:
            return
        now = time.monotonic()
        if self._killed_at is not None:
            if now - self._killed_at > GONE_S:
                self._tell(
                    f"the host (pid {self.pid}) was killed and is not gone: stuck in the kernel, on a dead disk?"
                )
                self._killed_at = float("inf")
            return
        if seen.stopped != self._is_held:
            self._is_held = seen.stopped
            self._tell(self._held() if seen.stopped else f"the host (pid {self.pid}) goes on")
        if seen.stopped:
            self._stand = Standstill(self._stand.most_s)
            return
        count = self._pulse.count
        allowed_s = self._hang_after_s if count else max(self._hang_after_s, START_S)
        if self._stand.look(count, now) >= allowed_s:
            self._kill(f"hung (its event loop stood still for {allowed_s:g} s)")

    def _held(self) -> str:
        return (
            f"the host (pid {self.pid}) is stopped, by SIGSTOP or a debugger; whoever did that is not disturbed. "
            f"`kill -CONT {self.pid}` lets it go on"
        )

    def _kill(self, why: str) -> None:
        self._hung = why
        self._tell(f"the host (pid {self.pid}) has {why}; it writes where it stands, and is killed")
        self.send(DUMP_SIGNAL)
        time.sleep(LAST_WORDS_S)
        self.send(signal.SIGKILL)
        self._killed_at = time.monotonic()


def take(for_s: float | None) -> signal.struct_siginfo | None:
    """The next signal; None if there is none in that time. None: wait for ever."""
    return signal.sigwaitinfo(TAKEN) if for_s is None else signal.sigtimedwait(TAKEN, max(for_s, 0.0))


def clear_up(tell: Tell) -> None:
    """Wait until nothing is left of a host that is dead: what it started sees that, and ends; or is ended."""
    if _have_ended(CLEAR_S):
        return
    killed: set[int] = set()
    until = time.monotonic() + CLEAR_S
    while time.monotonic() < until:
        for child in _children():  # with each that dies, what it had started becomes ours
            if child.pid not in killed and not child.dead:
                killed.add(child.pid)
                tell(f"process {child.pid}, which the host has left behind, does not end, and is killed")
                with contextlib.suppress(PermissionError):  # of another user, as what sudo starts
                    os.kill(child.pid, signal.SIGKILL)  # a child of ours, not reaped yet: the number is its own
        if _have_ended(REAP_S):
            return
    left = ", ".join(str(child.pid) for child in _children())
    tell(f"these processes do not die: of another user, or stuck in the kernel? {left}")


def _look(pid: int) -> Process | None:
    """As /proc shows it; None: it is not there, or no descriptor is left to look with."""
    with contextlib.suppress(OSError):
        return look(pid)
    return None


def _children() -> list[Process]:
    """Those of the keeper; none if no descriptor is left to look with."""
    with contextlib.suppress(OSError):
        return children(os.getpid())
    return []


def _have_ended(within_s: float) -> bool:
    """Whether there are no children any more."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True
        if not pid:
            signal.sigtimedwait({signal.SIGCHLD}, REAP_S)
    return False


def _start(line: Sequence[str], kept: dict[str, object]) -> int:
    """Start a program. Returns its process id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, TAKEN - {signal.SIGHUP})  # that one when it can be taken
        os.execve(line[0], list(line), {**os.environ, pulse.KEPT: json.dumps(kept)})
    finally:
        os._exit(FAILED)


def _name(number: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
