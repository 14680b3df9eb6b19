"""One contract, two plants: each check runs on the caproto plant and on the real EPICS IOC.

A module has one plant of each kind, and its checks put back what they changed: the order does not matter. Kicks and
seconds are real here; what needs minutes is in ``test_optics``, in model time.
"""

from __future__ import annotations

import math
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from ioc.optics import BEST_OFFSETS, OpticsTable
from tests.plants import PLANTS, CaprotoPlant, Plant
from tests.support import REPO, CaClient, Child, PutRefusedError, ca_env, eventually, free_port

pytestmark = [pytest.mark.ca, pytest.mark.proc]
MIRRORS = ("SUS-MC1", "SUS-MC2", "SUS-MC3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A plant and a client of it; names without the prefix."""

    plant: Plant
    client: CaClient

    def get(self, name: str, **how: Any) -> Any:
        return self.client.get(self.plant.prefix + name, **how).value

    def put(self, name: str, value: Any) -> None:
        self.client.put(self.plant.prefix + name, value)

    def until(self, name: str, good: Any, timeout_s: float = 60) -> Any:
        """Wait until the value of `name` satisfies `good`."""
        return eventually(
            lambda: [value] if good(value := self.get(name)) else None, timeout_s, f"{name}", period_s=0.05
        )[0]

    def quiet(self) -> None:
        """Armed and damped, whatever was before."""
        for mirror in MIRRORS:
            self.until(f"{mirror}_MOTION", lambda motion: motion < 40)
            self.put(f"{mirror}_WD_RESET", 1)
            self.until(f"{mirror}_WD_STATE", lambda state: state == 0)
            self.put(f"{mirror}_DAMP_SW", "ON")
        for mirror in MIRRORS:
            self.until(f"{mirror}_MOTION", lambda motion: motion < 1)

    def align(self) -> None:
        self.quiet()
        for name, offset in BEST_OFFSETS.items():
            self.put(f"SUS-{name}_ALIGN_OFFSET", offset)
            self.put(f"SUS-{name}_ALIGN_SW", "ON")
        self.put("IMC-BOOST_SW", "OFF")


@pytest.fixture(scope="module", params=PLANTS, ids=lambda kind: kind.__name__)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with request.param() as plant, CaClient(plant.env) as client:
        yield Bench(plant=plant, client=client)


def test_every_pv_of_the_table_is_there_as_the_table_says(bench):
    for name, row, _ in OpticsTable().channels():
        pv = bench.plant.prefix + name
        info = bench.client.info(pv)
        assert (info.readable, info.writable) == (True, row.writable), name
        assert bench.get(f"{name}.DESC") == row.text
        assert bench.get(f"{name}.VAL") is not None
        if row.labels:
            assert info.kind == "ENUM", name
            assert tuple(info.labels) == row.labels, name
            continue
        assert (info.kind, info.units) == ("DOUBLE", row.units), name
        assert info.details["precision"] == row.precision, name
        for limit in ("disp", "ctrl"):
            assert info.details[f"lower_{limit}_limit"] == row.low, name
            assert info.details[f"upper_{limit}_limit"] == row.high, name


def test_a_readback_cannot_be_written(bench):
    for name in ("SUS-MC1_ANGLE", "SUS-MC1_WD_STATE", "IMC-LOCKED", "IMC-TRANS"):
        with pytest.raises(PutRefusedError):
            bench.put(name, 1)


def test_a_number_is_clamped_and_a_label_that_is_none_refused(bench):
    bench.put("PEM-SEIS", -5)
    assert bench.get("PEM-SEIS") == 0
    bench.put("PEM-SEIS", 0.2)
    with pytest.raises(PutRefusedError):
        bench.put("IMC-BOOST_SW", "MAYBE")
    bench.put("IMC-BOOST_SW", "OFF")
    reading = bench.client.get(bench.plant.prefix + "IMC-BOOST_SW", as_string=True)
    assert (reading.value, reading.severity) == ("OFF", 0)


def test_a_nan_does_not_stay_in_the_plant(bench):
    for name, usual in (("SUS-MC3_ALIGN_OFFSET", 0.0), ("SUS-MC3_DAMP_GAIN", 1.0), ("SUS-MC3_KICK", 0.0)):
        bench.put(name, math.nan)
        before = bench.client.get(bench.plant.prefix + "SUS-MC3_ANGLE").stamp_utc
        eventually(lambda: bench.client.get(bench.plant.prefix + "SUS-MC3_ANGLE").stamp_utc > before, what="a step")  # noqa: B023
        bench.put(name, usual)
    assert math.isfinite(bench.get("SUS-MC3_ANGLE"))
    bench.until("SUS-MC3_KICK", lambda kick: kick == 0)


def test_the_mirrors_align_and_the_cavity_locks_and_loses_its_lock(bench):
    bench.align()
    bench.until("IMC-TRANS", lambda power: power > 8)
    assert bench.get("IMC-LOCKED") == 0
    bench.put("IMC-LOCK_SW", "ON")
    bench.until("IMC-LOCKED", lambda locked: locked == 1)
    bench.until("IMC-TRANS", lambda power: power > 90)

    bench.put("IMC-BOOST_SW", "ON")
    residual = bench.client.monitor(bench.plant.prefix + "IMC-ERR")
    bench.put("IMC-KICK", 15)
    residual.wait_for(lambda event: event.value > 0.3, timeout_s=60)
    assert bench.get("IMC-LOCKED") == 1, "the boost holds against 15 nm"

    bench.put("IMC-KICK", 100)
    bench.until("IMC-LOCKED", lambda locked: locked == 0)
    bench.until("IMC-TRANS", lambda power: power < 12)
    assert bench.get("IMC-KICK") == 0, "a kick is one kick"
    bench.put("IMC-LOCK_SW", "OFF")


def test_a_kick_trips_the_watchdog_which_latches_until_it_is_reset(bench):
    bench.align()
    state = bench.client.monitor(bench.plant.prefix + "SUS-MC2_WD_STATE")
    bench.put("SUS-MC2_KICK", 300)
    assert state.wait_value(1, timeout_s=60).severity == 2, "a trip is a MAJOR alarm"
    for name in ("SUS-MC2_DAMP_SW", "SUS-MC2_ALIGN_SW"):
        bench.until(name, lambda switch: switch == 0)
    bench.put("SUS-MC2_DAMP_SW", "ON")
    bench.until("SUS-MC2_DAMP_SW", lambda switch: switch == 0)

    bench.put("SUS-MC2_WD_RESET", "RESET")
    bench.until("SUS-MC2_WD_RESET", lambda reset: reset == 0)
    if bench.get("SUS-MC2_MOTION") > 60:  # else this machine was slow, and it was quiet enough already
        assert bench.get("SUS-MC2_WD_STATE") == 1, "refused while it swings"

    bench.put("SUS-MC2_WD_LIMIT", 1000)  # half of it is more than the motion now: nobody needs to wait for quiet
    bench.put("SUS-MC2_WD_RESET", "RESET")
    state.wait_for(lambda event: (event.value, event.severity) == (0, 0), start=2, timeout_s=60)
    assert bench.get("SUS-MC2_DAMP_SW") == 0, "nothing comes on by itself"
    bench.put("SUS-MC2_DAMP_SW", "ON")
    bench.until("SUS-MC2_MOTION", lambda motion: motion < 40)
    bench.put("SUS-MC2_WD_LIMIT", 100)


def test_ten_updates_a_second(bench):
    angle = bench.client.monitor(bench.plant.prefix + "SUS-MC1_ANGLE")
    bench.put("SUS-MC1_KICK", 20)
    eventually(lambda: len(angle.events) > 10, timeout_s=60, what="ten steps")
    seconds = angle.events[10].stamp_utc - angle.events[0].stamp_utc
    assert 0.5 < seconds < 5, "1.0 s, or more on a loaded machine"


@pytest.mark.parametrize("kind", PLANTS, ids=lambda kind: kind.__name__)
def test_it_ends_cleanly_and_will_not_share_a_port(kind):
    with CaprotoPlant() as first:
        argv = [sys.executable, "-m", kind.module, "--port", str(first.port)]
        with Child(argv, env=ca_env(first.port), cwd=REPO) as second:
            assert second.wait(60) == 2
            assert f"port {first.port}: another program" in second.output
    with kind(port=free_port()) as plant:
        plant.child.signal(signal.SIGTERM)
        assert plant.child.wait(60) == 0
        assert "Traceback" not in plant.child.output
