"""Listeners: each is shown a file's bytes in order, a block at a time, and hashes its sound.

Equal digests must mean equal sound, since what was paid for once is then used again. So a digest
begins with the kind of file and all that a decoder is set up by, and whatever is not certainly a
tag is hashed as sound. Where anything is odd there is no digest, and only the bytes decide.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise


class Odd(Exception):
    """Something in the file is out of the ordinary: it has no digest of its sound."""


class Listener(ABC):
    """Shown each byte of a file once, in order."""

    def __init__(self, kind: str) -> None:
        self._digest = hashlib.sha256(f"stemwatch sound 1: {kind}\0".encode())
        self._odd = False

    def feed(self, block: memoryview) -> None:
        """The next bytes, any number of them. Raises nothing."""
        if not self._odd:
            try:
                self._hear(block)
            except (Odd, LookupError, ValueError):
                self._odd = True

    def hexdigest(self) -> str | None:
        """The digest, once the whole file was shown; None: only the bytes decide."""
        return None if self._odd or not self._is_whole() else self._digest.hexdigest()

    def add(self, name: bytes, data: bytes | memoryview) -> None:
        """Hash something of a length that is told first, so that no two files can sound alike."""
        self._digest.update(b"%s %d\0" % (name, len(data)))
        self._digest.update(data)

    @abstractmethod
    def _hear(self, block: memoryview) -> None:
        """Hash what is sound in these bytes. Raises Odd."""

    @abstractmethod
    def _is_whole(self) -> bool:
        """Whether all the sound was there, and there was some."""


class Deaf(Listener):
    """Listens to a file of a kind whose sound can't be told from the rest."""

    def __init__(self) -> None:
        super().__init__("none")
        self._odd = True

    def _hear(self, block: memoryview) -> None:
        raise NotImplementedError

    def _is_whole(self) -> bool:
        return False


class SpanListener(Listener):
    """Hashes bytes whose places are known beforehand.

    `spans` are (first byte, byte behind the last), in the file's order. `setup` are names and
    contents that come before them.
    """

    def __init__(
        self, kind: str, setup: Sequence[tuple[bytes, bytes]], spans: Sequence[tuple[int, int]]
    ) -> None:
        super().__init__(kind)
        for name, data in setup:
            self.add(name, data)
        self._spans = spans
        self._next = self._at = 0
        if not spans or any(b[0] < a[1] for a, b in pairwise(spans)):
            raise Odd

    def _hear(self, block: memoryview) -> None:
        at, end = self._at, self._at + len(block)
        while self._next < len(self._spans):
            first, last = self._spans[self._next]
            if first >= end:
                break
            self._digest.update(block[max(0, first - at) : min(last, end) - at])
            if last > end:
                break
            self._next += 1
        self._at = end

    def _is_whole(self) -> bool:
        return self._next == len(self._spans)
