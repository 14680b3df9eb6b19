"""Imports the managers, as many modules do that have none."""

from guardian import GuardState, GuardStateDecorator, Node, NodeManager
from guardian import ezca as channels, log as say


class UP(GuardState):
    def run(self):
        say('the same channels: %s' % (channels is ezca))
        return True


class MAKES(GuardState):
    def main(self):
        self.nodes = NodeManager(list(map('SUS_MC{}'.format, (1, 2))))

    def run(self):
        # nobody is there: nothing is known, and nothing is raised
        return self.nodes['SUS_MC1'] != 'ALIGNED' and not self.nodes.arrived and not self.nodes.get_stalled_nodes()


edges = [('INIT', 'UP')]
