"""What comes in over HTTP: bodies streamed to a disk, the Host they are sent to, refusals."""
