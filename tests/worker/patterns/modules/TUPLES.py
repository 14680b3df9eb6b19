"""Edges as a tuple of tuples; a list in it; a weight; one edge twice."""

from guardian import GuardState


class A(GuardState):
    pass


class B(GuardState):
    pass


edges = (('INIT', 'A'), ['A', 'B'], ('B', 'A', 3), ('INIT', 'A'))
