"""The separation server on your own machine: the same API as StemSplit, in its own process."""
