"""Aligns the mirrors: manages the nodes SUS_MC1, SUS_MC2 and SUS_MC3, and is itself managed by IFO.

    INIT ---> SAFE, MISALIGNED, ALIGNED, straight to what is requested
              SAFE ---> MISALIGNED <---> ALIGNED          from anywhere to SAFE (a goto state)
                +---------------------------^

A state here says what the mirrors shall do. How they get there is their own business: each of them finds the way in its
own graph, so all of them work at the same time.
"""

from guardian import GuardState, NodeManager

request = 'ALIGNED'
nominal = 'ALIGNED'

nodes = NodeManager(['SUS_MC1', 'SUS_MC2', 'SUS_MC3'])


def is_tripped(node):
    return ezca[node.name.replace('_', '-') + '_WD_STATE'] == 1     # of SUS_MC1: X1:SUS-MC1_WD_STATE


def revive_stalled():
    """A managed node that has jumped stays where it jumped to. Whether it may go on is for its manager to say.

    A mirror whose watchdog has tripped may not, before a person has looked at it and has reset the watchdog.
    """
    for node in nodes.get_stalled_nodes():
        if not is_tripped(node):
            log('%s has stalled in %s, and may go on', node.name, node.STATE)
            node.revive()


class INIT(GuardState):
    """Takes the mirrors. Those that are not there yet are taken when they come."""
    index = 0
    request = False

    def run(self):
        nodes.set_managed([node.name for node in nodes if not node.i_manage])
        return all(node.i_manage for node in nodes)


class SAFE(GuardState):
    """All mirrors are off. The first thing to ask for when something looks wrong."""
    index = 10
    goto = True

    @nodes.checker()        # tells the operator what is wrong with a mirror; belongs on every method
    def main(self):
        for node in nodes:
            node.set_request('SAFE')

    @nodes.checker()
    def run(self):
        revive_stalled()
        return nodes.completed      # all of them: arrived at what was asked for, and DONE


class MISALIGNED(GuardState):
    """All mirrors are turned away."""
    index = 40

    @nodes.checker()
    def main(self):
        for node in nodes:
            node.set_request('MISALIGNED')

    @nodes.checker()
    def run(self):
        revive_stalled()
        return nodes.completed


class ALIGNED(GuardState):
    """All mirrors are where the cavity wants them."""
    index = 50

    @nodes.checker()
    def main(self):
        for node in nodes:
            node.set_request('ALIGNED')

    @nodes.checker()
    def run(self):
        # A person may ask a mirror for something else. Then this is not complete, and the checker says who it was. To
        # have the mirrors asked again: REENTER.
        revive_stalled()
        return nodes.completed


# From INIT straight to what is requested: what a node was asked for already is not asked again, so a manager that is
# restarted disturbs nothing.
edges = [
    ('INIT', 'SAFE'),
    ('INIT', 'MISALIGNED'),
    ('INIT', 'ALIGNED'),
    ('SAFE', 'MISALIGNED'),
    ('SAFE', 'ALIGNED'),
    ('MISALIGNED', 'ALIGNED'),
    ('ALIGNED', 'MISALIGNED'),
]
