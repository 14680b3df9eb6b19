"""The simulated optics table: three suspended mirrors, one cavity, and the table of their PVs. Pure: no clock, no CA.

Theory
------
A **mirror** hangs as a pendulum of 0.7 Hz that rings for many seconds when nothing damps it. Its angle follows the
alignment drive (a low-passed ALIGN_OFFSET) through that resonance. The damping loop takes energy out in proportion to
its gain. The watchdog compares the motion, the rms of velocity / resonance frequency, with WD_LIMIT; above it, it
latches and holds both switches OFF, until an operator resets it, which it accepts below half of the limit.

The **cavity** transmits as a product of gaussians of the three angle errors. Without lock one sees a tenth of that (the
flashes). The lock catches when the servo is on, the boost off, the mirrors are aligned and the length is quiet for a
second; it is lost when the residual length leaves the line (1 nm) or the alignment is gone. The servo divides length
noise by 10, with boost by 30: a kick of 20 nm breaks an unboosted lock, and a boosted one survives it.

The difference equations (semi-implicit Euler, 0.1 s) are those of the calc records in ``db/``; whoever changes one
changes the other. One test file runs on both. Numbers that are not finite count as zero, so no client can poison the
state with a NaN.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

STEP_S = 0.1
DRIVE_RATE = 1.0  # 1/s, the low pass between ALIGN_OFFSET and the actuator
RESONANCE = 4.4  # rad/s
FRICTION = 0.4  # 1/s, all the damping there is without the loop
DAMPING = 3.0  # 1/s for each unit of DAMP_GAIN
RMS_RATE = 2.0  # 1/s, the averaging of MOTION
COLD_SWING = 60.0  # urad/s, how a mirror moves when the plant starts

BEST_OFFSETS = {"MC1": 31.3, "MC2": -40.6, "MC3": 18.2}  # urad, where the cavity is aligned; not served on purpose
ALIGNED_WIDTH = 10.0  # urad
FLASH_POWER, LOCKED_POWER = 10.0, 100.0  # mW
CATCH_ALIGNMENT, HOLD_ALIGNMENT = 0.7, 0.3
CATCH_LENGTH, LINE_WIDTH = 10.0, 1.0  # nm
CATCH_RATE = 1.0  # 1/s

OFF_ON = ("OFF", "ON")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One PV of the plant. The attribute of the model that holds its value is its name in lower case."""

    name: str
    text: str
    labels: tuple[str, ...] = ()  # not empty: an enum
    alarm: str = ""  # the label that is a MAJOR alarm
    units: str = ""
    low: float = 0.0
    high: float = 0.0
    precision: int = 2
    deadband: float = 0.0  # a readback is published when it has moved by more
    writable: bool = False


MIRROR_ROWS = (
    Row(name="ALIGN_SW", labels=OFF_ON, writable=True, text="Alignment actuation"),
    Row(name="ALIGN_OFFSET", units="urad", low=-500, high=500, writable=True, text="Alignment offset"),
    Row(name="ALIGN_DRIVE", units="urad", low=-500, high=500, deadband=0.01, text="Where the actuator is now"),
    Row(name="ANGLE", units="urad", low=-1000, high=1000, deadband=0.01, text="Angle of the mirror"),
    Row(name="MOTION", units="urad", low=0, high=1000, deadband=0.01, text="Motion of the mirror, rms"),
    Row(name="DAMP_SW", labels=OFF_ON, writable=True, text="Damping loop"),
    Row(name="DAMP_GAIN", low=0, high=3, writable=True, text="Gain of the damping loop"),
    Row(name="WD_STATE", labels=("ARMED", "TRIPPED"), alarm="TRIPPED", text="Watchdog"),
    Row(name="WD_LIMIT", units="urad", low=1, high=1000, writable=True, text="Motion that trips the watchdog"),
    Row(name="WD_RESET", labels=("IDLE", "RESET"), writable=True, text="Reset the watchdog once motion is small"),
    Row(name="KICK", units="urad", low=-1000, high=1000, writable=True, text="Kick the mirror once by this much"),
)
CAVITY_ROWS = (
    Row(name="LOCK_SW", labels=OFF_ON, writable=True, text="Length servo"),
    Row(name="BOOST_SW", labels=OFF_ON, writable=True, text="Boost of the length servo"),
    Row(name="LOCKED", labels=("NO", "YES"), text="Cavity is locked"),
    Row(name="TRANS", units="mW", low=0, high=120, deadband=0.01, text="Transmitted power"),
    Row(name="ERR", units="nm", low=-2000, high=2000, precision=3, deadband=0.001, text="Residual length error"),
    Row(name="KICK", units="nm", low=-1000, high=1000, writable=True, text="Kick the cavity length once"),
)
TABLE_ROWS = (Row(name="SEIS", units="urad", low=0, high=100, writable=True, text="Ground motion, kick per step"),)


def finite(value: float) -> float:
    """The value, or 0 where it is no number."""
    return value if math.isfinite(value) else 0.0


@dataclass(slots=True)
class Mirror:
    """A suspended mirror."""

    align_sw: int = 0
    align_offset: float = 0.0
    align_drive: float = 0.0
    angle: float = 0.0
    motion: float = 0.0
    damp_sw: int = 0
    damp_gain: float = 1.0
    wd_state: int = 0
    wd_limit: float = 100.0
    wd_reset: int = 0
    kick: float = 0.0
    velocity: float = COLD_SWING
    _square: float = 0.0

    def step(self, shake: float) -> None:
        """Go on by STEP_S. `shake` is the kick of the ground in this step, urad."""
        target = finite(self.align_offset) if self.align_sw else 0.0
        self.align_drive += STEP_S * DRIVE_RATE * (target - self.align_drive)

        friction = FRICTION + (DAMPING * finite(self.damp_gain) if self.damp_sw else 0.0)
        force = RESONANCE**2 * (self.align_drive - self.angle) - friction * self.velocity
        self.velocity += STEP_S * force + RESONANCE * (finite(self.kick) + shake)
        self.kick = 0.0
        self.angle += STEP_S * self.velocity

        self._square += STEP_S * RMS_RATE * ((self.velocity / RESONANCE) ** 2 - self._square)
        self.motion = math.sqrt(self._square)

        if self.wd_reset and self.motion < self.wd_limit / 2:
            self.wd_state = 0
        elif not self.motion < self.wd_limit:  # a limit that is no number trips
            self.wd_state = 1
        self.wd_reset = 0
        if self.wd_state:
            self.damp_sw = self.align_sw = 0


@dataclass(slots=True)
class Cavity:
    """The cavity between the three mirrors."""

    lock_sw: int = 0
    boost_sw: int = 0
    locked: int = 0
    trans: float = 0.0
    err: float = 0.0
    kick: float = 0.0
    _length: float = 0.0
    _caught: float = 0.0

    def step(self, alignment: float, shake: float) -> None:
        """Go on by STEP_S. `alignment` is 1 when perfect, `shake` the length change by the ground in this step, nm."""
        self._length = 0.8 * self._length + finite(self.kick) + shake
        self.kick = 0.0
        suppression = (30 if self.boost_sw else 10) if self.locked else 1
        self.err = self._length / suppression

        quiet = self.lock_sw and not self.boost_sw and alignment > CATCH_ALIGNMENT and abs(self.err) < CATCH_LENGTH
        self._caught = min(1.0, self._caught + STEP_S * CATCH_RATE) if quiet else 0.0
        if self.locked:
            self.locked = int(bool(self.lock_sw) and alignment > HOLD_ALIGNMENT and abs(self.err) < LINE_WIDTH)
        else:
            self.locked = int(self._caught > 0.95)

        power = alignment * (LOCKED_POWER if self.locked else FLASH_POWER)
        self.trans += 0.3 * (power - self.trans)


@dataclass(slots=True)
class OpticsTable:
    """Everything on the table.

    Parameters
    ----------
    noise : a source of uniform numbers in [0, 1), as ``random.random``.
    """

    noise: Callable[[], float] = random.random
    seis: float = 0.2
    mirrors: dict[str, Mirror] = field(default_factory=lambda: {name: Mirror() for name in BEST_OFFSETS})
    cavity: Cavity = field(default_factory=Cavity)

    @property
    def alignment(self) -> float:
        """What fraction of the light the alignment of the three mirrors lets through."""
        errors = (self.mirrors[name].angle - best for name, best in BEST_OFFSETS.items())
        return math.exp(-sum(error**2 for error in errors) / (2 * ALIGNED_WIDTH**2))

    def step(self) -> None:
        """Go on by STEP_S."""
        for mirror in self.mirrors.values():
            mirror.step(self._shake())
        self.cavity.step(self.alignment, 2 * self._shake())

    def _shake(self) -> float:
        return finite(self.seis) * (2 * self.noise() - 1)

    def channels(self) -> Iterator[tuple[str, Row, object]]:
        """Every PV: its name without the prefix of the site, its row, and the part of the model that holds it."""
        for name, mirror in self.mirrors.items():
            for row in MIRROR_ROWS:
                yield f"SUS-{name}_{row.name}", row, mirror
        for row in CAVITY_ROWS:
            yield f"IMC-{row.name}", row, self.cavity
        for row in TABLE_ROWS:
            yield f"PEM-{row.name}", row, self
