"""Assembles the parts of one run from the configuration: working set, pace, limits."""
