"""Watches the buttons of a filter module that others press."""

from guardian import GuardState

prefix = 'SUS'
request = 'UP'
ca_monitor = True
ca_channels = [('MC1_SWSTAT', ['INPUT', 'OFFSET', 'FM1', 'FM4', 'OUTPUT'])]


class UP(GuardState):
    pass


edges = [('INIT', 'UP')]
