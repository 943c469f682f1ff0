"""Songs for which the server fails while it serves others: whose fault is that?

A try is overtaken if another call of its kind was served between it and the try before. Some of
those in a row are the song's own trouble. An outage serves nobody: however long it lasts, it adds
one such try at most, and if several songs meet it, its pause has their counts begin anew.
"""

from __future__ import annotations

from dataclasses import dataclass

from stemwatch.codes import SUBMIT


@dataclass(slots=True)
class _Met:
    kind: str
    code: str
    since: float  # when the first of its tries in a row failed
    last: float  # and the latest
    times: int = 0  # tries that were overtaken, of faults that count
    uncounted: int = 0  # the same of faults that may say nothing of the song
    by_songs: int = 0  # those of `times` that a call for another song overtook
    overtaken: bool = False  # another call was served since `last`
    by_song: bool = False  # and one of them for a song


class Overtaken:
    """Counts the overtaken tries of each song. All times are monotonic seconds.

    There are two kinds of calls, SUBMIT and POLL: a submission that is accepted says nothing of
    questions about jobs, nor the other way round.
    """

    def __init__(self) -> None:
        self._met: dict[int, _Met] = {}

    def served(self, kind: str, began: float, job_id: int | None = None) -> None:
        """A call that began at `began` was served; None: a question that is about no job.

        A call that began before a song's fault may have been let in before an outage.
        """
        if job_id is not None:
            self._met.pop(job_id, None)
        for one in self._met.values():
            if one.kind == kind and one.last <= began:
                one.overtaken = True
                one.by_song = one.by_song or job_id is not None

    def failed(self, kind: str, code: str, job_id: int, now: float, *, counts: bool = True) -> int:
        """A try of this job failed. Returns its overtaken tries in a row; 0 if this one is none.

        Faults of another `code` are counted anew. `counts` is False for a fault that may say
        nothing of the song; those are counted apart.
        """
        before = self._same(kind, code, job_id)
        if before is None:
            self._met[job_id] = _Met(kind, code, now, now)
            return 0
        overtaken, by_song = before.overtaken, before.by_song
        before.overtaken, before.by_song, before.last = False, False, now
        if counts:
            before.times += overtaken
            before.by_songs += overtaken and by_song
        else:
            before.uncounted += overtaken
        return (before.times if counts else before.uncounted) if overtaken else 0

    def with_this(self, kind: str, code: str, job_id: int) -> int:
        """What `failed` is going to return for a try that failed just now."""
        before = self._same(kind, code, job_id)
        return before.times + 1 if before is not None and before.overtaken else 0

    def _same(self, kind: str, code: str, job_id: int) -> _Met | None:
        """What is known of the job, if its last fault was this one."""
        met = self._met.get(job_id)
        return met if met is not None and (met.kind, met.code) == (kind, code) else None

    def paused(self, several: int = 2) -> None:
        """A pause for the server begins. An outage must not send waiting songs to quarantine.

        If calls for `several` songs failed since one was served, all counts of submissions begin
        anew. The failures of one song alone don't show an outage.
        """
        if sum(not one.overtaken for one in self._met.values()) >= several:
            for one in self._met.values():
                if one.kind == SUBMIT:
                    one.times = one.by_songs = one.uncounted = 0

    def by_songs(self, job_id: int) -> int:
        """Those of the job's overtaken tries in a row that a call for another song overtook.

        A server may answer every other question, and none about jobs.
        """
        met = self._met.get(job_id)
        return 0 if met is None else met.by_songs

    def seconds(self, job_id: int, now: float) -> float:
        """Seconds since the first of the job's failed tries in a row; 0 where there is none."""
        met = self._met.get(job_id)
        return 0.0 if met is None else now - met.since

    def remembered(self) -> set[int]:
        """Ids of the jobs that anything is remembered of."""
        return set(self._met)

    def forget(self, job_id: int) -> None:
        """A step of the job succeeded, or the job has come to its end."""
        self._met.pop(job_id, None)
