"""One site and one console for the tests of a file, and a browser for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.console.browser.operating import SITE, Site
from tests.support import free_port
from tests.support.browser import Browser
from tests.system.hosting import Guardhost


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with Guardhost(folder, SITE) as house:
        house.wait("OVEN", "STATE", "COLD")
        house.wait("VALVE", "ERROR", "True")
        house.wait("PUMP", "MODE", "MANAGED")
        site = Site(folder, house, free_port())
        with site.console as console:
            console.wait("/api/nodes/OVEN", lambda node: node["graph"])
            yield site


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with Browser(tmp_path) as browser:
        yield browser
        assert browser.complaints == []
