import importlib

from guardian import GuardState

sysmod = importlib.import_module(SYSTEM)
import VIS_CIRC1
same = __import__(SYSTEM)

assert sysmod is VIS_CIRC1 is same and not hasattr(sysmod, 'GAINS')


class ENGAGED(GuardState):
    def main(self):
        log('gains %s' % sorted(sysmod.GAINS.items()))
        self.from_star = __import__(SYSTEM).sysmod is VIS_CIRC1

    def run(self):
        return self.from_star and len(VIS_CIRC1.GAINS) == 2
