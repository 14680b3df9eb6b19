import numpy

import cdsutils
