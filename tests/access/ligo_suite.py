"""The test cases that the package ``ezca`` carries (``ezca.test_ezca``), through our object.

Run by the test, with the port of a free CA server and the name of a machine; one case after another is asked for as
``TestClass.test_name`` (`tests.access.asked`).

They find their ``Ezca`` in the package, where :mod:`guardian.access.injected` has put ours, and start the package's
emulator of a filter module, with pcaspy, in a process of their own.
"""

from __future__ import annotations

import os
import sys
import unittest
from functools import partial
from typing import Any

from guardian.access import injected
from guardian.access.channels import Channels
from tests.access.asked import answer

_RAMP_S = 2  #: theirs is 5


def main() -> None:
    port, prefix = sys.argv[1:]
    kind, complaint = injected.choose(Channels)
    assert not complaint, complaint
    before = dict(os.environ)
    from ezca import test_ezca as suite

    os.environ.clear()
    os.environ.update(before)  # it names a fixed port
    assert suite.Ezca is kind and kind.__mro__[1].__module__ == "guardian.access.ligo"
    suite.emu_const.TEST_IFO_NAME = prefix
    suite.emu_const.TEST_FILTER_RAMP_TEST_TIME = _RAMP_S
    name = f"{prefix}:{suite.emu_const.TEST_SUBSYS_NAME}-{suite.emu_const.TEST_FILTER_NAME}_"
    suite.start_emulator = partial(_emulate, suite.start_emulator, port, name)
    suite.setUpModule()
    try:
        answer(partial(_run, suite))
    finally:
        suite.tearDownModule()


def _emulate(start: Any, port: str, name: str) -> None:
    """In the process of the emulator."""
    os.environ.update(
        EPICS_CAS_INTF_ADDR_LIST="127.0.0.1",
        EPICS_CAS_SERVER_PORT=port,
        EPICS_CAS_BEACON_ADDR_LIST="127.0.0.1",
        EPICS_CAS_AUTO_BEACON_ADDR_LIST="NO",
    )
    start(name)


def _run(suite: Any, case: str) -> None:
    owner, _, name = case.partition(".")
    result = getattr(suite, owner)(name).run(unittest.TestResult())  # a suite would start an emulator for each case
    for _, trace in (*result.failures, *result.errors):
        raise AssertionError(trace)
    assert result.testsRun == 1 and not result.skipped, result


if __name__ == "__main__":
    main()
