"""Uses a library that lies elsewhere: the file here is a link with an absolute target."""

import os
import sys

from guardian import GuardState

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'more'))

import more_tools
import vistools


class UP(GuardState):
    def run(self):
        return vistools.optic_of(SYSTEM) == more_tools.OPTIC


edges = [('INIT', 'UP')]
