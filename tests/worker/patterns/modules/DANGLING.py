"""Names states it does not have: no fault until the jump is made."""

from guardian import GuardState, GuardStateDecorator


class fault_check(GuardStateDecorator):
    def pre_exec(self):
        return 'PRE_TRIPPED'


class UP(GuardState):
    pass


class BY_STATE(GuardState):
    def main(self):
        return 'FAILURE_TO_CREATE_STREAM'


class BY_DECORATOR(GuardState):
    @fault_check
    def run(self):
        return True


request = 'UP'
edges = [('INIT', 'UP'), ('UP', 'BY_STATE'), ('UP', 'BY_DECORATOR')]
