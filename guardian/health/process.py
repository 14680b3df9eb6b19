"""This process: its name, and how far it has come.

A start runs BOOTING, LOADCFG, READY: BOOTING from the first call to this file, LOADCFG from :func:`loading`, READY from
:func:`ready` and from nothing else. Other programs see it by :func:`get_process_state`, through files that are in
:mod:`guardian.health.names`. A program that ends in good order leaves STOPPED: by its last line, ``sys.exit`` with
whatever code, or Ctrl-C. An exception that nobody caught, ``os._exit`` and a signal that kills leave FAIL.

A worker has the name that its host has given to it, and says itself how far it has come.

No disk can harm the program: what cannot be written is told in the log, and what does not come back is waited for two
seconds, once.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from guardian.enums import ProcessState
from guardian.errors import ExosError
from guardian.health import checks, names
from guardian.health.lockfiles import folder
from guardian.health.supervisor import Supervisor

#: How long a program waits for the disk.
PATIENCE_S = 2.0
#: The same for a worker that ends; before that it does not wait at all.
END_S = 0.3
_log = logging.getLogger("guardian.health")


class Process:
    """What this process says of itself. Any thread may use it.

    Parameters
    ----------
    supervisor : None: there is none.
    """

    def __init__(self, supervisor: Supervisor | None = None) -> None:
        self.supervisor = supervisor
        self.state = ProcessState.BOOTING
        self._since = time.time()
        self._pid = os.getpid()
        self._chosen = supervisor is not None
        self._name = supervisor.name if supervisor is not None else ""
        self._held: names.Held | None = None
        self._disk = threading.Lock()  # held while the disk is used
        self._patience_s = PATIENCE_S if supervisor is None else 0.0
        self._complained = False

    @property
    def name(self) -> str:
        if not self._name:
            script = Path(sys.argv[0] if sys.argv else "").stem or "python"
            safe = "".join(c if c.isprintable() else "?" for c in script).encode()[: checks.NAME_BYTES - 12]
            self._name = f"{safe.decode(errors='ignore')}-{self._pid}"
        return self._name

    @property
    def files(self) -> tuple[int, ...]:
        """Descriptors of files that are open for this, and are nobody else's business."""
        held = self._held
        return held.files if held is not None else ()

    def rename(self, name: str) -> None:
        """Have that name.

        Raises
        ------
        ExosError
            A living process has it.
        """
        if self._held is not None and not self._held.lost and name == self._name:
            return
        found: list[names.Entry | None] = []

        def job() -> None:
            with self._disk:
                try:
                    held = names.take(folder(), name)
                except OSError:
                    self._give_up()
                    raise
                if not isinstance(held, names.Held):
                    found.append(held)
                    return
                self._have(held)

        before, self._name, self._chosen, chosen = self._name, name, True, self._chosen
        self._try(job)
        if found:
            self._name, self._chosen = before, chosen
            holder = found[0]
            who = f"process {holder.pid}, which is {holder.state.name}" if holder is not None else "another process"
            raise ExosError(
                f"set_process_name({name!r}): {who}, has that name on this machine; choose another one, or end that one"
            )

    def reach(self, state: ProcessState) -> None:
        """It has come so far."""
        self.state, self._since = state, time.time()
        self._try(self._put)
        if self.supervisor is not None and state in (ProcessState.LOADCFG, ProcessState.READY):
            self.supervisor.reached(state)

    def end(self) -> None:
        """The process ends in good order."""
        self.state, self._since = ProcessState.STOPPED, time.time()
        if self.supervisor is not None:
            self._try(self._close, END_S)
        elif self._held is not None and self._patience_s:  # no thread: the interpreter has stopped to make any
            self._close()

    def leave(self) -> None:
        """This is a child of that process now."""
        if self._held is not None:
            self._held.drop()

    @property
    def _entry(self) -> names.Entry:
        return names.Entry(pid=self._pid, state=self.state, since=self._since, chosen=self._chosen)

    def _put(self) -> None:
        with self._disk:
            if self._held is not None and not self._held.lost:
                self._held.write(self._entry)
                return
            if not self._chosen:
                names.sweep(folder())
            held = names.take(folder(), self.name)
            if isinstance(held, names.Held):
                self._have(held)
            elif not self._complained:
                self._complained = True
                pid = held.pid if held is not None else "?"
                _log.warning("%s: process %s has that name too; the state of this one is not shown", self.name, pid)

    def _close(self) -> None:
        """Leave STOPPED behind. What cannot be written is taken away, else it looked as if the process had failed."""
        if self._held is None:
            self._put()  # it was about to
        with self._disk:
            held, self._held = self._held, None
            if held is not None:
                try:
                    held.write(self._entry)
                    held.close(remove=not self._chosen)
                except OSError:
                    held.close(remove=True)

    def _have(self, held: names.Held) -> None:
        self._give_up()
        self._held = held
        held.write(self._entry)

    def _give_up(self) -> None:
        """Nothing is known any more of the name that it had."""
        held, self._held = self._held, None
        if held is not None:
            held.close(remove=True)

    def _try(self, job: Callable[[], None], patience_s: float | None = None) -> None:
        """Do what needs the disk, and wait for it, but not for long; `patience_s`: for so long."""
        if self.supervisor is not None and not self.supervisor.shown:
            return

        def tried() -> None:
            try:
                job()
            except OSError as error:
                self._complain(error.strerror or str(error))

        thread = threading.Thread(target=tried, name="guardian-health-disk", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            self._complain(str(error))
            return
        patience_s = self._patience_s if patience_s is None else patience_s
        if patience_s:
            thread.join(patience_s)
            if thread.is_alive():
                self._patience_s = 0.0
                self._complain(f"no answer in {patience_s:g} s")

    def _complain(self, what: str) -> None:
        if not self._complained:
            self._complained = True
            _log.warning(
                "%s: its name and state cannot be written to %s (%s); get_process_state() of others does not see it, "
                "all else goes on",
                self.name,
                folder(),
                what,
            )


process = Process()
_at_exit = False


def get_process_name() -> str:
    """The name of this process, unique on its machine.

    In a worker that of its node ("X1:SUS_MC1"); else what :func:`set_process_name` has given to it, or the name of the
    script with the process id.
    """
    return process.name


def set_process_name(name: str) -> None:
    """Give this process a name. In a worker it has one already: that is told in the log, and nothing changes.

    Parameters
    ----------
    name : at most 64 bytes.

    Raises
    ------
    ExosError
        A living process has that name on this machine, or it cannot be one.
    """
    checks.name(name, "a process")
    if process.supervisor is not None:
        _log.warning(
            "set_process_name(%r) does nothing: the name of this process is %s, as configured", name, process.name
        )
        return
    _follow_the_end()
    process.rename(name)


def loading() -> None:
    """This process reads what it is to do, or reads it anew: LOADCFG. In a worker it is known, and nothing changes."""
    _reach(ProcessState.LOADCFG)


def ready() -> None:
    """This process works: READY. In a worker it is known, and nothing changes."""
    _reach(ProcessState.READY)


def get_process_state(name: str | None = None) -> ProcessState:
    """How far a process of this machine has come.

    Parameters
    ----------
    name : None: this one.

    Raises
    ------
    ExosError
        No process of that name is known, or what is known of it cannot be read.
    """
    if name is None or name == process.name:
        return process.state
    checks.name(name, "a process")
    try:
        found = names.look(folder(), name)
    except OSError as error:
        raise ExosError(
            f"get_process_state({name!r}): {folder()} cannot be read ({error.strerror}); look at its permissions"
        ) from None
    if found is None:
        raise ExosError(
            f"get_process_state({name!r}): no process of that name was ever here ({folder()}); "
            "a process is known once it has called set_process_name(), loading() or ready()"
        )
    return found.state


def failed(why: str) -> None:
    """This process is about to end, and has failed."""
    process.reach(ProcessState.FAIL)
    if process.supervisor is not None:
        process.supervisor.hung(why)


def _reach(state: ProcessState) -> None:
    if process.supervisor is None:
        _follow_the_end()
        process.reach(state)


def _follow_the_end() -> None:
    global _at_exit
    if not _at_exit:
        _at_exit = True
        atexit.register(_end)


def _end() -> None:
    """The interpreter ends, which it also does after an exception that nobody caught."""
    error = getattr(sys, "last_value", None)
    is_dialog = hasattr(sys, "ps1") or bool(sys.flags.interactive)
    if isinstance(error, KeyboardInterrupt) or error is None or is_dialog:
        process.end()


def _be_a_child() -> None:
    global process
    process.leave()
    process = Process()


os.register_at_fork(after_in_child=_be_a_child)
