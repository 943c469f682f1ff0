"""What a server asks of its records and of its queue, wherever they are kept: no I/O here.

`JsonRecords` and `Queue` keep them in one process; the room `cluster` keeps them in PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from stemwatch.server.work.record import Record


class Unavailable(Exception):
    """The records can't be reached now; the same call may pass a little later."""


class NotEnough(Exception):
    """The credit of the job's owner is less than the job needs; `left` in seconds of audio."""

    def __init__(self, left: int) -> None:
        super().__init__(f"{left} s are left")
        self.left = left


class Records(Protocol):
    """The jobs. Each change is durable when its call returns. Calls may raise Unavailable."""

    async def get(self, job_id: str) -> Record | None: ...

    async def by_key(self, key: str | None, owner: str = "") -> Record | None:
        """The job that `owner` made under this idempotency key; None if there is none."""
        ...

    async def add(self, record: Record, allowance: int | None = None) -> Record:
        """Make the job exist, its files admitted with it; the job made earlier under its key wins.

        `allowance`: seconds of audio that the owner may have in all; None: no limit. Raises
        NotEnough, and OSError, after which the job doesn't exist.
        """
        ...

    async def save(self, record: Record) -> None:
        """Replace the record of a job that has not ended."""
        ...

    async def complete(self, record: Record, work: str) -> bool:
        """Publish the stems in the folder `work`, record the end, delete the input.

        Returns False where another attempt had ended the job: then nothing of it is changed.
        """
        ...

    async def fail(self, record: Record) -> bool:
        """Record a failure; the input goes with the job, if not at once. False as of `complete`."""
        ...

    async def ended_before(self, moment: float) -> Sequence[Record]:
        """Jobs that ended before this Unix time, the oldest first, perhaps not all at once."""
        ...

    async def expire(self, record: Record) -> None:
        """Delete the stems and free the idempotency key; the rest of the record is still shown."""
        ...

    async def remove(self, record: Record) -> None:
        """Delete a whole job; its owner has its credits back. After an OSError it stays."""
        ...

    async def spent(self, owner: str) -> int:
        """Seconds of audio of the owner's jobs."""
        ...


class Standing(NamedTuple):
    """How a job that has not ended stands; `position`: how many wait before it (None: it runs)."""

    waiting: bool = False
    progress: float = 0.0
    position: int | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """How much there is to do. `oldest`: seconds that the first one has waited; None: none waits.

    `workers`: what each of them tells of itself, such as its engine and device.
    """

    waiting: int
    running: int
    oldest: float | None
    seats: int
    workers: Sequence[Mapping[str, Any]]


class Board(Protocol):
    """Shows what waits and runs. Calls may raise Unavailable."""

    async def load(self) -> Load: ...

    async def standing(self, record: Record) -> Standing: ...

    async def page(
        self, owner: str, status: str | None, limit: int, offset: int
    ) -> tuple[list[tuple[Record, Standing]], int]:
        """Some of the owner's jobs, newest first, and how many there are.

        `status`: waiting, running, completed, failed, expired; None: any.
        """
        ...

    def put(self, record: Record) -> None:
        """Take up a job that was just added."""
        ...
