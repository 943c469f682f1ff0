"""Other programs: how they are started."""
