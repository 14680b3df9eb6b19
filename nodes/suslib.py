"""What the three suspension nodes have in common: every state, the edges between them, and the watchdog check.

A node module is one line, ``from suslib import *``. Which mirror it works on comes from SYSTEM, the name of the node:
SUS_MC1 talks to the channels X1:SUS-MC1_... Written this way, a mirror more is a file of one line.

        INIT ---> SAFE ---> DAMPED <---> ALIGNED          from anywhere to SAFE (a goto state),
                              ^             ^             and, when the watchdog trips, to TRIPPED
                              |             v
                              +------> MISALIGNED
"""

from guardian import GuardState, GuardStateDecorator

OPTIC = SYSTEM.split('_')[1]    # SUS_MC1 -> MC1
prefix = 'SUS-' + OPTIC         # ezca['ANGLE'] is X1:SUS-MC1_ANGLE

request = 'ALIGNED'             # where a node goes when it starts
nominal = 'ALIGNED'             # where it shall be when all is well

# The offsets of the last good alignment, in urad: those that made X1:IMC-TRANS largest.
ALIGNED_OFFSET = {'MC1': 31.0, 'MC2': -40.0, 'MC3': 18.5}[OPTIC]
MISALIGNED_OFFSET = ALIGNED_OFFSET + 60.0

QUIET = 2.0         # urad rms, a mirror that moves less is damped
ON_TARGET = 3.0     # urad, a mirror that is closer has arrived


def is_tripped():
    return ezca['WD_STATE'] == 1        # an enum is read as its number: 0 ARMED, 1 TRIPPED


def has_settled_at(offset):
    return abs(ezca['ANGLE'] - offset) < ON_TARGET and ezca['MOTION'] < QUIET


def align_to(offset):
    # First where to, then on: the other order would push the mirror to the old offset.
    ezca['ALIGN_OFFSET'] = offset
    ezca['ALIGN_SW'] = 'ON'


class watchdog_check(GuardStateDecorator):
    """Put on a method, looks at the watchdog before each call of it, and jumps to TRIPPED when it has tripped."""

    def pre_exec(self):
        if is_tripped():
            return 'TRIPPED'


class damping_check(GuardStateDecorator):
    """Jumps to SAFE when the damping is off in a state that needs it: its IOC was rebooted, or a person did it."""

    def pre_exec(self):
        if not ezca['DAMP_SW']:
            return 'SAFE'


class INIT(GuardState):
    """Finds out what the hardware is doing, so that a node that is restarted disturbs nothing."""
    index = 0
    request = False

    @watchdog_check
    def main(self):
        if ezca['DAMP_SW'] and ezca['ALIGN_SW'] and has_settled_at(ALIGNED_OFFSET):
            return 'ALIGNED'
        return True         # anything else: along the edges, by way of SAFE


class TRIPPED(GuardState):
    """The watchdog has switched the actuators off. Waits until a person has reset it.

    A node that is managed stays here all the same, until its manager revives it.
    """
    index = 5
    request = False
    redirect = False        # SAFE is a goto state: without this a request would leave before anybody has looked

    def run(self):
        if not is_tripped():
            return True
        wait_for = 0.4 * ezca['WD_LIMIT']   # the watchdog refuses a reset above half of its limit
        if ezca['MOTION'] > wait_for:
            # Where to look, not the number itself: each new text is a new message in the log.
            notify(f'watchdog tripped: wait until {ezca.prefix}MOTION is below {wait_for:.0f} urad')
        else:
            notify(f'watchdog tripped, {OPTIC} is quiet now: caput {ezca.prefix}WD_RESET 1')


class SAFE(GuardState):
    """All actuators off. The first thing to ask for when something looks wrong."""
    index = 10
    goto = True             # an edge from every other state, and taken at once

    @watchdog_check
    def main(self):
        ezca['ALIGN_SW'] = 'OFF'
        ezca['DAMP_SW'] = 'OFF'
        return True

    @watchdog_check
    def run(self):
        return True


class DAMPED(GuardState):
    """Damping on, alignment off."""
    index = 20

    @watchdog_check
    def main(self):
        ezca['ALIGN_SW'] = 'OFF'
        ezca['DAMP_GAIN'] = 1.0
        ezca['DAMP_SW'] = 'ON'

    @watchdog_check
    @damping_check
    def run(self):
        return ezca['MOTION'] < QUIET


class MISALIGNED(GuardState):
    """Damped, and turned well away, so that the cavity does not see this mirror."""
    index = 40

    @watchdog_check
    def main(self):
        align_to(MISALIGNED_OFFSET)

    @watchdog_check
    @damping_check
    def run(self):
        return has_settled_at(MISALIGNED_OFFSET)


class ALIGNED(GuardState):
    """Damped, and turned to where the cavity wants it."""
    index = 50

    @watchdog_check
    def main(self):
        align_to(ALIGNED_OFFSET)

    @watchdog_check
    @damping_check
    def run(self):
        # Called 16 times a second for as long as the node is here, so this is also what watches the mirror.
        return has_settled_at(ALIGNED_OFFSET)


edges = [
    ('INIT', 'SAFE'),
    ('SAFE', 'DAMPED'),
    ('DAMPED', 'ALIGNED'),
    ('DAMPED', 'MISALIGNED'),
    ('ALIGNED', 'DAMPED'),
    ('ALIGNED', 'MISALIGNED'),
    ('MISALIGNED', 'DAMPED'),
    ('MISALIGNED', 'ALIGNED'),
]
