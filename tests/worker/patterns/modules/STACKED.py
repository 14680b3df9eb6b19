"""Decorators four deep, outermost first; the first that returns something takes the method's place; misspelt hooks."""

from guardian import GuardState, GuardStateDecorator

seen = []


def note(name, value=None):
    class noting(GuardStateDecorator):
        def pre_exec(self):
            seen.append(name)
            return value

    return noting


class watchdog_check(GuardStateDecorator):
    def pre_exc(self):
        return ezca['X1:DOUBLE-PREFIX'] or 'TRIPPED'


class oplev_check(GuardStateDecorator):
    def pre_exec(self):
        notify('oplev')
        if self.tripped:            # an attribute of the state
            return 'TRIPPED'


class COUNTED(GuardState):
    @note('one')
    @note('two')
    @note('three')
    @note('four')
    def main(self):
        seen.append('main')
        return seen == ['one', 'two', 'three', 'four', 'main']


class JUMPS(GuardState):
    def main(self):
        del seen[:]

    @note('one')
    @watchdog_check
    @note('three', 'TRIPPED')
    @note('four')
    def run(self):
        seen.append('run')


class REPLACED(GuardState):
    @note('one', True)
    def main(self):
        return 'NEVER'


class FAULTY(GuardState):
    tripped = False

    @oplev_check
    def main(self):
        self.tripped = True

    @watchdog_check
    @oplev_check
    def run(self):
        return True


class TRIPPED(GuardState):
    redirect = False
    request = False

    def run(self):
        return seen == ['one', 'three']


class INHERITED(FAULTY):
    def main(self):
        super(INHERITED, self).main()
        self.tripped = False


edges = [('INIT', 'COUNTED')]
