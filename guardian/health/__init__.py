"""Processes, threads and pools that are watched: for any Python program, and for user code."""
