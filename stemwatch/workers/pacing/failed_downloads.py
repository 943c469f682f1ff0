"""The downloads that failed since one was answered: an outage of the storage, or dead stems."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

IN_A_ROW = 5  # so many failures in a row begin a pause


@dataclass(slots=True)
class FailedDownloads:
    """Which songs' downloads failed, by job id.

    An outage fails at least two songs. Two alone may be dead for good, which no other song's
    download would ever show. Of three, the last tries are often two songs' alone, since their own
    waits grow: so all are counted.
    """

    # The songs of the last downloads, where all of these failed.
    last: deque[int] = field(default_factory=lambda: deque(maxlen=IN_A_ROW))
    songs: set[int] = field(default_factory=set)  # those of all downloads since one was answered
    dead: set[int] = field(default_factory=set)  # they fail for so long that they say nothing

    def failed(self, job_id: int) -> None:
        """One more download failed."""
        self.last.append(job_id)
        self.songs.add(job_id)

    @property
    def look_like_an_outage(self) -> bool:
        """Whether so many failed in a row, of two songs at least."""
        return len(self.last) == IN_A_ROW and len(set(self.last)) >= 2

    def give_up(self) -> None:
        """All these songs are dead: from now on their downloads say nothing of the storage."""
        self.dead |= self.songs
        self.last.clear()
        self.songs.clear()

    def answered(self, job_id: int | None) -> None:
        """A download got an answer, that of `job_id` if that is known."""
        self.last.clear()
        self.songs.clear()
        self.dead.discard(job_id or 0)

    def forget(self, job_id: int) -> None:
        """The song has come to its end."""
        self.dead.discard(job_id)
        self.songs.discard(job_id)

    def remembered(self) -> set[int]:
        """Ids of the songs that anything is remembered of."""
        return self.dead | self.songs
