from guardian import GuardState

nominal = 'DAMPED'


class INIT(GuardState):
    index = 0

    def main(self):
        return 'SAFE'


class SAFE(GuardState):
    index = 8


class DAMPED(GuardState):
    index = 9


class OTHER(GuardState):
    index = 8
