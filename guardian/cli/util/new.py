"""``guardutil new NAME``: a system to begin with. It runs as it is, touches no channel, and passes the check."""

from __future__ import annotations

import argparse
from pathlib import Path

from guardian.cli.orders import Order
from guardian.cli.output import FAILED, OK
from guardian.cli.util import say
from guardian.core.names import check_name
from guardian.worker.finding import search_paths

TEMPLATE = '''\
"""What {name} is for, in one line.

    INIT ---> DOWN ---> STARTING ---> RUNNING         and from anywhere to DOWN, a goto state

Check it:  guardutil check {name}        Draw it:  guardutil graph {name} -o {name}.svg
Run it:    guardian {name}
"""

from guardian import GuardState, GuardStateDecorator

# prefix = 'SUS'        # of the channels: ezca['GAIN'] is then <IFO>:SUS-GAIN
request = 'RUNNING'     # where the node goes when it starts
nominal = 'RUNNING'     # where it should be; the PV OK tells

# Always there, without an import:
#   ezca['GAIN'], ezca['GAIN'] = 3      read a channel, write it; only in the methods below
#   log('gain is %s', gain)             a line in the log of the node
#   notify('no light')                  tells the operator, for as long as it is called
#   SYSTEM, IFO                         the name of this node, the first part of channel names


def is_well():
    """Whether the machine works. Here goes a look at your channels."""
    return True


class fault_check(GuardStateDecorator):
    """Is called before each method it is put on. The name of a state takes the node there."""

    def pre_exec(self):
        if not is_well():
            return 'DOWN'


class INIT(GuardState):
    """Where a node starts. Finds out how the machine was left, and touches nothing."""
    index = 0                       # the number of the state, unique in this file
    request = False                 # not in the menu of requests

    def main(self):                 # called once, when the state is entered
        return True                 # True: complete. False: not yet. 'NAME': jump there


class DOWN(GuardState):
    """Everything off. The first thing to ask for when something looks wrong."""
    index = 10
    goto = True                     # can be reached from everywhere, and without waiting

    def main(self):
        log('switching off')
        return True


class STARTING(GuardState):
    """Switches on, and waits until it has settled."""
    index = 20
    request = False

    @fault_check
    def main(self):
        log('switching on')
        self.timer['settled'] = 1   # a timer of one second; do not sleep, stay free to leave

    @fault_check
    def run(self):                  # called after main(), then 16 times a second
        return self.timer['settled']    # True when the timer is over


class RUNNING(GuardState):
    """The machine works. run() goes on being called while the node rests here."""
    index = 100

    @fault_check
    def run(self):
        return True


# Where one can go from where, and at what weight (1 if not said). The cheapest way is taken.
edges = [
    ('INIT', 'DOWN'),
    ('DOWN', 'STARTING'),
    ('STARTING', 'RUNNING'),
]
'''


def define(order: Order) -> None:
    """What it takes."""
    order.description = "Write the module NAME.py, a system to begin with."
    order.add_argument("name", metavar="NAME", help="name of the node")
    order.add_argument(
        "--path", "--dir", type=Path, default=Path(), metavar="DIR", help="where to (default: the present folder)"
    )
    order.set_defaults(run=_new)


def _new(options: argparse.Namespace) -> int:
    check_name(options.name)
    file: Path = options.path / f"{options.name}.py"
    try:
        with file.open("x", encoding="utf-8") as new:  # "x" never writes over a file, not even one made just now
            new.write(TEMPLATE.format(name=options.name))
    except FileExistsError:
        say(f"{file} is there already and stays as it is; choose another name, or take it away")
        return FAILED
    except OSError as error:
        say(f"{file} cannot be written: {error.strerror}")
        return FAILED
    known = str(file.parent.absolute()) in (search_paths() or (str(Path.cwd()),))
    where = "" if known else f" --path {options.path}"
    print(f"{file} is written. Check it: guardutil check {options.name}{where}; run it: guardian {options.name}{where}")
    return OK
