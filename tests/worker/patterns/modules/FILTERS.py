"""Filter modules of LIGO's front ends in all the ways of the field: switch(), get_LIGOFilter(), ramps, is_ramping()."""

from ezca import Ezca, EzcaConnectError
from filters_lib import Damping, wait_for_ramps
from guardian import GuardState, GuardStateDecorator

prefix = 'SUS'
request = 'DAMPED'
nominal = 'DAMPED'
OPTIC = 'MC1'


class is_reached(GuardStateDecorator):
    def pre_exec(self):
        if not isinstance(ezca, Ezca):
            notify('no Ezca')
            return 'DOWN'


class DOWN(GuardState):
    goto = True

    def main(self):
        self.filt = ezca.get_LIGOFilter(OPTIC)
        self.filt.ramp_gain(0, ramp_time=0, wait=False)
        self.filt.all_off()
        return True


class DAMPED(GuardState):
    @is_reached
    def main(self):
        ezca.switch(OPTIC, 'INPUT', 'FM1', 'FM4', 'ON', 'FM2', 'OFF')
        self.damping = Damping(OPTIC)
        self.damping.engage()
        self.timer['ramp'] = 0.1

    @is_reached
    def run(self):
        filt = ezca.get_LIGOFilter(OPTIC)
        if not self.timer['ramp'] or not wait_for_ramps(filt):
            return
        found = [filt.GAIN.get(), filt.OFFSET.get(), ezca[OPTIC + '_TRAMP'], sorted(ezca.switch(OPTIC))]
        notify('damped %s' % found)
        return filt.is_on('OUTPUT') and filt.is_requested('FM1')


class RAMPS(GuardState):
    def main(self):
        log('ramping')
        ezca.get_LIGOFilter(OPTIC).ramp_gain(100, ramp_time=6, wait=True)
        return True


class WRONG(GuardState):
    def main(self):
        ezca.switch(OPTIC, 'FM11', 'ON')


class CATCHES(GuardState):
    def main(self):
        try:
            ezca.switch('NO-SUCH', 'FM1', 'ON')
        except EzcaConnectError as error:
            notify('caught %s' % type(error).__name__)

    def run(self):
        return True


edges = [
    ('INIT', 'DOWN'),
    ('DOWN', 'DAMPED'),
    ('DAMPED', 'RAMPS'),
    ('DAMPED', 'WRONG'),
    ('DAMPED', 'CATCHES'),
]
