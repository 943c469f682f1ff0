"""What the rounds through an inbox see of a service, where a test or benchmark stands in for it."""

from __future__ import annotations

from stemwatch.errors import StemwatchError
from stemwatch.inbox.scan import Found
from stemwatch.job import Identity


class Front:
    """Always online and never in trouble; whoever uses it says what `admit` does."""

    async def admit(self, found: Found, *, patient: bool) -> None:
        raise NotImplementedError

    def expect(self, path: str, seen: Identity) -> None: ...

    def forget(self, path: str) -> None: ...

    async def require_online(self) -> None:
        pass

    def same(self, one: Identity | None, other: Identity) -> bool:
        return one == other

    def scanned(self) -> None: ...

    def offline(self, fault: StemwatchError) -> None:
        raise fault

    def unforeseen(self, fault: Exception) -> None:
        raise fault

    def trouble(self, fault: StemwatchError) -> None:
        raise fault
