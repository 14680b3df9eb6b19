from star_base import *
from star_base import _HIDDEN

edges = [('INIT', 'SAFE'), ('SAFE', 'ALIGNED')]
request = nominal = 'ALIGNED'


class ALIGNED(GuardState):
    index = 100

    def run(self):
        log('hidden: %s, %s' % (_HIDDEN, OPTIC))
        return True
