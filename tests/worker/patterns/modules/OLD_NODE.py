from guardian import GuardState
from old_lib import *
