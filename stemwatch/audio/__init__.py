"""What is in an audio file: probe, verify, tags, mixes. The work runs in a helper process."""
