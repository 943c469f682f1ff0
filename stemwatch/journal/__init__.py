"""What stemwatch remembers: the durable journal of jobs, their history and what was spent."""
