"""Locks the cavity IMC, and locks it again whenever it is lost.

    INIT ---> DOWN ---> ACQUIRE ---> LOCKED <---> BOOSTED         from anywhere to DOWN (a goto state),
               ^                                                  and, when the lock is lost, to LOCKLOSS
               +--- LOCKLOSS

The nodes SUS_MC1 to SUS_MC3 align the mirrors; this one only looks at the light. It is managed by IFO: after a jump it
stays in LOCKLOSS until IFO revives it. Without a manager it goes on by itself.
"""

from guardian import GuardState, GuardStateDecorator

prefix = 'IMC'                  # ezca['TRANS'] is X1:IMC-TRANS

request = 'BOOSTED'
nominal = 'BOOSTED'

FLASHES = 8.0       # mW, aligned mirrors flash up to 10 without lock
GOOD_POWER = 80.0   # mW, of 100


def is_locked():
    return ezca['LOCKED'] == 1


class lock_check(GuardStateDecorator):
    """Put on a method, jumps to LOCKLOSS when the cavity has lost its lock."""

    def pre_exec(self):
        if not is_locked():
            return 'LOCKLOSS'


class INIT(GuardState):
    """Finds out whether the cavity is locked, so that a node that is restarted does not break the lock."""
    index = 0
    request = False

    def main(self):
        if is_locked():
            return 'BOOSTED' if ezca['BOOST_SW'] else 'LOCKED'
        return True


class LOCKLOSS(GuardState):
    """The lock was lost. Says so, waits until the ringing is over, and goes on to DOWN."""
    index = 2
    request = False
    redirect = False        # the next state, DOWN, is a goto state: without this, main() would never be called

    def main(self):
        log('lost the lock, residual length %.1f nm', ezca['ERR'])
        self.timer['ringing'] = 1

    def run(self):
        return self.timer['ringing']


class DOWN(GuardState):
    """Servo off. The first thing to ask for when something looks wrong."""
    index = 10
    goto = True

    def main(self):
        ezca['BOOST_SW'] = 'OFF'    # the lock cannot be caught with the boost on
        ezca['LOCK_SW'] = 'OFF'
        return True


class ACQUIRE(GuardState):
    """Waits for light, then switches the servo on and waits for it to catch."""
    index = 20
    request = False

    def main(self):
        self.servo_is_on = False

    def run(self):
        if is_locked():
            return True
        if ezca['TRANS'] < FLASHES:
            notify('no flashes: waiting for the mirrors SUS_MC1, SUS_MC2, SUS_MC3 to be ALIGNED')
        elif not self.servo_is_on:
            ezca['LOCK_SW'] = 'ON'
            self.servo_is_on = True


class LOCKED(GuardState):
    """Locked, without boost. Complete once the power has come up and stayed."""
    index = 100

    @lock_check
    def main(self):
        ezca['BOOST_SW'] = 'OFF'
        self.timer['settled'] = 2

    @lock_check
    def run(self):
        return self.timer['settled'] and ezca['TRANS'] > GOOD_POWER


class BOOSTED(GuardState):
    """Locked, with three times the gain: this is how the cavity is used."""
    index = 200

    @lock_check
    def main(self):
        ezca['BOOST_SW'] = 'ON'
        self.timer['settled'] = 1

    @lock_check
    def run(self):
        if ezca['TRANS'] < GOOD_POWER:
            notify('the transmitted power is low: see how the mirrors are aligned')
        return self.timer['settled'] and ezca['TRANS'] > GOOD_POWER


edges = [
    ('INIT', 'DOWN'),
    ('LOCKLOSS', 'DOWN'),
    ('DOWN', 'ACQUIRE'),
    ('ACQUIRE', 'LOCKED'),
    ('LOCKED', 'BOOSTED'),
    ('BOOSTED', 'LOCKED'),
]
