from guardian import GuardState, GuardStateDecorator

__, OPTIC = SYSTEM.split('_')
_HIDDEN = 'base'


class SAFE(GuardState):
    index = 10


class _NEVER(GuardState):
    index = 10
