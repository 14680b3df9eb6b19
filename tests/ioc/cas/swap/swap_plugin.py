"""A plugin for the pytest that runs caproto's tests: its helper starts no repeater of its own.

The one who holds EPICS_CA_REPEATER_PORT, see :func:`tests.support.ca_env`, is repeater enough.
"""

from __future__ import annotations

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    from caproto.tests import conftest

    conftest.start_repeater = lambda: None
