"""One life of the forkserver, as the host sees it: its start, and what is done when it has ended.

Both take place in threads, so the event loop goes on. What a dead forkserver leaves behind is found by the token that
was made for this life (see `guardian.worker.descendants`): its workers die of themselves (parent-death signal), their
daemons do not.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from guardian.worker.descendants import environment, kill_family

T = TypeVar("T")

#: How long a forkserver that closed its socket may take to exit, and how long what it left behind may take to die.
_EXIT_S = _CLEAR_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a life ended: the return code as of Popen, and processes that could not be killed."""

    code: int
    left: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkserverProcess:
    """A running forkserver. `socket` is ours, and does not block."""

    process: subprocess.Popen[bytes]
    socket: socket.socket
    token: str

    async def clear_up(self, workers: Mapping[int, int]) -> End:
        """Wait for its end, then for the end of its `workers` (pid -> start_ticks) and of all that they started."""
        code = await _in_thread(self._wait)
        if code == 0 and not workers:  # an orderly end: it saw to everything itself
            return End(code=code, left=())
        left = await _in_thread(lambda: kill_family(self.token, workers, timeout_s=_CLEAR_S))
        return End(code=code, left=left)

    def _wait(self) -> int:
        try:
            return self.process.wait(_EXIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


async def launch(preload: Sequence[str], env: Mapping[str, str]) -> ForkserverProcess:
    """Start a forkserver. It preloads and then says so; messages to it may be sent at once.

    Raises
    ------
    OSError
        No process, or no socket, could be made.
    """
    token = secrets.token_hex(8)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        ours.setblocking(False)
        # Not one of 0, 1, 2, which a host without a terminal may have free and Popen would overwrite.
        end = fcntl.fcntl(theirs, fcntl.F_DUPFD_CLOEXEC, 3)
        try:
            command = [sys.executable, "-P", "-m", "guardian.worker.forkserver"]
            command += ["--control", str(end), "--host", str(os.getpid())]
            command += [word for module in preload for word in ("--preload", module)]
            process = await _in_thread(
                lambda: subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    pass_fds=(end,),
                    env=environment(token, env),
                    start_new_session=True,  # Ctrl-C in the terminal is the host's to handle
                )
            )
        finally:
            os.close(end)
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return ForkserverProcess(process=process, socket=ours, token=token)


async def _in_thread(call: Callable[[], T]) -> T:
    """Not a thread of the loop's pool: those may all wait for a slow disk just when workers must die."""
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="forkserver")
    try:
        return await asyncio.get_running_loop().run_in_executor(pool, call)
    finally:
        pool.shutdown(wait=False)
