import numpy

import kagralib
