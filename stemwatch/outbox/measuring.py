"""Measures a file of a result: its length, the SHA-256 of its bytes and that of its sound alone."""

from __future__ import annotations

from typing import NamedTuple

from stemwatch.audio.soundhash.sounds import listener_for
from stemwatch.disks import durable
from stemwatch.disks.hashing import sha256


class Measured(NamedTuple):
    """`audio_sha256` is None where the sound can't be told from the rest."""

    sha256: str
    bytes: int
    audio_sha256: str | None

    def has(self, sha256: str, bytes: int, audio_sha256: str | None) -> bool:
        """Whether it sounds as it did when it was delivered, whatever tags it has got since.

        Where the sound was not measured then, by its bytes.
        """
        if audio_sha256 is not None:
            return self.audio_sha256 == audio_sha256
        return (self.sha256, self.bytes) == (sha256, bytes)


def measure(path: str) -> Measured:
    """Read the regular file at `path` once. Raises OSError, as `durable.opened` does."""
    with durable.opened(path) as (fd, size):
        listener = listener_for(fd, size)
        digest = sha256(fd, size, also=listener.feed)
        return Measured(digest, size, listener.hexdigest())
