"""What VIS_MANAGER1 commands."""

from star_master import *

request = 'SAFE'
edges += [('ALIGNED', 'SAFE')]
