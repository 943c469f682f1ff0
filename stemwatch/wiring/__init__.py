"""The rooms put together for one run, as the configuration says: working set, pace, limits."""
