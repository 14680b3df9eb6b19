"""Takes some states of a library whose states have one index twice; edges of another one, which it extends in place."""

from pick_states import INIT, SAFE, DAMPED, nominal
from pick_edges import edges
import pick_edges

request = nominal
edges += [('SAFE', 'DAMPED'), ('DAMPED', 'SAFE')]
edges += (('DAMPED', 'INIT'),)


class CHECKED(SAFE):
    index = 30

    def run(self):
        return edges is pick_edges.edges and len(pick_edges.edges) == 5


edges.append(('SAFE', 'CHECKED'))
