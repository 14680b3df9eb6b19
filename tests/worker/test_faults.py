"""What goes wrong in user code (R3, R12), and what is not its fault (R13). Real workers, under a fake host."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guardian.core.events import Channels, Connected, Judge, Pause, Policy, Raised, Resume, Returned
from guardian.enums import Call, ErrorKind, OnComplete
from guardian.worker.faults import where_in_dump
from guardian.worker.loop import CYCLE_S, RETRY_S
from tests.support import REPO, Child, ca_env
from tests.worker.conftest import Start
from tests.worker.fake_host import Host

pytestmark = pytest.mark.proc

KEEP, WAIT = OnComplete.KEEP, OnComplete.WAIT

# --- what user code raises and returns (R3, R12) ------------------------------------------------------------------

FAULTS = """
import sys
import numpy as np
from guardian import GuardState

class Own(BaseException):
    pass

class Mute(Exception):
    def __str__(self):
        raise ValueError('no words')

class Rude:
    def __bool__(self):
        raise KeyError('rude')

class Worse:
    def __bool__(self):
        sys.exit(4)

def deep():
    deep()

class FAULT(GuardState):
    def run(self):
        if IFO == 'raise':
            eval(SITE)
            exec(SITE)
        return eval(SITE)

class MAKING(GuardState):
    def __init__(self, logfunc=None):
        raise RuntimeError('not made')
"""

RAISED = {
    "sys.exit(3)": "SystemExit: 3",
    "raise_(KeyboardInterrupt())": "KeyboardInterrupt",
    "raise_(GeneratorExit())": "GeneratorExit",
    "raise_(StopIteration('x'))": "StopIteration: x",
    "raise_(Own('a', 'b'))": "Own: ('a', 'b')",
    "raise_(Own('first' + chr(10) + 'second'))": "Own: first (",
    "raise_(Mute())": "Mute: <Mute that cannot be shown: ValueError>",
    "raise_(Own(chr(0xd800)))": "Own: ?",
    "raise_(Own('x' * 20_000_000))": "Own: xxx",
    "deep()": "RecursionError: maximum recursion depth exceeded",
    "bytearray(1 << 60)": "MemoryError",
    "1 + (": "SyntaxError: '(' was never closed (<string>:1)",
    "raise_(ExceptionGroup('two', [ValueError(), Mute()]))": "ExceptionGroup: two (2 sub-exceptions)",
    "np.array([1, 2])": "TypeError: returned a numpy.ndarray that is neither true nor false: The truth value",
    "Rude()": "TypeError: returned a SUS.Rude that is neither true nor false: 'rude'",
    "Worse()": "SystemExit: 4",
}
RETURNED = {
    "np.bool_(True)": True,
    "np.float64(0.0)": False,
    "np.array([0])": False,
    "[0]": True,
    "''": "",
    "'SAFE'": "SAFE",
    "np.str_('SAFE')": "SAFE",
    "__import__('enum').Enum('Name', {'A': 'SAFE'}, type=str).A": "SAFE",
    "chr(0xd800)": "?",
    "'x' * 20_000_000": "x" * 200,
}
RAISER = "\ndef raise_(error):\n    raise error\n"


@pytest.mark.parametrize("code", list(RAISED))
def test_R12_whatever_user_code_raises_is_told_and_the_worker_lives(run: Start, code: str) -> None:
    worker = run(FAULTS + RAISER, site=code)
    for _ in range(2):
        worker.enter("FAULT")
        raised = worker.hear(Raised)
        assert (raised.entry, raised.call, raised.kind) == (worker.entry, Call.RUN, ErrorKind.ERROR)
        assert raised.message.startswith(f"FAULT.run() raised {RAISED[code]}"), raised.message
        assert raised.message.endswith("; the log has the traceback") and len(raised.message) < 600
        calls = worker.beat().call
        worker.tell(Judge(entry=worker.entry, seq=1), Policy(entry=worker.entry, on_complete=KEEP))
        worker.listen(1.5 * CYCLE_S)
        assert worker.beat().call == calls, "no more user code"
    assert len(worker.of(Raised)) == 2
    said = "\n".join(line for line in worker.log if line.startswith("ERROR [FAULT.run]"))
    assert RAISED[code].split(":")[0] in said and "guardian/" not in said, worker.story()
    worker.stop()


def test_R3_what_user_code_returns(run: Start, start: Start) -> None:
    for code, outcome in RETURNED.items():
        worker = run(FAULTS, site=code)
        worker.enter("FAULT", WAIT)
        worker.hear(Returned, lambda r: r.call is Call.MAIN)
        if outcome is False:
            worker.tell(Judge(entry=1, seq=1))
        heard = worker.hear(Returned, lambda r, want=outcome: bool(r.seq) == (want is False)).outcome
        assert heard == outcome and type(heard) is type(outcome), code


def test_R12_a_state_that_cannot_be_made_and_one_that_is_not_there(run: Start) -> None:
    worker = run(FAULTS)
    worker.enter("MAKING")
    assert "MAKING.main() raised RuntimeError: not made (SUS.py:" in worker.hear(Raised).message
    worker.enter("GONE")
    assert "GONE.main() raised KeyError: 'GONE'" in worker.hear(Raised).message
    worker.stop()


def test_R12_code_that_closes_what_is_not_its_own_is_told_so(run: Start) -> None:
    """It closes the log too: how the worker ended is all that can be told."""
    worker = run("""
import os
from guardian import GuardState
class CLOSES(GuardState):
    def main(self):
        os.closerange(0, 1000)
        return True
""")
    worker.enter("CLOSES")
    assert "does user code close descriptors" in worker.end().reason


# --- lost channels (R13) ------------------------------------------------------------------------------------------

NEEDY = """
from guardian import GuardState
from guardian.errors import EzcaConnectError

class NAMED(GuardState):
    def main(self):
        self.count = getattr(self, 'count', 0) + 1
        if self.count == 1:
            self.timer['t'] = 0.1
        log('try = %d', self.count)
        ezca.read('NUM', timeout=0.05)
        log('timer %r', self.timer['t'])
        return True

    def run(self):
        return ezca['NUM'] == 1.5

class UNNAMED(GuardState):
    def run(self):
        self.count = getattr(self, 'count', 0) + 1
        log('try = %d', self.count)
        if self.count < 3:
            raise EzcaConnectError()
        return True

class ODD(GuardState):
    def run(self):
        raise EzcaConnectError('odd', eval(SITE))
"""


@pytest.fixture
def ca_host(ca_port: int) -> Iterator[Host]:
    host = Host(ca_env(ca_port))
    yield host
    host.close()


@pytest.mark.ca
def test_R13_a_lost_channel_is_named_and_the_method_called_again_when_it_is_there(
    ca_host: Host, ca_port: int, prefix: str, tmp_path: Path, child: Callable[..., Child]
) -> None:
    ifo = prefix.rstrip(":")
    with ca_host.worker(tmp_path, NEEDY, ifo=ifo) as worker:
        worker.loaded()
        worker.enter("NAMED")
        raised = worker.hear(Raised)
        assert (raised.kind, raised.call, raised.channels) == (ErrorKind.CONNECT, Call.MAIN, (f"{prefix}NUM",))
        assert raised.message.startswith(f"{prefix}NUM: ")
        worker.listen(4 * CYCLE_S)
        assert worker.numbers("try = ") == [1], "not called while it is lost, and the worker obeys:"
        worker.tell(Judge(entry=1, seq=1))
        assert worker.hear(Raised).channels == (f"{prefix}NUM",), "an answer in any case"
        worker.tell(Pause())
        worker.tell(Resume())
        server = child(
            [REPO / ".venv/bin/python", REPO / "tests/access/serve.py", prefix, "plant"], env=ca_env(ca_port)
        )
        server.wait_for("SERVER READY")
        worker.hear(Connected)
        assert worker.hear(Returned, lambda r: r.call is Call.MAIN).outcome is True
        told = [type(r) for _, r in worker.reports]
        assert told.index(Connected) < told.index(Returned), "told before the method is called again"
        worker.says("timer True")
        assert worker.numbers("try = ") == [1, 2, 3], "the same instance"
        assert worker.hear(Channels).total == 1
        server.stop()
        lost = worker.hear(Raised, timeout_s=60)
        assert (lost.kind, lost.call, lost.channels) == (ErrorKind.CONNECT, Call.RUN, (f"{prefix}NUM",))
        assert worker.leave() < 5
        worker.stop()


def test_R13_an_unnamed_one_is_tried_every_second_and_said_once(run: Start) -> None:
    worker = run(NEEDY)
    began = time.monotonic()
    worker.enter("UNNAMED")
    raised = worker.hear(Raised)
    assert (raised.kind, raised.channels, raised.message) == (ErrorKind.CONNECT, (), "a channel is not connected")
    assert worker.hear(Returned, lambda r: r.call is Call.RUN).outcome is True
    assert 1.9 < time.monotonic() - began < 15
    assert len(worker.of(Raised)) == 1 and worker.numbers("try = ") == [1, 2, 3]


@pytest.mark.parametrize(
    ("channels", "named"), [("None", ()), ("'X1:A'", ("X1:A",)), ("['A', 3]", ("A",)), ("('A',) * 500", ("A",) * 100)]
)
def test_R13_channels_that_are_no_list_of_names(run: Start, channels: str, named: tuple[str, ...]) -> None:
    worker = run(NEEDY, site=channels)
    worker.enter("ODD")
    assert worker.hear(Raised).channels == named
    calls, began = worker.beat().call, time.monotonic()
    worker.listen(4 * CYCLE_S)
    assert worker.beat().call - calls <= (time.monotonic() - began) / RETRY_S + 1, (
        "names that nobody watches are tried every second, as none"
    )
    worker.stop()
    assert not worker.of(Connected)


def test_in_a_dump_a_line_of_a_file_is_better_than_one_of_a_text() -> None:
    """The methods of a dataclass are made of a text, those of ours too."""
    head = "Current thread 0x00007f0000000000 (most recent call first):\n"
    made = '  File "<string>", line 3 in __init__\n'
    user = '  File "/site/SUS.py", line 7 in <module>\n'
    assert where_in_dump(head + made + user) == "SUS.py:7"
    assert where_in_dump(head + made) == "<string>:3" and where_in_dump(head) == ""
