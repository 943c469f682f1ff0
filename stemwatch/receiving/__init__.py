"""Bodies that come in over HTTP: streamed to a disk, and what is refused of them."""
