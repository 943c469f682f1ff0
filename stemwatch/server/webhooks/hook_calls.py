"""One call of a webhook: signed in the form of its wire, with a delivery id, within a time."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from stemwatch import __version__
from stemwatch.server.work.record import Record

if TYPE_CHECKING:
    import httpx

BUDGET = 10.0  # seconds that a receiver has to answer
WAITS = (1.0, 5.0, 30.0, 120.0, 600.0)  # seconds before each further call

Payload = Callable[[Record], dict[str, Any]]


class Target(NamedTuple):
    url: str
    wire: str
    secret: str


def delivery(record: Record, target_id: str) -> str:
    """The same for each call about this end of a job, from whichever server."""
    told = f"{record.id} {target_id} {record.finished_at}"
    return f"whd_{sha256(told.encode()).hexdigest()[:24]}"


class Calls:
    """Calls webhooks; `now` gives Unix seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._client: httpx.AsyncClient | None = None

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def call(self, target: Target, payload: dict[str, Any], delivery: str) -> str | None:
        """Call once; None if it was taken, else why not, without the URL: it may be secret."""
        import httpx

        if self._client is None:
            self._client = httpx.AsyncClient(
                headers={"User-Agent": f"stemwatch/{__version__}"},
                timeout=BUDGET,
                # Each receiver has a few, from whoever calls: those of one must not be all.
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
                trust_env=False,
                follow_redirects=False,  # the next hop was not checked by anybody
            )
        body = json.dumps(payload, separators=(",", ":")).encode()
        headers = {"Content-Type": "application/json", "Webhook-Id": delivery}
        headers |= self._signature(target, body)
        try:
            async with (
                asyncio.timeout(BUDGET),  # of the whole call: httpx's timeout is for each read
                self._client.stream("POST", target.url, content=body, headers=headers) as answer,
            ):
                return None if answer.is_success else f"HTTP {answer.status_code}"
        except TimeoutError:
            return f"no answer within {BUDGET:.0f} s"
        # ValueError: httpx's own parts leak one for a host `xn--` that is none, also in a redirect.
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as fault:
            return f"{type(fault).__name__} from {urlsplit(target.url).hostname}"

    def _signature(self, target: Target, body: bytes) -> dict[str, str]:
        """The signature header. Made anew for each call: its time shows that it is no replay."""
        key = target.secret.encode()
        if target.wire == "presigned":
            return {"X-Webhook-Signature": f"sha256={hmac.new(key, body, sha256).hexdigest()}"}
        moment = str(int(self._now()))
        mac = hmac.new(key, moment.encode() + b"." + body, sha256).hexdigest()
        return {"X-StemSplit-Signature": f"t={moment},v1={mac}"}
