from guardian import GuardState


class engage_damping(GuardState):
    def __init__(self, logfunc, dofs, gain):
        super(engage_damping, self).__init__(logfunc)
        self.dofs = dofs
        self._gain = gain
        self.__counter = 0
        self.TRAMP = 0.02

    def main(self):
        self.timer['ramp'] = self.TRAMP

    def run(self):
        self.__counter += 1
        if not self.timer['ramp']:
            return
        log('%s engaged with %s after %s' % (self.dofs, self._gain, self.__counter > 0))
        return True


class InjectState(GuardState):
    kind = 'hwinj'

    def main(self):
        self.prepared = True
