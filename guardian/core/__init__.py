"""The floor that decides: pure, without clock, I/O, logging or EPICS."""
