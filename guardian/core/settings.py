"""What a node is started with, and what it is limited by; and a transition on its way. Plain values."""

from __future__ import annotations

from dataclasses import dataclass

from guardian.core.deaths import RestartPolicy
from guardian.enums import LogLevel, Mode, Op, Restart, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The times and counts of a node; a site file or the system may set them. Seconds, unless named otherwise."""

    redirect_timeout_s: float = 2.0
    stop_timeout_s: float = 1.0
    restart: Restart = Restart.ON_FAILURE
    restarts: int = 3
    restart_window_s: float = 60.0
    restart_delay_s: float = 0.5  #: before the first restart; twice as long before each further one in the window
    restart_delay_max_s: float = 30.0
    slow_after_s: float = 300.0  #: a call that takes longer is told (EXECTIME, WHY); 0: none is
    watchdog_s: float = 0.0  #: a call that takes longer has hung: its worker is killed; 0: none has
    connect_alarm_s: float = 10.0
    load_timeout_s: float = 60.0
    start_timeout_s: float = 300.0  #: as many nodes start at once, and their imports share the processor
    cycle_s: float = 1 / 16
    log_level: LogLevel = LogLevel.INFO  #: the least that is written, where nobody has said otherwise

    @property
    def restarting(self) -> RestartPolicy:
        """What is done about a worker that died."""
        return RestartPolicy(
            restart=self.restart,
            restarts=self.restarts,
            window_s=self.restart_window_s,
            delay_s=self.restart_delay_s,
            delay_max_s=self.restart_delay_max_s,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """The settings a node starts with (R1, R21). ``request``, ``spm_monitor``, ``spm_notify`` None: the module's;
    ``log_level`` None: that of the limits."""

    op: Op = Op.EXEC
    op_by: str = ""
    mode: Mode = Mode.AUTO
    mode_by: str = ""
    manager: str = ""
    request: str | None = None
    request_by: str = ""
    request_cmd: str = ""
    request_id: int = 0
    event_id: int = 0
    spm_monitor: bool | None = None
    spm_notify: bool | None = None
    log_level: LogLevel | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Going:
    """A transition on its way. ``to`` None: to the TARGET of the moment it happens."""

    to: str | None
    via: Status | None
    why: str
