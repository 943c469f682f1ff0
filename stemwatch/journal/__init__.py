"""The journal: a durable SQLite database of jobs, their history and what was spent."""
