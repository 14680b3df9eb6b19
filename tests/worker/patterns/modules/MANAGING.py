"""Imports the managers, as many modules do that have none."""

from guardian import GuardState, GuardStateDecorator, Node, NodeManager
from guardian import ezca as channels, log as say


class UP(GuardState):
    def run(self):
        say('the same channels: %s' % (channels is ezca))
        return True


class MAKES(GuardState):
    def main(self):
        self.nodes = NodeManager(['SUS_MC1', 'SUS_MC2'])


edges = [('INIT', 'UP')]
