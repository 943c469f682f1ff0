"""Receives webhook calls: checks the signature, then has the job polled at once.

No I/O: the answer to a call leaves within milliseconds. What a call says is not believed; the job
is asked for with the key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from stemwatch.log import log
from stemwatch.stemsplit.signatures import Forged, Stale
from stemwatch.workers.context import Context


class Callbacks:
    """Receives calls. `secrets` gives those that are valid now; `counts` how calls were judged."""

    def __init__(
        self, ctx: Context, secrets: Callable[[], Sequence[str]], scheme: str | None
    ) -> None:
        self._ctx = ctx
        self._secrets = secrets
        self._scheme = scheme
        self.counts: Counter[str] = Counter()

    def receive(self, headers: Mapping[str, str], body: bytes) -> int:
        """The HTTP status to answer: 200, 400 (old, or not a callback) or 401 (forged).

        `headers` with lower-case names, `body` as it came.
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
            self.counts["unknown"] += 1  # twice, somebody else's, or quicker than our own answer
        return 200

    def _refuse(self, how: str, status: int, fault: Forged | Stale) -> int:
        self.counts[how] += 1
        if self.counts[how] == 1:  # once: whoever knows the address could fill the log
            log.warning("webhook.refused", code=fault.code, message=fault.message)
        return status
