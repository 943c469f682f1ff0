"""Receives webhook calls: checks the signature, then has the job polled at once.

No I/O, so that a call is answered within milliseconds. A call's content is not trusted: the job's
state comes from the poll, which is made with the key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from stemwatch.log import log
from stemwatch.stemsplit.signatures import Forged, Stale
from stemwatch.workers.context import Context


class Callbacks:
    """Receives calls. `secrets` gives the valid secrets; `counts` counts calls by judgement."""

    def __init__(
        self, ctx: Context, secrets: Callable[[], Sequence[str]], scheme: str | None
    ) -> None:
        self._ctx = ctx
        self._secrets = secrets
        self._scheme = scheme
        self.counts: Counter[str] = Counter()

    def receive(self, headers: Mapping[str, str], body: bytes) -> int:
        """Judge a call and return the HTTP status: 200, 400 (old, or no callback) or 401 (forged).

        `headers` has lower-case names; `body` is the request's body, unchanged.
        """
        ctx = self._ctx
        try:
            event = ctx.api.parse_webhook(
                headers, body, secrets=self._secrets(), scheme=self._scheme, now=ctx.now()
            )
        except Forged as fault:
            return self._refuse("forged", 401, fault)
        except Stale as fault:
            return self._refuse("stale", 400, fault)
        if not event.ended:
            self.counts["early"] += 1
        elif ctx.polls.called(event.remote_id, ctx.clock()):
            self.counts["taken"] += 1
            ctx.bell.wake()
        else:
            # A repeated call, another client's job, or a call that came before our own answer.
            self.counts["unknown"] += 1
        return 200

    def _refuse(self, how: str, status: int, fault: Forged | Stale) -> int:
        self.counts[how] += 1
        if self.counts[how] == 1:  # only once, or anybody who knows the address could fill the log
            log.warning("webhook.refused", code=fault.code, message=fault.message)
        return status
