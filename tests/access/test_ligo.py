"""An ``ezca.Ezca`` on our channels, against the package's own emulator. The checks are functions of `ligo_client`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.access.asked import Client
from tests.support.child import REPO, Child
from tests.support.ligo_plant import FilterModule
from tests.support.net import ca_env, free_port, random_prefix

CHECKS = [
    "is_an_ezca",
    "errors_are_the_same",
    "made_by_user_code",
    "prefixes_as_theirs",
    "switches",
    "members",
    "pvs",
    "without_the_monitor",
    "waits_are_interrupted",
    "steps",
    "set_points_of_buttons",
    "snapshots",
    "only_checked",
]
#: Of a module that nobody has written to before: ramps of the emulator wait for each other, and between two of them
#: none is up.
RAMPED = ["ramps", "ramps_are_remembered", "switched_off_by_the_environment"]


@contextmanager
def client_of(ifo: str, port: int, cache: Path) -> Iterator[Client]:
    argv = [sys.executable, "-m", "tests.access.ligo_client", ifo]
    with Child(argv, env=ca_env(port, XDG_CACHE_HOME=str(cache)), cwd=REPO, stdin=True) as child:
        yield Client(child)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What cdsutils would else fetch from the internet when it is imported."""
    folder = tmp_path_factory.mktemp("cache")
    (folder / "gpstime").mkdir()
    file = "#expires 4102444800\nLeap 2016 Dec 31 23:59:60 + S\n"
    (folder / "gpstime" / "leapseconds").write_text(file)
    return folder


@contextmanager
def on_a_filter(cache: Path) -> Iterator[Client]:
    ifo, port = random_prefix().rstrip(":"), free_port()
    with FilterModule(f"{ifo}:SUS-MC1", port), client_of(ifo, port, cache) as client:
        yield client


@pytest.fixture(scope="module")
def on_filter(cache: Path) -> Iterator[Client]:
    with on_a_filter(cache) as client:
        yield client


@pytest.mark.ca
@pytest.mark.parametrize("check", CHECKS)
def test_on_a_filter_module(on_filter: Client, check: str) -> None:
    on_filter.check(check)


@pytest.mark.ca
@pytest.mark.parametrize("check", RAMPED)
def test_on_a_filter_module_of_its_own(cache: Path, check: str) -> None:
    with on_a_filter(cache) as client:
        client.check(check)


@pytest.mark.ca
def test_a_filter_whose_server_is_killed_and_comes_back(cache: Path) -> None:
    ifo, port = random_prefix().rstrip(":"), free_port()
    with client_of(ifo, port, cache) as client:
        with FilterModule(f"{ifo}:SUS-MC1", port) as plant:
            losing = client.begin("lose_it")
            client.child.wait_for("KILL IT", 60)
            plant.child.kill9()
        client.child.wait_for("START IT", 60)
        with FilterModule(f"{ifo}:SUS-MC1", port):
            client.end("lose_it", losing)


@pytest.mark.ca
def test_a_matrix_of_cdsutils(cache: Path) -> None:
    prefix, port = random_prefix(), free_port()
    argv = [sys.executable, "-m", "tests.access.ligo_matrix", prefix]
    with Child(argv, env=ca_env(port), cwd=REPO) as server, client_of(prefix.rstrip(":"), port, cache) as client:
        server.wait_for("SERVER READY", 60)
        client.check("matrix")


def test_no_ca_context_before_the_first_use() -> None:
    script = (
        "import epics\n"
        "from guardian.access import injected, channels\n"
        "kind, complaint = injected.choose(channels.Channels)\n"
        "from ezca import Ezca, LIGOFilter\n"
        "ezca = kind.of_node('X1', log=print)\n"
        "assert isinstance(ezca, Ezca) and not complaint\n"
        "ezca.get_LIGOFilter('A'), LIGOFilter('B', ezca), Ezca('SUS').LIGOFilterManager(['C', 'D']), ezca.pvs\n"
        "assert epics.ca.libca is None\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=REPO, env=ca_env(free_port()), check=True, timeout=60)
