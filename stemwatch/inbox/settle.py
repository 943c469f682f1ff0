"""Settling: decides when a file has stopped changing. Pure; time is in monotonic seconds.

A file has settled when it looked the same in `samples` samples, over at least `quiet` seconds since
*we* last saw it change. Its mtime is compared with earlier samples only, never with a clock: a copy
that keeps the old mtime would seem settled while it is still being written.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from enum import Enum
from math import ceil, inf

from stemwatch.inbox.scan import Found
from stemwatch.job import Identity

DEFAULT_SETTLE_SECONDS = 5.0
NETWORK_SETTLE_SECONDS = 30.0
SLOWEST_INCOMPLETE = 60.0  # seconds between two looks at a file whose bytes are missing
SLOWEST_OPEN = 15.0  # seconds between two looks at a file that somebody has open for writing
SLOWEST_BUSY = 300.0  # seconds between two tries at a file that can't be opened


class Verdict(Enum):
    """The result of a sample."""

    WAIT = "wait"
    STILL = "still"  # unchanged, and the next sample is the last one
    SETTLED = "settled"
    GONE = "gone"


def quiet_seconds(settle_seconds: float, *, network: bool) -> float:
    """The quiet window in seconds: the configured one; on network mounts 30 instead of the default.

    Network mounts cache attributes for seconds, so with the default of 5 s a growing file would
    seem to stand still. A number that the user has set is used on any disk.
    """
    if network and settle_seconds == DEFAULT_SETTLE_SECONDS:
        return NETWORK_SETTLE_SECONDS
    return settle_seconds


@dataclass(slots=True)
class _Tracked:
    found: Found  # as the last scan saw it
    fingerprint: tuple[int, ...] | None  # None: not sampled since it could not be opened
    since: float  # when this fingerprint was first seen
    equal: int  # samples in a row with this fingerprint
    due: float  # inf: settled, so the caller has it
    written: bool = False  # somebody had it open for writing at the last sample
    incomplete_since: float | None = None
    busy_since: float | None = None


class Settler:
    """Follows up to `capacity` files until they settle.

    `quiet` and `patience` are in seconds. `samples`, at least 2, includes the first and the last.
    `compare_inode` is False on network mounts, where inode numbers may be invented.
    """

    def __init__(
        self, quiet: float, *, samples: int, capacity: int, patience: float, compare_inode: bool
    ) -> None:
        if samples < 2:
            raise ValueError("a file can't be seen to stand still with fewer than 2 samples")
        self._samples = samples
        self._capacity = capacity
        self._compare_inode = compare_inode
        self.set_pace(quiet, patience)
        self._tracked: dict[str, _Tracked] = {}
        self._heap: list[tuple[float, str]] = []
        self._alike: dict[str, dict[str, None]] = {}  # paths by path without extension
        self._busy: dict[str, None] = {}  # in the order in which they became busy

    def set_pace(self, quiet: float, patience: float) -> None:
        """Use other times, in seconds, from each file's next sample on."""
        self._quiet = quiet
        self._patience = patience
        self._interval = quiet / (self._samples - 1)
        self._grid = self._interval / 4

    def __len__(self) -> int:
        return len(self._tracked)

    def __contains__(self, path: object) -> bool:
        return path in self._tracked

    def found(self, path: str) -> Found:
        """A followed file, as a scan saw it last. Raises KeyError if it is not followed."""
        return self._tracked[path].found

    @property
    def full(self) -> bool:
        """Whether the next new file gets in only by replacing one that could not be opened."""
        return len(self._tracked) >= self._capacity

    @property
    def busy_count(self) -> int:
        """How many of the followed files could not be opened or taken in at the last try."""
        return len(self._busy)

    def track(self, found: Found, now: float) -> bool:
        """Follow this file, with `found` as its first sample; False: there is no room for it.

        A file that is followed already is left alone unless it changed.
        """
        tracked = self._tracked.get(found.path)
        if tracked is None:
            if self.full and not self._evict():
                return False
            tracked = self._tracked[found.path] = _Tracked(found, None, now, 0, inf)
            self._alike.setdefault(_without_extension(found.path), {})[found.path] = None
        else:
            tracked.found = found
            if tracked.fingerprint in {None, self._fingerprint(found.identity)}:
                return True
        self._restart(found.path, tracked, found.identity, now)
        return True

    def due(self, now: float, limit: int) -> list[str]:
        """Up to `limit` paths to be sampled now, those first that have been due longest.

        A path for which neither `sample` nor `busy` is called becomes due again an interval later.
        """
        paths: list[str] = []
        while self._heap and self._heap[0][0] <= now and len(paths) < limit:
            due, path = heapq.heappop(self._heap)
            tracked = self._tracked.get(path)
            if tracked is None or tracked.due != due:
                continue  # an outdated entry: the file was scheduled anew
            self._schedule(path, tracked, now + max(self._interval, 1.0))
            paths.append(path)
        return paths

    def next_due(self) -> float | None:
        """When `due` will next return a path; None: no sample is scheduled."""
        while self._heap:
            due, path = self._heap[0]
            tracked = self._tracked.get(path)
            if tracked is not None and tracked.due == due:
                return due
            heapq.heappop(self._heap)
        return None

    def sample(self, path: str, identity: Identity | None, now: float) -> Verdict:
        """Add a sample and return its verdict. `identity` None: the file is gone, and is forgotten.

        After SETTLED the caller has the file. It is not due again, and keeps its place, until
        `forget`, `incomplete`, `busy`, `later` or a `track` that sees a change.
        """
        tracked = self._tracked.get(path)
        if tracked is None or identity is None:
            self.forget(path)
            return Verdict.GONE
        self._busy.pop(path, None)
        tracked.busy_since, tracked.written = None, False
        if tracked.fingerprint != self._fingerprint(identity):
            self._restart(path, tracked, identity, now)
            return Verdict.WAIT
        tracked.equal += 1
        if tracked.equal >= self._samples and now - tracked.since >= self._quiet:
            if self._one_alike_grows(path, now):
                self._schedule(path, tracked, now + max(self._interval, 1.0))
                return Verdict.WAIT
            tracked.due = inf
            return Verdict.SETTLED
        self._schedule_next(path, tracked, now)
        return Verdict.STILL if tracked.equal + 1 == self._samples else Verdict.WAIT

    def written(self, path: str, identity: Identity, now: float) -> bool:
        """Add a sample of a file that is open for writing: it settles once it no longer is.

        True once it has not changed for `patience` seconds; then nobody should wait for it. The
        gaps grow to `SLOWEST_OPEN`.
        """
        tracked = self._tracked.get(path)
        if tracked is None:
            return False
        if tracked.fingerprint != self._fingerprint(identity):
            self._busy.pop(path, None)
            self._restart(path, tracked, identity, now)
            return False
        tracked.equal += 1
        tracked.written = True
        still = now - tracked.since
        if still >= self._patience:
            self._busy[path] = None
        self._schedule(path, tracked, now + min(max(self._interval, still / 2), SLOWEST_OPEN))
        return still >= self._patience

    def busy(self, path: str, now: float) -> None:
        """The file could not be opened: its window starts anew. The gaps grow to `SLOWEST_BUSY`."""
        tracked = self._tracked.get(path)
        if tracked is None:
            return
        if tracked.busy_since is None:
            tracked.busy_since = now
        self._busy[path] = None
        tracked.fingerprint = None
        waited = now - tracked.busy_since
        self._schedule(path, tracked, now + min(max(self._interval, waited), SLOWEST_BUSY))

    def later(self, path: str, seconds: float, now: float) -> None:
        """The file settled and could not be taken in: sample it again after `seconds`."""
        if (tracked := self._tracked.get(path)) is not None:
            self._busy[path] = None
            self._schedule(path, tracked, now + seconds)

    def incomplete(self, path: str, now: float) -> bool:
        """The file settled and lacks bytes: wait on, with gaps that grow to `SLOWEST_INCOMPLETE`.

        True once it has not changed for `patience` seconds; then the caller decides.
        """
        tracked = self._tracked.get(path)
        if tracked is None:
            return False
        if tracked.incomplete_since is None:
            tracked.incomplete_since = now
        waited = now - tracked.incomplete_since
        if waited >= self._patience:
            return True
        pause = min(max(self._quiet, waited), SLOWEST_INCOMPLETE)
        end = tracked.incomplete_since + self._patience
        self._schedule(path, tracked, min(now + pause, end))
        return False

    def forget(self, path: str) -> None:
        """Stop following this file. If it still exists, a later scan finds it again."""
        if self._tracked.pop(path, None) is not None:
            alike = self._alike.pop(_without_extension(path), {})
            alike.pop(path, None)
            if alike:
                self._alike[_without_extension(path)] = alike
        self._busy.pop(path, None)
        if len(self._heap) > 2 * len(self._tracked) + 64:
            # Entries of forgotten files stay in the heap until they are due: keep it bounded.
            self._heap = [(t.due, p) for p, t in self._tracked.items() if t.due != inf]
            heapq.heapify(self._heap)

    def _one_alike_grows(self, path: str, now: float) -> bool:
        """Whether a file that differs only in its extension is still being written.

        A converter makes `Clip.mp3` out of `Clip.webm`, which is deleted at the end.
        """
        alike = self._alike.get(_without_extension(path), {})
        if len(alike) < 2:
            return False
        others = (self._tracked[other] for other in alike if other != path)
        return any(one.written or now - one.since < self._quiet for one in others)

    def _fingerprint(self, identity: Identity) -> tuple[int, ...]:
        return identity if self._compare_inode else (identity.size, identity.mtime_ns)

    def _restart(self, path: str, tracked: _Tracked, identity: Identity, now: float) -> None:
        tracked.fingerprint = self._fingerprint(identity)
        tracked.since = now
        tracked.equal = 1
        tracked.incomplete_since = None
        self._schedule_next(path, tracked, now)

    def _schedule_next(self, path: str, tracked: _Tracked, now: float) -> None:
        """Schedule the last sample exactly at the end of the window, earlier ones on a coarse grid.

        So 4,096 files share their wake-ups, and none settles later than it must.
        """
        if tracked.equal + 1 < self._samples:
            due = ceil((now + self._interval) / self._grid) * self._grid if self._grid else now
        else:
            due = max(tracked.since + self._quiet, now + self._interval / 2)
        self._schedule(path, tracked, due)

    def _schedule(self, path: str, tracked: _Tracked, due: float) -> None:
        if tracked.due != due:
            tracked.due = due
            heapq.heappush(self._heap, (due, path))

    def _evict(self) -> bool:
        """Forget the file that could not be opened for longest, so that it keeps no good one out.

        False: there is none.
        """
        if not self._busy:
            return False
        self.forget(next(iter(self._busy)))
        return True


def _without_extension(path: str) -> str:
    stem, _, extension = path.rpartition(".")
    return path if "/" in extension else stem
