"""How long an ID3v2 tag is that stands before something else."""

from __future__ import annotations


def length(head: bytes) -> int:
    """In bytes, of the tag that begins with `head` (10 bytes of it, or more); 0 where none does."""
    sizes = head[6:10]
    if head[:3] != b"ID3" or len(sizes) < 4 or max(sizes) > 0x7F:
        return 0
    size = sizes[0] << 21 | sizes[1] << 14 | sizes[2] << 7 | sizes[3]
    return 10 + size + (10 if head[5] & 0x10 else 0)
