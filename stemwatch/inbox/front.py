"""`Front`, the interface through which the rounds of the inbox use the rest of the service."""

from __future__ import annotations

from typing import Protocol

from stemwatch.errors import PauseService, StemwatchError
from stemwatch.inbox.scan import Found
from stemwatch.job import Identity


class Front(Protocol):
    """What the rounds of one inbox call; the service implements it."""

    async def admit(self, found: Found, *, patient: bool) -> None:
        """Add this settled file to the journal. Raises what `Intake.admit` does."""

    def expect(self, path: str, seen: Identity) -> None:
        """The file at `path` is likely to settle soon. `seen` is its identity just now."""

    def forget(self, path: str) -> None:
        """The file at `path` changed, or is no longer followed."""

    async def require_online(self) -> None:
        """Raise PauseService(code="inbox") unless its file system is mounted and answers."""

    def same(self, one: Identity | None, other: Identity) -> bool:
        """Whether two identities, seen at the same path, are of the same unchanged file."""

    def scanned(self) -> None:
        """A whole scan of the inbox has ended."""

    def offline(self, fault: PauseService) -> None:
        """The inbox's folder or its disk is missing."""

    def unforeseen(self, fault: Exception) -> None:
        """A fault of our own that any file may meet."""

    def trouble(self, fault: StemwatchError) -> None:
        """A fault that is not one file's own, such as a full journal."""
