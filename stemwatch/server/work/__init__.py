"""The queue of the separation server: jobs on disk, and the worker processes that do them."""
