"""From a file that was found to one that is admitted: what waits, and what is passed over."""
