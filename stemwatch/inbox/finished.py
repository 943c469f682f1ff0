"""Songs that are done and stay in the inbox: rescans skip them without asking the journal.

With 10,000 of them a question each, every half minute for years, was most of what an idle service
cost. They are remembered by the slice: one number for 500 songs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice

from stemwatch.inbox.scan import Found
from stemwatch.job import ACTIVE, Identity, JobState

SLICE = 500  # songs in one question to the journal
Known = Mapping[str, Sequence[tuple[JobState, Identity, bool]]]  # of `Journal.known`, by path
Same = Callable[[Identity, Identity], bool]
_PASSED = 20  # slices that are passed over without a rest: 70 ms


class Kept:
    """What a scan found finished, until it looks different."""

    def __init__(self) -> None:
        self._before: set[int] = set()
        self._now: set[int] = set()

    def begin(self) -> None:
        """A scan of everything begins: what it does not see again is forgotten."""
        self._before, self._now = self._now, set()

    def slices(self, scanned: Iterator[Found]) -> Iterator[list[Found]]:
        """What has to be asked about; an empty slice now and then, as a sign of life.

        Any change (a name, a size, a time, an inode, another song between them) makes a slice new.
        """
        passed = 0
        while found := list(islice(scanned, SLICE)):
            same = hash(tuple(found))
            if same in self._before or same in self._now:
                self._now.add(same)
                passed += 1
                found = []
            if found or passed % _PASSED == 0:
                yield found

    def add(self, found: list[Found]) -> None:
        """All of this slice is done and kept: no state of a job that ever changes again."""
        self._now.add(hash(tuple(found)))


def is_known(found: Found, known: Known, same: Same) -> bool:
    """Known and where it belongs. One that was filed and is back again is a new drop."""
    return any(
        same(identity, found.identity) and (state in ACTIVE or not filed)
        for state, identity, filed in known.get(found.path, ())
    )


def is_finished(found: Found, known: Known, same: Same) -> bool:
    """Done, and kept here: of all states, only this one never changes again."""
    return any(
        state is JobState.DONE and not filed and same(identity, found.identity)
        for state, identity, filed in known.get(found.path, ())
    )
