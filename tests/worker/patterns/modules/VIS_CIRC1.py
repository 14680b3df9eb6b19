"""Imports a library that imports this module again while it is half done, and reads it when the states run."""

from circle_lib import *

GAINS = {'L': 1, 'P': 2}
edges = [('INIT', 'ENGAGED')]
request = 'ENGAGED'
