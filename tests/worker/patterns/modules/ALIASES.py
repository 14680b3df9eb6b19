"""Two names of one class: one state, the first name. Attributes that nobody knows; some set when the class is there."""

from guardian import GuardState


class LOCKED(GuardState):
    index = 5
    inex = 117
    hwinj = 'cal'


READY = LOCKED
LOCKED.request = False
lowercase = LOCKED
GuardStateAlias = GuardState
BASE = GuardState


class PARKED(READY):
    index = 6
    goto = False


PARKED.goto = 9
edges = [('INIT', 'LOCKED')]
