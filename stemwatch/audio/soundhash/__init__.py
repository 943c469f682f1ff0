"""The SHA-256 of a file's sound alone: what a tag editor leaves as it is. No decoding, no PyAV."""
