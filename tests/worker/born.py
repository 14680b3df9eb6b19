"""What the workers of the forkserver's tests do: entry functions, called by name in the worker. Light to import."""

from __future__ import annotations

import ctypes
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from typing import Any

Spec = dict[str, Any]


def say(fd: int, **facts: Any) -> None:
    os.write(fd, json.dumps(facts).encode() + b"\n")


def returns(spec: Spec, fds: list[int]) -> int | None:
    return spec.get("code")


def raises(spec: Spec, fds: list[int]) -> None:
    if fds:
        os.dup2(fds[0], 2)
    raise ValueError("the coil is warm")


def exits_with_words(spec: Spec, fds: list[int]) -> None:
    if fds:
        os.dup2(fds[0], 2)
    sys.exit("no beam")


def leaves_at_once(spec: Spec, fds: list[int]) -> None:
    os._exit(9)


def segfaults(spec: Spec, fds: list[int]) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.string_at(0)


def sleeps(spec: Spec, fds: list[int]) -> None:
    for fd in fds:
        say(fd, pid=os.getpid())
    time.sleep(3600)


def stops_itself(spec: Spec, fds: list[int]) -> None:
    say(fds[0], pid=os.getpid())
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(3600)


def holds_the_gil(spec: Spec, fds: list[int]) -> None:
    """Sit in C with every signal ignored and the interpreter's lock held, as bad libraries do."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    say(fds[0], pid=os.getpid())
    ctypes.PyDLL(None).sleep(3600)


def prints_without_newline(spec: Spec, fds: list[int]) -> None:
    """Leave text in Python's and in C's buffers."""
    os.dup2(fds[0], 1)
    sys.stdout.write("python ")
    sys.stdout.flush()
    ctypes.CDLL(None).printf(b"c")


def describes_itself(spec: Spec, fds: list[int]) -> None:
    """Tell all that a worker should have for itself."""
    # The descriptor of the listing itself is gone again when fstat asks for it.
    open_fds = []
    for name in os.listdir("/proc/self/fd"):
        try:
            os.fstat(int(name))
        except OSError:
            continue
        open_fds.append(int(name))
    numpy_random = __import__("numpy").random
    with open("/proc/self/comm") as comm, open("/proc/self/cmdline") as command:
        names = [comm.read().strip(), command.read().strip("\0 ")]
    say(
        fds[-1],
        fds=fds,
        open_fds=sorted(open_fds),
        stdin=os.readlink("/proc/self/fd/0"),
        session=os.getsid(0) == os.getpgid(0) == os.getpid(),
        names=names,
        argv=sys.argv,
        cwd=os.getcwd(),
        env=os.environ.get("CRATE"),
        blocked=[int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())],
        handled=[
            int(number)
            for number in signal.valid_signals() - {signal.SIGINT}
            if signal.getsignal(number) not in (signal.SIG_DFL, signal.SIG_IGN)
        ],
        random=random.random(),
        numpy_random=float(numpy_random.random()),
        threads=len(os.listdir("/proc/self/task")),
        libca=sys.modules["epics"].ca.libca is not None,
    )


def has_daemons(spec: Spec, fds: list[int]) -> None:
    """Start children that took themselves out of session and group, each in its own way; tell their pids; sleep."""
    for kind in spec["daemons"]:
        say(fds[0], kind=kind, pid=_daemon(kind, fds[0]))
    say(fds[0], kind="self", pid=os.getpid())
    if spec.get("then") == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if spec.get("then") == "gil":
        ctypes.PyDLL(None).sleep(3600)
    time.sleep(3600)


def _daemon(kind: str, fd: int) -> int:
    if kind == "child":  # same session, same group
        return subprocess.Popen(["sleep", "3600"]).pid
    if kind == "group":  # same session, other group: a job of a shell
        return subprocess.Popen(["sleep", "3600"], process_group=0).pid
    read_end, write_end = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(write_end, str(os.getpid()).encode())
            if kind == "forked":  # no exec: what the kernel shows as its environment is that of the forkserver
                os.close(fd)
                time.sleep(3600)
            environment = {"PATH": os.environ["PATH"]} if kind == "nobody's" else dict(os.environ)
            os.execvpe("sleep", ["sleep", "3600"], environment)
        os._exit(0)
    os.wait()
    pid = int(os.read(read_end, 20))
    os.close(read_end)
    os.close(write_end)
    return pid
