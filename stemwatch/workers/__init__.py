"""The bounded pool that moves each job one step at a time, and what paces it."""
