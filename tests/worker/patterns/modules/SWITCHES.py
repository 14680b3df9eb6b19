"""Reads and writes channels of an IOC in all the ways of the field: items, read(), numbers, labels, texts."""

import numpy as np
from guardian import GuardState

prefix = 'VIS-T1'
request = 'WRITTEN'


class WRITTEN(GuardState):
    def main(self):
        ezca['GAIN'] = 3
        ezca['COUNT'] = 7.0
        ezca['OFFSET_SW'] = 'ON'
        ezca['MODE'] = 'ALIGN'
        ezca[':PSL-POWER'] = np.float64(2.5)
        self.old = ezca['OFFSET_SW']
        ezca['OFFSET_SW'] = 'OFF'
        ezca['OFFSET_SW'] = 2
        self.timer['ramp'] = ezca['TRAMP']

    def run(self):
        if not self.timer['ramp']:
            return False
        values = [
            (ezca['GAIN'], 3.0),
            (ezca.read('COUNT'), 7),
            (self.old, 1),
            (ezca['OFFSET_SW'], 2),
            (ezca.read('OFFSET_SW', as_string=True), 'AUTO'),
            (ezca['MODE'], 'ALIGN'),
            (ezca.read(':PSL-POWER', log=True), 2.5),
        ]
        wrong = [(got, wanted) for got, wanted in values if got != wanted]
        notify('%d wrong: %s' % (len(wrong), wrong))
        return not wrong


class LABEL(GuardState):
    def main(self):
        ezca['OFFSET_SW'] = 'HALF'


edges = [('INIT', 'WRITTEN'), ('WRITTEN', 'LABEL')]
