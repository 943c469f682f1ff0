"""How the service is: does it do its work, and if not, why not. No I/O: it answers at once.

A pause that ends by itself (a server that is down, a 429) leaves the service ready: nothing here is
wrong, and the work goes on without anybody. One that a person has to end (the key, the credit, a
full disk, an absent inbox) does not. The texts are fixed: a pause's own message names songs and
folders, and this may be read by a whole network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from stemwatch.codes import Code, rule_of
from stemwatch.errors import StemwatchError
from stemwatch.workers.context import Context
from stemwatch.workers.pool.turns import Pool

POOL_PATIENCE = 60.0  # seconds that one turn of the pool may take; the journal's lock may need 30
PAUSE_WORDS: Mapping[str, str] = {
    Code.ON_HOLD: "somebody paused it; `stemwatch resume` ends that",
    Code.OFF_HOURS: "it is outside the hours of `schedule.submit`",
    Code.AUTH: "the API refuses the key",
    Code.CREDIT: "the account has no credit left",
    Code.ENDPOINT: "the API's address is wrong",
    Code.SERVER: "the API can't be reached",
    Code.SERVER_ERROR: "the API fails to take songs",
    Code.STORAGE: "the API's storage can't be reached",
    Code.RATE_LIMITED: "the API asked for time (429)",
    Code.DISK: "the results' disk can't be written",
    Code.ROOM: "the results' disk has too little room",
    Code.INBOX: "the inbox can't be reached",
    Code.JOURNAL: "the journal can't be written",
    Code.INTERNAL: "a fault of stemwatch itself holds it up",
    Code.AUDIO_HELPER: "the audio helper does not work",
}


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason. `code` is stable; `message` is for people."""

    code: str
    message: str


class RoundsView(Protocol):
    """What it asks of the rounds through all inboxes."""

    @property
    def completed(self) -> int:
        """Whole scans."""

    @property
    def healthy(self) -> bool:
        """Whether hints come, where they should."""

    @property
    def unreadable(self) -> Mapping[str, str]:
        """Paths that can't be read, with why."""

    def standstill(self) -> float:
        """Seconds since the last sign that they go on."""


class Health:
    """Asked at every call of /readyz; `patience` in seconds for one round, as configured now."""

    def __init__(
        self, context: Context, rounds: RoundsView, pool: Pool, *, patience: Callable[[], float]
    ) -> None:
        self.context = context
        self.rounds = rounds
        self._pool = pool
        self._patience = patience
        self.stopping = False

    def pauses(self) -> list[Reason]:
        """Every pause, whether or not it makes the service unready."""
        return [
            Reason(
                pause.code,
                PAUSE_WORDS.get(pause.code, "it can't work; `stemwatch status` says why"),
            )
            for pause in self.context.gate.pauses
        ]

    def reasons(self) -> list[Reason]:
        """Why the service does not do its work; none: it is ready."""
        return [*self._own(), *(p for p in self.pauses() if not rule_of(p.code).passes)]

    def _own(self) -> list[Reason]:
        """Reasons that are no pause."""
        found = []
        if self.stopping:
            found.append(Reason("stopping", "the service is being stopped"))
        elif not self.rounds.completed:
            found.append(Reason("first_scan", "the inbox was not looked through yet"))
        elif not self.rounds.healthy:
            found.append(Reason("watcher", "the inbox's watcher is down; the rescans go on"))
        if self.rounds.standstill() > self._patience():
            found.append(Reason("rounds", "the rounds through the inbox stand still"))
        if self._pool.standstill() > POOL_PATIENCE:
            found.append(Reason("pool", "the workers stand still"))
        try:
            self.context.journal.require_sound()
        except StemwatchError:
            found.append(Reason("journal_damaged", "the journal's disk failed"))
        return found
