"""Tags of every family, read into one form. Helper process only."""
