"""A node of one line: states, edges, request and nominal all come through three star imports."""

from star_type import *
