"""Weights of the neural engines: which there are, how they come here, and the folder they lie in.

Read in this order: `catalogue`, `folder`, `bringing`, `unpickling`, `checkpoints`, `tensors`.
"""
