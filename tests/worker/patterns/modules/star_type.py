from star_master import *

TYPE = 'C'
