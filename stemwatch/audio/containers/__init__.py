"""What the bytes of a container say by themselves: sizes, pages, frames; no decoding, no PyAV."""
