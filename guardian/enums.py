"""Every enumeration, with its frozen groups. A leaf: imports nothing of ours.

Numbers are those of the field (`STATUS`, `OP`, `MODE`, `ERROR`, `LOAD_STATUS` go over the wire as CA enums and are
recorded by number), so they never change.
"""

from __future__ import annotations

from enum import Enum, IntEnum


class Op(IntEnum):
    """What the operator lets the node do."""

    STOP = 0
    PAUSE = 1
    EXEC = 2


class Mode(IntEnum):
    """Who decides where the node goes."""

    AUTO = 0
    MANAGED = 1
    MANUAL = 2


class Status(IntEnum):
    """Where the node stands in its present state."""

    ENTER = 0
    MAIN = 1
    RUN = 2
    DONE = 3
    JUMP = 4
    REDIRECT = 5
    EDGE = 6
    INIT = 7


class Worker(IntEnum):
    """The process that runs user code."""

    INIT = 0
    RUN = 1
    PAUSE = 2
    STOP = 3
    DEAD = 4


class LoadStatus(IntEnum):
    """What became of the last reading of the user's code."""

    DONE = 0
    REQUEST = 1
    SET = 2
    INPROGRESS = 3
    ERROR = 4


class ErrorKind(IntEnum):
    """Why user code is not being executed. 2 is unused, as in the field."""

    NONE = 0
    ERROR = 1
    CONNECT = 3


class Connect(IntEnum):
    """Whether the channels that user code needs are there."""

    OK = 0
    LOST = 1


class Severity(IntEnum):
    """EPICS alarm severities."""

    NO_ALARM = 0
    MINOR = 1
    MAJOR = 2
    INVALID = 3


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
