"""Waits inside a method, in helpers that get the state or its timers, with a line in the log for every turn."""

import time

from guardian import GuardState
from spin_lib import Ramp, wait


class SPIN(GuardState):
    def main(self):
        self.timer['spin'] = 0.3
        self.turns = 0
        while not self.timer['spin']:
            log('waiting for the timer')
            self.turns += 1

    def run(self):
        return self.turns > 100


class HELPED(GuardState):
    def main(self):
        wait(self, 0.1)
        self.ramp = Ramp(self)
        self.ramp.start(0.1)
        time.sleep(0.01)

    def run(self):
        return self.ramp.done() and self.timer['wait']


class TWICE(GuardState):
    def main(self):
        self.timer['pause'] = 0
        assert self.timer['pause'] is True and 'pause' in self.timer
        self.timer['pause'] = 0.05
        assert self.timer['pause'] is False

    def run(self):
        return self.timer['pause']


edges = [('INIT', 'SPIN')]
