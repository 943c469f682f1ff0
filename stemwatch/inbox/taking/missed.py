"""Whether files went past the rounds of one inbox, until a whole scan can have found them again."""

from __future__ import annotations

_IN_VAIN = 3  # whole scans, with no file taken in since, for which one run waits


class Missed:
    """Files that were seen and are followed no more, although they did not come into the journal.

    It counts scans instead of keeping paths: thousands may be missed where a disk is full.
    """

    def __init__(self) -> None:
        self._begun = 0  # whole scans
        self._ended = 0  # the number of the last one that came to its end
        self._last = self._passing = -1  # how many had begun when the last file was missed
        self._in_vain = 0

    def __bool__(self) -> bool:
        """Whether a file was missed that no whole scan has looked for since."""
        return self._last >= self._ended

    @property
    def awaited(self) -> bool:
        """Whether one run is to wait for the next whole scan, which may find such a file whole.

        Not for ever: a file may change, or be gone, each time that it is read.
        """
        return self._passing >= self._ended and self._in_vain < _IN_VAIN

    def add(self, *, passing: bool) -> None:
        """A file was missed. `passing`: the cause is over, most likely, when a scan comes to it."""
        self._last = self._begun
        if passing:
            self._passing = self._begun

    def scan_begins(self) -> None:
        self._begun += 1

    def scan_ended(self) -> None:
        """The scan that began last came to its end. It has seen what was missed before it began."""
        self._in_vain += self._ended <= self._passing < self._begun
        self._ended = self._begun

    def passed(self) -> None:
        """A file was taken in."""
        self._in_vain = 0
