"""What every command shares: exit codes, and one line for what went wrong.

0 the work is done, 1 it failed, 2 the call was wrong; who waits for a node also says 3, it was not done in time, and 4,
the node rests elsewhere and does not go on by itself. Nothing else, so that scripts can rely on it.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from guardian.errors import ExpectedError

OK = 0
FAILED = 1
WRONG_CALL = 2
TIMED_OUT = 3
STALLED = 4


class WrongCall(ExpectedError):
    """The command line, or a file that it refers to, cannot be: exit code 2."""


def open_streams() -> None:
    """What is closed of the standard streams is opened on /dev/null: for a program that runs long, first of all.

    Whoever starts a daemon may close them. Then the next file or socket that is opened takes the number, and gets what
    was meant for the terminal; and the program fails at its first word.
    """
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115  for good
    escape("backslashreplace")


def escape(how: str) -> None:
    """How stdout writes what its encoding does not have, a handler of `codecs`; by default it is an error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors=how)


def tell(command: str, text: str) -> None:
    """One line on stderr, headed by the command. That nobody reads it (any more) is no reason to end."""
    with contextlib.suppress(OSError):
        print(f"{command}: {text}", file=sys.stderr, flush=True)


def complain(command: str, text: str) -> None:
    """One line on stderr, headed by the command; line breaks inside become spaces."""
    with contextlib.suppress(OSError):
        sys.stdout.flush()  # so that on a terminal and in a log the two streams stay in order
    tell(command, " ".join(text.split()))


def not_taken(command: str, error: OSError) -> int:
    """What was printed is not taken: ``guardctrl list | head``, or a full disk. The exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is still to be printed goes there
    if not isinstance(error, BrokenPipeError):
        complain(command, str(error))
    return FAILED


def is_interrupt(error: BaseException) -> bool:
    """Whether it is Ctrl-C. Before Python 3.12 that comes in a RuntimeError while a module makes a class."""
    return isinstance(error.__cause__ if isinstance(error, RuntimeError) else error, KeyboardInterrupt)


def ended(command: str, do: Callable[[], int]) -> int:
    """Do what a command was asked for. Its exit code, also if that is interrupted, or what it prints is not taken."""
    try:
        code = do()
        sys.stdout.flush()
        return code
    except (KeyboardInterrupt, RuntimeError) as error:
        if not is_interrupt(error):
            raise
        return FAILED
    except OSError as error:
        return not_taken(command, error)


class OrderParser(argparse.ArgumentParser):
    """Of a command with orders: says in one line what is wrong with a call."""

    def error(self, message: str) -> NoReturn:
        complain(self.prog.split()[0], f"{message}; see {self.prog} --help")
        self.exit(WRONG_CALL)
