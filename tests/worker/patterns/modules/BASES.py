"""Bases that are no states: lower-case ones that want arguments, underscored ones; a class three deep; super()."""

from bases_lib import *
from guardian import GuardState


class ENGAGE_PAY(engage_damping):
    def __init__(self, logfunc=None):
        super(ENGAGE_PAY, self).__init__(logfunc, dofs=['L', 'P'], gain=2)


class ENGAGE_IP(engage_damping):
    def __init__(self, logfunc=None):
        engage_damping.__init__(self, logfunc, ['Y'], gain=0.5)


class _INJECT_FAILURE(InjectState):
    reason = 'unknown'

    def run(self):
        log('%s: %s (%s)' % (type(self).__name__, self.reason, self.kind))
        return True


class INJECT_FAILURE_GRACEDB(_INJECT_FAILURE):
    index = 70
    reason = 'no database'

    def run(self):
        return super().run() and self.prepared


edges = [('INIT', 'ENGAGE_PAY'), ('ENGAGE_PAY', 'ENGAGE_IP')]
