"""The patterns of filter modules: a real host, and a filter module that the package ``ezca`` emulates."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from ezca import const

from guardian.worker import link
from tests.support import free_port, random_prefix
from tests.support.hidden import without_ligo
from tests.support.ligo_plant import FilterModule
from tests.system.hosting import Guardhost
from tests.worker.fake_host import Host, Worker
from tests.worker.patterns.conftest import MODULES, visit
from tests.worker.patterns.test_on_channels import comes_to

pytestmark = [pytest.mark.ca, pytest.mark.proc]


@pytest.fixture(scope="module")
def names() -> tuple[str, int]:
    return random_prefix().rstrip(":"), free_port()


@pytest.fixture(scope="module")
def plant(names: tuple[str, int]) -> Iterator[FilterModule]:
    with FilterModule(f"{names[0]}:SUS-MC1", names[1]) as plant:
        yield plant


@pytest.fixture(scope="module")
def site(names: tuple[str, int], plant: FilterModule, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guardhost]:
    """A host with the nodes FILTERS and BUTTONS."""
    ifo, port = names
    host = Guardhost(tmp_path_factory.mktemp("site"), {}, nodes=["FILTERS", "BUTTONS"], ifo=ifo)
    host.env["GUARD_MODULE_PATH"] = str(MODULES)
    host.env["EPICS_CA_ADDR_LIST"] = f"127.0.0.1:{host.port} 127.0.0.1:{port}"
    with host:
        host.wait("FILTERS", "STATE", "DAMPED")  # the client starts here, as it must outlive the first test
        yield host


def asked_for(site: Guardhost, state: str) -> None:
    site.put("FILTERS", "OP", "STOP")
    site.put("FILTERS", "REQUEST", "DAMPED")
    site.put("FILTERS", "OP", "EXEC")
    comes_to(site, "FILTERS", "DAMPED")
    site.put("FILTERS", "REQUEST", state)


def test_buttons_are_pressed_and_ramps_are_waited_for(site: Guardhost) -> None:
    comes_to(site, "FILTERS", "DAMPED")
    on = "['FM1', 'FM4', 'INPUT', 'OFFSET', 'OUTPUT']"
    assert site.get("FILTERS", "USERMSG") == f"damped [-1.0, 2.5, 0.2, {on}]"
    assert site.get("FILTERS", "OK") == "True"


def test_a_redirect_interrupts_the_wait_for_a_ramp(site: Guardhost) -> None:
    """R8: without a kill, as every wait of the package is in Python."""
    asked_for(site, "RAMPS")
    site.wait("FILTERS", "STATE", "RAMPS")
    time.sleep(0.5)  # it waits now
    worker = site.workers()["FILTERS"].pid
    site.put("FILTERS", "REQUEST", "DOWN")
    comes_to(site, "FILTERS", "DOWN")
    assert site.get("FILTERS", "KILLS") == 0 and site.workers()["FILTERS"].pid == worker


def test_a_button_that_does_not_exist_is_an_error_of_the_state(site: Guardhost) -> None:
    asked_for(site, "WRONG")
    site.wait("FILTERS", "ERROR", "True")
    said = site.get("FILTERS", "GRDMSG")
    assert "WRONG.main() raised LIGOFilterError: 'FM11' is not a valid button name" in said


def test_code_that_catches_the_packages_error_catches_ours(site: Guardhost) -> None:
    asked_for(site, "CATCHES")
    comes_to(site, "FILTERS", "CATCHES")
    assert site.get("FILTERS", "ERROR") == "False"


def test_a_button_that_somebody_else_presses_is_a_difference_in_words(site: Guardhost, names: tuple[str, int]) -> None:
    asked_for(site, "DAMPED")
    site.put("FILTERS", "SPM_MONITOR", 1)
    site.put("FILTERS", "SPM_NOTIFY", 1)
    filt = f"{names[0]}:SUS-MC1"
    site.ca.put(f"{filt}_SW1", const.WRITE_MASKS["FM2"].bit_mask)
    site.wait("FILTERS", "SPM_CHANGED", 1)
    site.wait("BUTTONS", "SPM_CHANGED", 1)
    assert '"is":"IN,OF,1,2,4,OT"' in site.get("BUTTONS", "SPM_DIFFS").replace(" ", "")
    told = site.get("FILTERS", "USERMSG")
    assert f"{filt}_SWSTAT is IN,OF,1,2,4,OT, set to IN,OF,1,4,OT" in told, told
    site.ca.put(f"{filt}_SW1", const.WRITE_MASKS["FM2"].bit_mask)
    site.wait("FILTERS", "SPM_CHANGED", 0)
    site.wait("BUTTONS", "SPM_CHANGED", 0)
    site.put("FILTERS", "SPM_MONITOR", 0)


def test_a_front_end_that_is_gone_shows_in_connect_until_it_is_back(
    site: Guardhost, plant: FilterModule, names: tuple[str, int]
) -> None:
    """R13; the last test of this file, since it ends the plant."""
    asked_for(site, "DAMPED")
    plant.child.kill9()
    site.wait("FILTERS", "CONNECT", "LOST")
    assert f"{names[0]}:SUS-MC1_" in site.get("FILTERS", "CONNECT_S")
    with FilterModule(f"{names[0]}:SUS-MC1", names[1]):
        site.wait("FILTERS", "CONNECT", "OK")
        site.wait("FILTERS", "ERROR", "False")
        site.put("FILTERS", "REENTER", 1)
        comes_to(site, "FILTERS", "DAMPED")


@pytest.mark.parametrize("extra", ["with", "without"])
def test_names_of_the_package_are_there_with_it_and_without(extra: str) -> None:
    env = {"USERAPPS_PATH": "/userapps", **(without_ligo() if extra == "without" else {})}
    host = Host(env=env)
    worker = Worker(host, "EZCAS")
    try:
        worker.tell(link.Load(node="EZCAS", ifo="X1", site="XLAB", paths=(str(MODULES),)))
        worker.loaded()
        assert visit(worker, "UP") is True
        worker.says("named X1:GAIN")
    finally:
        worker.close()
        host.close()


def test_without_the_package_code_that_needs_it_is_told_how_to_get_it() -> None:
    host = Host(env=without_ligo())
    worker = Worker(host, "FILTERS")
    try:
        worker.tell(link.Load(node="FILTERS", ifo="X1", site="XLAB", paths=(str(MODULES),)))
        worker.loaded()
        said = visit(worker, "DOWN")
        assert "AttributeError: 'Ezca' object has no attribute 'get_LIGOFilter': that is of LIGO's package; " in said
        assert "pip install 'epics-guardian[ligo]'" in said
    finally:
        worker.close()
        host.close()
