from guardian import GuardState
from nokagra_lib import *


class UP(GuardState):
    pass
