"""Module variables of all sorts beside the states, and ``import guardian`` as it is."""

import os

import guardian

prefix = 'VIS-%s' % 'NAMES'
state = 'SAFE'
nodes = None
SAFE_STATE = 'SAFE'
TRIPPED = 'TRIPPED'
GAIN = 3.0
IFO_ENV, SITE_ENV = os.getenv('IFO'), os.getenv('SITE')


class SAFE(guardian.GuardState):
    def main(self):
        log('%s %s %s %s %s' % (prefix, state, IFO, SITE, (IFO_ENV, SITE_ENV) == (IFO, SITE)))
        log('channels of %s' % ezca.prefix)
        return ezca.ifo == IFO and SYSTEM == 'NAMES'


class LOOP(guardian.GuardState):
    @guardian.GuardStateDecorator
    def run(self):
        return SAFE_STATE


edges = [('INIT', SAFE_STATE)]
if __name__ == '__main__':
    raise RuntimeError('nobody runs it')
