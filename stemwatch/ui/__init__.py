"""Output for people on a terminal: lines, bars and tables, drawn from plain data."""
