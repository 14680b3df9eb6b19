from guardian import GuardState
from nocds_lib import *


class UP(GuardState):
    pass
