"""The separation API: uploads, polls and downloads, with the key kept to its own origin."""
