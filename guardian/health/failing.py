"""The end of a process that has failed: it says why and where all its threads stand, then it ends, whatever hangs."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import sys
import threading
import time
import traceback
from typing import NoReturn

from guardian.health.told import Told, call_all

#: EX_SOFTWARE of sysexits.h, as of a worker that has failed. Whoever started the process may start it again.
EXIT_FAILED = 70
#: What there is to say is said within so many seconds, or not at all: nobody may read what is said.
LAST_WORDS_S = 2.0
#: Lines of these files say nothing of what a thread does.
_OURS = (threading.__file__, os.path.dirname(__file__) + os.sep)


def fail(news: Told, thread: threading.Thread | None) -> NoReturn:
    """End this process, since `thread` has failed it."""
    words = threading.Thread(target=_say, args=(news, thread), name="guardian-health-last-words", daemon=True)
    with contextlib.suppress(RuntimeError):  # no thread can be made any more
        words.start()
        words.join(LAST_WORDS_S)
    os._exit(EXIT_FAILED)


def _say(news: Told, thread: threading.Thread | None) -> None:
    from guardian.health import process

    _write(f"guardian.health: {process.get_process_name()} (pid {os.getpid()}) has failed: {news.sentence}\n")
    frame = sys._current_frames().get(thread.ident or 0) if thread is not None else None
    if frame is not None:
        stack = [line for line in traceback.extract_stack(frame) if not line.filename.startswith(_OURS)]
        lines = "".join(traceback.format_list(stack))
        _write(f"thread {news.thread.name} stands at (most recent call last):\n{lines}")
    _write("all threads:\n")
    with contextlib.suppress(OSError):
        faulthandler.dump_traceback(2)
    process.failed(news.sentence)
    call_all(news)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()


def _write(text: str) -> None:
    data = text.encode(errors="backslashreplace")
    with contextlib.suppress(OSError):
        while data:
            try:
                data = data[os.write(2, data) :]
            except BlockingIOError:
                time.sleep(0.01)
