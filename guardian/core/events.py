"""What the automaton is told, and what it asks for.

Three groups of frozen records, and nothing else crosses the walls of the automaton:

* **inputs** (`Input`): what a person, the network, a deadline or the host did;
* **reports** and **commands**: the two directions of the link to the worker, which carries them as they are
  (``worker/link.py``). A report reaches the automaton inside
  :class:`Heard`, with the generation it comes from;
* **actions** (`Action`): what the host must do now, in order. Commands are actions.

An *entry* is one stay in one state: a number that rises with every entering, so that a word about an earlier stay is
recognised and dropped. A *generation* is one worker process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from guardian.core.graph import SystemFacts
from guardian.core.peer import BondFacts
from guardian.core.setpoints import Difference, Setpoint
from guardian.core.sources import SourceFile
from guardian.core.threads import Watched
from guardian.core.view import Subnode, View
from guardian.enums import Call, ErrorKind, LogLevel, Mode, OnComplete, Op, ProcessState, Status


class Now(NamedTuple):
    """An instant: ``mono`` seconds for deadlines, ``epoch`` seconds for people."""

    mono: float
    epoch: float


# --- inputs -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SetOp:
    op: Op
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetMode:
    mode: Mode
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetManager:
    manager: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Requested:
    """A REQUEST write. The name has been checked: a state of the graph, or NONE.

    ``cmd``: the id of the REQUEST_CMD it came by, "" for a write of the plain PV.
    """

    state: str
    by: str
    cmd: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reenter:
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetFailed:
    """A write of RESET_FAILED=1. It has been checked: the node has failed."""

    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartAsked:
    """Somebody wants a new worker with new code, while the settings stay. It has been checked: OP is not STOP."""

    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadAsked:
    """A write of LOAD=1."""

    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetSpm:
    """A switch of the set-point monitor was written; None: the other one."""

    monitor: bool | None = None
    notify: bool | None = None
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetLogLevel:
    """A write of LOGLEVEL."""

    level: LogLevel
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A write that was not accepted: told to the operator, changes nothing else."""

    pv: str
    value: str
    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """The host has put the node up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Elapsed:
    """The deadline the automaton asked for has passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """The worker of that generation is dead and reaped (or could not be started).

    ``innocent``: it went with the process that keeps the workers of all nodes, which says nothing about this node.
    """

    gen: int
    reason: str
    innocent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck:
    """The worker of that generation has hung: a watched thread is late, or a call outlasts its watchdog.

    ``why``: which of them, a clause for "worker died: ...".
    """

    gen: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Slow:
    """A call of user code takes long, or one that did has ended. Told again each time it has lasted twice as long.

    Parameters
    ----------
    call : the method; None: what was told of has ended. seconds : how long it has been running by now.
    """

    gen: int
    entry: int
    call: Call | None
    seconds: float


# --- reports: worker to host ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    facts: SystemFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadFailed:
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The user's files that are imported now, as they were compiled. Told just before what they belong to is.

    Parameters
    ----------
    more : what follows belongs to the same. late : nothing was loaded; a method has imported them.
    """

    files: tuple[SourceFile, ...]
    more: bool = False
    late: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reloading:
    """No method runs, and the new code is being imported now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reloaded:
    """The new code runs. ``left``: what the old code left behind, threads and open files, a phrase each."""

    facts: SystemFacts
    left: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadFailed:
    """The new code could not be imported after all; the old code runs on, as it was."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Began:
    """main() of the entry is being called now."""

    entry: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """A method has returned. ``outcome``: a str is a jump, else complete or not yet (R3)."""

    entry: int
    call: Call
    outcome: bool | str
    seq: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """A method has raised, or its return value cannot be used. ``channels``: those that are not connected."""

    entry: int
    call: Call
    kind: ErrorKind
    message: str
    channels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """The channels that a method missed are back; it is being called again (R13)."""

    entry: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """No method of that entry is running, and none will be called."""

    entry: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Notifications:
    """The texts that stand now: all of them, in the order in which they came."""

    entry: int
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Channels:
    """The channels that user code has used.

    Parameters
    ----------
    total : how many. met : full names of those that it has found there since it was told last.
    """

    total: int
    met: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """The channels that the present code has used and that are not connected now, whether or not it waits for them."""

    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnodes:
    """The nodes that user code manages or watches, all of them, as they are now."""

    subnodes: tuple[Subnode, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bonds:
    """What user code has asked of other nodes, all of it: to be given to the next worker (R21)."""

    bonds: tuple[BondFacts, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setpoints:
    """What user code has set since it was told last: to be given to the next worker. ``gone``: full names."""

    points: tuple[Setpoint, ...] = ()
    gone: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """The channels that are not as they were set: how many there are now, and the first of them."""

    count: int = 0
    first: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """How far the process has come: LOADCFG, READY."""

    state: ProcessState


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadsWatched:
    """The threads and pools of the process that are watched from now on, all of them."""

    threads: tuple[Watched, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hung:
    """The process has found out itself that it hangs, and is about to end. ``why``: as of :class:`Stuck`."""

    why: str


Report = (
    Loaded
    | LoadFailed
    | Sources
    | Reloading
    | Reloaded
    | ReloadFailed
    | Began
    | Returned
    | Raised
    | Connected
    | Left
    | Notifications
    | Channels
    | Lost
    | Subnodes
    | Bonds
    | Setpoints
    | Differences
    | Reached
    | ThreadsWatched
    | Hung
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    gen: int
    report: Report


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckBegan:
    """The process that checks the code has been started; it may have waited for its turn."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What the process says that was to check the code (:class:`Check`), or what is said for it if it died."""

    number: int
    report: Loaded | LoadFailed


Input = (
    SetOp
    | SetMode
    | SetManager
    | Requested
    | Reenter
    | ResetFailed
    | RestartAsked
    | LoadAsked
    | SetSpm
    | SetLogLevel
    | Refused
    | Begin
    | Elapsed
    | Gone
    | Stuck
    | Slow
    | Heard
    | CheckBegan
    | Checked
)

# --- commands: host to worker -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Enter:
    """Make a fresh instance of the state and call main(), then run()."""

    entry: int
    state: str
    on_complete: OnComplete


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What to do from now on when the entry completes."""

    entry: int
    on_complete: OnComplete


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Call run() once now and answer in any case, with this number."""

    entry: int
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """Call nothing more of that entry and answer Left. ``interrupt``: a method in progress is to end now."""

    entry: int
    interrupt: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Let the method in progress end, then call nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """Go on where Pause held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reload:
    """Between two methods: import the system anew and give the living instance its new class (R11)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """An import takes too long: interrupt it, so that it fails and says where it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """End the process; a method in progress is interrupted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """The switches of the set-point monitor; a new worker has both off. Obeyed also while a method runs."""

    monitor: bool
    notify: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Verbosity:
    """The least that goes to the log; a new worker is born with it. Obeyed also while a method runs."""

    level: LogLevel


Command = Enter | Policy | Judge | Leave | Pause | Resume | Reload | GiveUp | Stop | Watch | Verbosity

# --- actions ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Spawn:
    """Start a worker and have it load the system."""

    gen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """End that worker with force; ``Gone`` will tell when it is reaped."""

    gen: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Have a process import the system as it is on disk; tell when it starts (:class:`CheckBegan`) and what it says
    (:class:`Checked`)."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUpCheck:
    """:class:`GiveUp` for the process of that check."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EndCheck:
    """Nobody waits for that check any more: its process is to go."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tell:
    """A command for the worker of that generation."""

    gen: int
    command: Command


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the automaton (R23): publish, log and journal it under one id and one time stamp.

    Parameters
    ----------
    view : the node after the step; ``view.event_id`` and ``view.stamp`` are the step's.
    via : shown on STATUS for a moment before the view's own STATUS: how the node left the last state.
    kind : one word for the journal: request, op, mode, manager, enter, status, error, slow, load, worker, notify, spm,
        refused.
    text : the sentence for the log and the operator.
    by : who caused it, "" for the node itself.
    """

    view: View
    kind: str
    text: str
    by: str = ""
    via: Status | None = None


Action = Spawn | Kill | Check | GiveUpCheck | EndCheck | Tell | Step
