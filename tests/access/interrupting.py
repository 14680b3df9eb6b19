"""Interrupts at every point of a piece of code where Python looks for signals, one after another.

A signal handler runs behind a call into C, at the beginning of a function and at the end of a turn of a loop (CPython
3.11 to 3.13), so that is where a redirect raises `Interrupted` (R8). A test with a timer hits a few of these points; a
trace function that raises hits each of them.
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

from guardian.errors import Interrupted

_BEHIND = {"CALL", "CALL_FUNCTION_EX", "CALL_KW", "JUMP_BACKWARD", "RESUME"}


class _Hit:
    """The trace function that raises at point number `at`, counted from 0."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.where = ""
        self._seen = 0
        self._last: dict[FrameType, str] = {}
        self._names: dict[CodeType, dict[int, str]] = {}

    def __call__(self, frame: FrameType, event: str, _arg: Any) -> Any:
        if self.where or "importlib" in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "call" and frame.f_back is not None:
            self._last.pop(frame.f_back, None)  # a call of Python code looks at its beginning, not behind it
        elif event == "return":
            self._last.pop(frame, None)
        elif event == "opcode":
            code = frame.f_code
            names = self._names.setdefault(code, {one.offset: one.opname for one in dis.get_instructions(code)})
            before, self._last[frame] = self._last.get(frame), names[frame.f_lasti]
            if before in _BEHIND:
                self._seen += 1
                if self._seen > self.at:
                    self.where = f"{code.co_filename}:{frame.f_lineno} {code.co_name}"
                    raise Interrupted
        return self


def interrupted(at: int, call: Callable[[], Any]) -> str:
    """Interrupt `call` at its point number `at`; where that was, "" if it ended before."""
    hit, before = _Hit(at), sys.gettrace()
    sys.settrace(hit)
    try:
        call()
    except Interrupted:
        pass
    finally:
        sys.settrace(before)
    return hit.where
