"""The inbox: the watcher gives hints, scans find the files, settling tells which are complete."""
