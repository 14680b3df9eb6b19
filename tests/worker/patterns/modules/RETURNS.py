"""What methods return: numpy's truth, not x, calls, items, attributes, and what is neither true nor false."""

import numpy as np
from guardian import GuardState


def arrived():
    return np.mean([1.0, 3.0]) == 2.0


def returning(main=None, run=True):
    class state(GuardState):
        flags = [True, False]
        done = True

        def main(self):
            return main(self) if callable(main) else main

        def run(self):
            return run(self) if callable(run) else run

    return state


NUMPY_TRUE = returning(run=lambda self: np.bool_(True))
NUMPY_COMPARED = returning(run=lambda self: np.float64(3.0) > 2)
NUMPY_ONE = returning(run=lambda self: np.array([5]) == 5)
NUMPY_TEXT = returning(main=lambda self: np.str_('NUMPY_TRUE'))
NEGATED = returning(run=lambda self: not self.flags[1])
CALLED = returning(main=lambda self: arrived())
ITEM = returning(run=lambda self: self.flags[0])
ATTRIBUTE = returning(run=lambda self: self.done)
NUMBER = returning(main=17)
LIST = returning(main=['done'])
MAIN_ONLY = returning()
FALSE_FIRST = returning(main=False)
EMPTY_TEXT = returning(main='')
AMBIGUOUS = returning(run=lambda self: np.array([True, False]))
edges = [('INIT', 'NUMPY_TRUE')]
