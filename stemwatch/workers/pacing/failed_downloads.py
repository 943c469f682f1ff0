"""The downloads that failed since one was answered: an outage of the storage, or dead stems."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

IN_A_ROW = 5  # so many failures in a row begin a pause
# Of three songs the last five tries are often two songs' alone, since their own waits grow; in so
# many each one comes twice. A song that waits for something else by now drops out of them.
_COUNTED = 16


@dataclass(slots=True)
class FailedDownloads:
    """Which songs' downloads failed, by job id.

    An outage fails at least two songs. Two alone may be dead for good, which no other song's
    download would ever show.
    """

    counted: deque[int] = field(default_factory=lambda: deque(maxlen=_COUNTED))
    dead: set[int] = field(default_factory=set)  # they fail for so long that they say nothing

    @property
    def last(self) -> list[int]:
        """The songs of the last downloads, where all of these failed."""
        return list(self.counted)[-IN_A_ROW:]

    @property
    def songs(self) -> set[int]:
        return set(self.counted)

    @property
    def look_like_an_outage(self) -> bool:
        """Whether so many failed in a row, of two songs at least."""
        return len(self.last) == IN_A_ROW and len({*self.last}) >= 2

    def give_up(self) -> None:
        """All these songs are dead: from now on their downloads say nothing of the storage."""
        self.dead |= self.songs
        self.counted.clear()

    def answered(self, job_id: int | None) -> None:
        """A download got an answer, that of `job_id` if that is known."""
        self.counted.clear()
        self.dead.discard(job_id or 0)

    def forget(self, job_id: int) -> None:
        """The song has come to its end."""
        self.dead.discard(job_id)
        while job_id in self.counted:
            self.counted.remove(job_id)

    def remembered(self) -> set[int]:
        """Ids of the songs that anything is remembered of."""
        return self.dead | self.songs
