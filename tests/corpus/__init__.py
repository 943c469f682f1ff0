"""Real files: what stemwatch says of them beside what an independent decoder says."""
