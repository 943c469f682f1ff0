"""A pause: one reason why work is held back, as the gate keeps it."""

from __future__ import annotations

from dataclasses import dataclass

from stemwatch.codes import Code, Rule, rule_of
from stemwatch.errors import PauseService


@dataclass(frozen=True, slots=True)
class Pause:
    """One reason why work is held back. `since`, `until` and `met` are monotonic seconds.

    `inbox` names the inbox whose songs are held; None holds everybody's. `until` is the time of the
    next try, of an `ordered` pause its end (`inf`: not known). `met`: when a request last met the
    cause. `tried`: a try is under way. `cleared`: a trial may begin, because a probe found nothing
    against it or because no probe can tell.
    """

    code: str
    message: str
    hint: str
    since: float
    until: float
    attempts: int = 1
    inbox: str | None = None
    tried: bool = False
    met: float = 0.0
    cleared: bool = False

    @property
    def key(self) -> tuple[str, str | None]:
        return self.code, self.inbox

    @property
    def rule(self) -> Rule:
        return rule_of(self.code)


def outage(message: str, code: str = Code.SERVER, after: float | None = None) -> PauseService:
    """The pause for a server that does not answer, or (`server_error`) that accepts no song."""
    hint = "Nothing to do: it is tried again, and goes on by itself. `api.base_url` names it."
    return PauseService(message, code=code, hint=hint, after=after)
