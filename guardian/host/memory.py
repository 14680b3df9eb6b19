"""What the code of one node has set, as the host keeps it: for the next worker, for the disk, and for the PVs.

A worker tells what is new, ten times a second at most; the node looks at it once a second. So a ramp over a hundred
channels writes the settings file once a second, and a host that is killed loses a second of what was set.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from guardian.core.documents import differences, setpoints
from guardian.core.events import Differences, Setpoints
from guardian.core.interface import Vitals
from guardian.core.setpoints import Setpoint
from guardian.host.settings import Settings

NONE = Differences()


class Memory:
    """The set points of one node, and what its worker has last said of them."""

    def __init__(self, points: Iterable[Setpoint]) -> None:
        self._points = {point.channel: point for point in points}
        self._unsaved = False
        self._differences = self._told = NONE
        self._setpoints_text: str | None = None
        self._differences_text = differences(0, ())

    @property
    def points(self) -> tuple[Setpoint, ...]:
        """What was set, the oldest first."""
        return tuple(self._points.values())

    def hear(self, report: Setpoints | Differences) -> None:
        """The worker has something to say."""
        if isinstance(report, Differences):
            self._differences = report
            return
        for channel in report.gone:
            self._points.pop(channel, None)
        self._points.update((point.channel, point) for point in report.points)
        self._unsaved, self._setpoints_text = True, None

    def save(self, settings: Settings) -> Settings:
        """The settings with what was set; the same ones, if nothing was."""
        if not self._unsaved:
            return settings
        self._unsaved = False
        return replace(settings, setpoints=self.points)

    def shown(self, vitals: Vitals, *, on: bool) -> Vitals:
        """What the PVs say. Nothing is compared while the monitor is not `on`."""
        if self._setpoints_text is None:
            self._setpoints_text = setpoints(self._points.values())
        now = self._differences if on else NONE
        if now != self._told:
            self._told, self._differences_text = now, differences(now.count, now.first)
        return replace(
            vitals,
            spm_total=len(self._points),
            spm_changed=now.count,
            spm_setpoints=self._setpoints_text,
            spm_diffs=self._differences_text,
        )
