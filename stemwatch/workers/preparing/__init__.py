"""The form in which a song is uploaded: the original, or a FLAC made of it before its turn."""
