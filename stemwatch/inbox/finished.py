"""Songs that are done and stay in the inbox: rescans skip them without asking the journal.

Asking the journal about each of 10,000 such songs every half minute was most of the work of an idle
service. They are remembered in slices: one hash for 500 songs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice

from stemwatch.inbox.scan import Found
from stemwatch.job import ACTIVE, Identity, JobState

SLICE = 500  # songs in one query of the journal
Known = Mapping[str, Sequence[tuple[JobState, Identity, bool]]]  # of `Journal.known`, by path
Same = Callable[[Identity, Identity], bool]
_PASSED = 20  # slices that are skipped before an empty one is yielded: 70 ms


class FinishedSongs:
    """Remembers the slices of a scan whose songs are all finished, until they look different."""

    def __init__(self) -> None:
        self._before: set[int] = set()
        self._now: set[int] = set()

    def begin(self) -> None:
        """A scan of everything begins: slices that it does not see again are forgotten."""
        self._before, self._now = self._now, set()

    def slices(self, scanned: Iterator[Found]) -> Iterator[list[Found]]:
        """Yield the slices that the journal has to be asked about, as lists of up to `SLICE` songs.

        Any change (a name, a size, a time, an inode, another song between them) makes a slice new.
        Yields an empty list after some skipped slices, so that the caller sees progress.
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
        """Remember this slice: all its songs are done and kept, which never changes again."""
        self._now.add(hash(tuple(found)))


def is_known(found: Found, known: Known, same: Same) -> bool:
    """Whether the journal knows the song, and it belongs here.

    A song that was filed and is in the inbox again is a new drop.
    """
    return any(
        same(identity, found.identity) and (state in ACTIVE or not filed)
        for state, identity, filed in known.get(found.path, ())
    )


def is_finished(found: Found, known: Known, same: Same) -> bool:
    """Whether the song is done and kept here: of all states, only this one never changes again."""
    return any(
        state is JobState.DONE and not filed and same(identity, found.identity)
        for state, identity, filed in known.get(found.path, ())
    )
