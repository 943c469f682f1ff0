"""`Front`, the interface through which the rounds of the inbox use the rest of the service."""

from __future__ import annotations

from typing import Protocol

from stemwatch.errors import PauseService, StemwatchError
from stemwatch.inbox.scan import Found
from stemwatch.job import Identity


class Front(Protocol):
    """What the rounds need of the rest of the service."""

    async def admit(self, found: Found, *, patient: bool) -> None:
        """Journal this settled file. Raises what `Intake.admit` does."""

    def expect(self, path: str, seen: Identity) -> None:
        """This file, as it was just seen, has stood still for half of its quiet window."""

    def forget(self, path: str) -> None:
        """This file did not stand still, or is followed no more."""

    async def require_online(self) -> None:
        """Raise PauseService(code="inbox") unless its file system is mounted and answers."""

    def same(self, one: Identity | None, other: Identity) -> bool:
        """Whether two looks saw the same file."""

    def scanned(self) -> None:
        """The inbox was looked through."""

    def offline(self, fault: PauseService) -> None:
        """The inbox is not there."""

    def unforeseen(self, fault: Exception) -> None:
        """A fault of our own, over a file that may be any."""

    def trouble(self, fault: StemwatchError) -> None:
        """A fault that is not one file's own, such as a full journal."""
