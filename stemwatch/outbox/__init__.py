"""What the user gets: folders of stems with a sidecar, the archive and the quarantine."""
