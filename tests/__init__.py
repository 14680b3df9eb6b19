"""Tests mirror the house: one directory a room, real parts, loopback only."""
