"""The suspension of mirror MC3. Everything is in suslib.py, which takes the name of the mirror from that of the node."""

from suslib import *
