import time

from ezca import Ezca


class Damping:
    """Makes its own channels, as helper libraries of the field do."""

    def __init__(self, optic):
        self.optic = optic
        self.ezca = Ezca('SUS-' + optic)

    def engage(self):
        filt = self.ezca.LIGOFilter('')
        filt.TRAMP.put(0.5)
        filt.RSET.put(2)
        ezca.switch(self.optic, 'OFFSET', 'OUTPUT', 'ON')
        ezca.get_LIGOFilter(self.optic).ramp_offset(2.5, ramp_time=0.2, wait=True)
        self.ezca['GAIN'] = -1


def wait_for_ramps(filt):
    return not (filt.is_gain_ramping() or filt.is_offset_ramping())
