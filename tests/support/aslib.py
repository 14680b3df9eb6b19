"""The access security of EPICS base itself (asLib, in the libCom of ``epicscorelibs``), to be asked from Python.

It is one per process, writes to the stderr of the process, and may crash over a bad file; so it has a process of its
own, which answers one line of JSON with one. The same file is both sides, see :mod:`tests.support.softioc`.
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple


class Right(NamedTuple):
    """What a client may do: 0 nothing, 1 read, 2 write; and whether its writes are to be recorded (TRAPWRITE)."""

    level: int
    trap: bool


class AsLib:
    """Context manager round the process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def ask(
        self, text: bytes, questions: Sequence[tuple[str, int, str, str]] = (), *, addresses: bool = False
    ) -> list[Right] | None:
        """What the file grants: to (group, level of the field, user, host), each. None: the file is refused.

        Parameters
        ----------
        addresses : asCheckClientIP; the host of a question is an address then.
        """
        order = {"text": text.decode("latin-1"), "addresses": addresses, "questions": list(questions)}
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"asLib ended with {self._process.wait(30)} over {text!r}"
        answer = json.loads(line)
        return None if answer is None else [Right(level, bool(trap)) for level, trap in answer]

    def __enter__(self) -> AsLib:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate(timeout=30)


class _Client(ctypes.Structure):
    """ASGCLIENT of asLib.h."""

    _fields_ = (
        ("next", ctypes.c_void_p),
        ("previous", ctypes.c_void_p),
        ("member", ctypes.c_void_p),
        ("user", ctypes.c_char_p),
        ("host", ctypes.c_void_p),
        ("private", ctypes.c_void_p),
        ("callback", ctypes.c_void_p),
        ("level", ctypes.c_int),
        ("access", ctypes.c_int),
        ("trap", ctypes.c_int),
    )


def _main() -> None:
    from epicscorelibs.path import get_lib

    lib = ctypes.CDLL(get_lib("Com"))
    lib.asInitMem.restype = lib.asAddMember.restype = lib.asAddClient.restype = ctypes.c_long
    check = ctypes.c_int.in_dll(lib, "asCheckClientIP")

    def one(group: str, level: int, user: str, host: str) -> tuple[int, int]:
        member, client = ctypes.c_void_p(), ctypes.POINTER(_Client)()
        name = ctypes.create_string_buffer(group.encode("latin-1"))
        who, where = (ctypes.create_string_buffer(text.encode("latin-1")) for text in (user, host))
        assert lib.asAddMember(ctypes.byref(member), name) == 0
        assert lib.asAddClient(ctypes.byref(client), member, level, who, where) == 0
        found = client.contents.access, client.contents.trap
        lib.asRemoveClient(ctypes.byref(client))
        lib.asRemoveMember(ctypes.byref(member))
        return found

    for line in sys.stdin.buffer:
        order = json.loads(line)
        check.value = order["addresses"]
        if lib.asInitMem(order["text"].encode("latin-1"), None):
            answer = None
        else:
            answer = [one(*question) for question in order["questions"]]
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _main()
