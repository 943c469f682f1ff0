"""The steps of a song, one module each: submit, confirm, follow, fetch or reuse, deliver, file."""
