"""Every enumeration, with its frozen groups. A leaf: imports nothing of ours.

Numbers are those of the field (`STATUS`, `OP`, `MODE`, `ERROR`, `LOAD_STATUS` go over the wire as CA enums and are
recorded by number), so they never change. What stands behind ``#:`` is printed in the manual, for operators.
"""

from __future__ import annotations

from enum import Enum, IntEnum


class Op(IntEnum):
    """What the operator lets the node do."""

    STOP = 0  #: no worker: nothing of the code runs
    PAUSE = 1  #: the worker waits: no method is called, timers run on
    EXEC = 2  #: the code runs


class Mode(IntEnum):
    """Who decides where the node goes."""

    AUTO = 0  #: its graph, towards REQUEST
    MANAGED = 1  #: its graph, but after a jump it holds and waits for its manager
    MANUAL = 2  #: a person: REQUEST is entered directly, edges do not count


class Status(IntEnum):
    """Where the node stands in its present state."""

    ENTER = 0  #: the state has been entered, main() is about to be called
    MAIN = 1  #: main() runs
    RUN = 2  #: run() is called; the state is not complete, or not the one requested
    DONE = 3  #: the state that was requested is complete; run() is called on
    JUMP = 4  #: it leaves: a method returned the name of a state
    REDIRECT = 5  #: it leaves for a goto state, or in MANUAL, without waiting for completion
    EDGE = 6  #: it leaves: the state is complete, and TARGET comes next
    INIT = 7  #: the worker starts, and reads the code


class Worker(IntEnum):
    """The process that runs user code."""

    INIT = 0  #: it starts, and reads the code
    RUN = 1  #: it is there
    PAUSE = 2  #: it is there, and calls nothing
    STOP = 3  #: there is none, on purpose or for want of code that loads
    DEAD = 4  #: it died; it is started again, unless it dies too often


class ProcessState(IntEnum):
    """How far a process has come. A start runs STARTED, BOOTING, LOADCFG, READY."""

    FAIL = 0  #: it ended without being asked, and is not started again
    STOPPED = 1  #: there is none: it was stopped, or is about to be started again
    STARTED = 2  #: it was asked for
    BOOTING = 3  #: it is there, and knows nothing yet
    LOADCFG = 4  #: it reads what it is to do: the user's code, a configuration
    READY = 5  #: it has said that it works


class Recovery(Enum):
    """What is done about a watched thread that is late."""

    PROCESS = "process"  #: its process has failed, and is restarted as the policy says
    THREAD = "thread"  #: first the thread, or the pool, is made anew; its process fails if that does not help
    REPORT = "report"  #: it is told, and nothing else


class Restart(Enum):
    """Whether a process that has ended without being asked is started again."""

    NEVER = "never"
    ON_FAILURE = "on-failure"  #: until it has died too often
    ALWAYS = "always"  #: however often


class Pulse(Enum):
    """What a hub thinks of a process that it watches from outside."""

    BEATING = "beating"  #: heartbeats come, and its counter moves
    STALLED = "stalled"  #: heartbeats come, but its counter stands: its loop hangs
    SILENT = "silent"  #: no heartbeat comes
    RESTARTED = "restarted"  #: another process sends under its name; it has not been seen to beat yet
    STOPPED = "stopped"  #: it has said that it stops
    FAILED = "failed"  #: it says so itself


class LoadStatus(IntEnum):
    """What became of the last reading of the user's code."""

    DONE = 0  #: the code that was read last is in force
    REQUEST = 1  #: somebody has written LOAD
    SET = 2  #: the new code is good; the worker takes it when no method is running
    INPROGRESS = 3  #: the code is being read; at a LOAD by a process of its own
    ERROR = 4  #: it does not load, or lacks the present STATE or REQUEST; the old code, if there is any, runs on


class ErrorKind(IntEnum):
    """Why user code is not being executed. 2 is unused, as in the field."""

    NONE = 0  #: it is being executed
    ERROR = 1  #: it raised an exception, or does not load; LOAD or REENTER, once it is mended
    CONNECT = 3  #: it waits for a channel, and goes on by itself


class Connect(IntEnum):
    """Whether the channels that user code needs are there."""

    OK = 0  #: they are
    LOST = 1  #: CONNECT_S says which are not


class Severity(IntEnum):
    """EPICS alarm severities."""

    NO_ALARM = 0  #: all is well
    MINOR = 1  #: look at it when you can
    MAJOR = 2  #: look at it now
    INVALID = 3  #: the value is not known any more


class LogLevel(IntEnum):
    """What a line of the log is; on LOGLEVEL: the least that is written."""

    DEBUG = 0  #: for whoever looks for a fault in the code
    INFO = 1  #: what happens, and what code prints
    WARNING = 2  #: look at it when you can; also what code writes on stderr
    ERROR = 3  #: something has failed
    CRITICAL = 4  #: as code says it; the guardian itself does not


class OnComplete(Enum):
    """What a worker does after its state has completed."""

    KEEP = "keep"  #: go on calling run(), report when the outcome changes
    WAIT = "wait"  #: report, then wait for the next word


class Call(Enum):
    """The method a report speaks of."""

    MAIN = "main"
    RUN = "run"


#: Modes in which the node follows its graph by itself.
FOLLOWS_GRAPH = frozenset({Mode.AUTO, Mode.MANAGED})
#: Statuses in which the node is on its way out of the present state.
LEAVING = frozenset({Status.JUMP, Status.REDIRECT, Status.EDGE})
#: Worker phases in which a process exists.
ALIVE = frozenset({Worker.INIT, Worker.RUN, Worker.PAUSE})

#: A REQUEST that asks for nothing, and its reserved index.
NONE_STATE = "NONE"
NONE_INDEX = -1
#: The state every node starts in.
INIT_STATE = "INIT"
