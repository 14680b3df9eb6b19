"""The whole machine: manages ALIGN, which manages the mirrors, and IMC_LOCK, which locks the cavity.

    IFO ---+--- ALIGN ---+--- SUS_MC1
           |             +--- SUS_MC2
           |             +--- SUS_MC3
           +--- IMC_LOCK

    INIT ---> DOWN ---> ALIGNED <---> LOCKED              from anywhere to DOWN (a goto state)
      |                    ^             ^                from INIT straight to what is requested
      +--------------------+-------------+
"""

from guardian import GuardState, NodeManager

request = 'LOCKED'
nominal = 'LOCKED'

nodes = NodeManager(['ALIGN', 'IMC_LOCK'])


class INIT(GuardState):
    """Takes the two nodes. One that is not there yet is taken when it comes."""
    index = 0
    request = False

    def run(self):
        nodes.set_managed([node.name for node in nodes if not node.i_manage])
        return all(node.i_manage for node in nodes)


class DOWN(GuardState):
    """Everything off. The first thing to ask for when something looks wrong."""
    index = 10
    goto = True

    @nodes.checker()
    def main(self):
        nodes['IMC_LOCK'] = 'DOWN'
        nodes['ALIGN'] = 'SAFE'

    @nodes.checker()
    def run(self):
        nodes.revive_all()
        return nodes.completed


class ALIGNED(GuardState):
    """The mirrors are aligned, the cavity is left alone."""
    index = 50

    @nodes.checker()
    def main(self):
        nodes['IMC_LOCK'] = 'DOWN'
        nodes['ALIGN'] = 'ALIGNED'

    @nodes.checker()
    def run(self):
        nodes.revive_all()
        return nodes.completed


class LOCKED(GuardState):
    """The cavity is locked. When the lock is lost, IMC_LOCK stalls in LOCKLOSS, is revived, and locks it again."""
    index = 100

    @nodes.checker()
    def main(self):
        nodes['ALIGN'] = 'ALIGNED'
        nodes['IMC_LOCK'] = 'BOOSTED'

    @nodes.checker()
    def run(self):
        nodes.revive_all()      # nothing speaks against it: IMC_LOCK waits for the light itself
        return nodes.completed


# From INIT straight to what is requested: see ALIGN.py.
edges = [
    ('INIT', 'DOWN'),
    ('INIT', 'ALIGNED'),
    ('INIT', 'LOCKED'),
    ('DOWN', 'ALIGNED'),
    ('ALIGNED', 'LOCKED'),
    ('LOCKED', 'ALIGNED'),
]
