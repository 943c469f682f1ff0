"""What people see on a terminal: lines, bars and tables. Everything else is plain data."""
