def wait(self, seconds):
    self.timer['wait'] = seconds
    while not self.timer['wait']:
        log('waiting %g s' % seconds)


class Ramp:
    def __init__(self, stateObj):
        self.statename = stateObj

    def start(self, seconds):
        self.statename.timer['ramp'] = seconds

    def done(self):
        return self.statename.timer['ramp']
