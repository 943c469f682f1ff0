"""Calls the webhooks at a job's end: signed, and repeated where a call fails.

The job's record holds who is still to be told, so that a restart goes on from there. A receiver may
be told twice. It is always told if one of the repeated calls reaches it.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from stemwatch import __version__
from stemwatch.server.webhooks.registrations import Registrations
from stemwatch.server.work.record import Record
from stemwatch.server.work.store import Store
from stemwatch.tasks import supervised

if TYPE_CHECKING:
    import httpx

BUDGET = 10.0  # seconds that a receiver has to answer
WAITS = (1.0, 5.0, 30.0, 120.0, 600.0)  # seconds before each further call
ITS_OWN = "webhook_url"  # the target that a job brought along

Payload = Callable[[Record], dict[str, Any]]


class _Target(NamedTuple):
    url: str
    wire: str
    secret: str


class Callbacks:
    """Tells registered webhooks, and a job's own `webhook_url`, of each job's end.

    `payloads` by wire; `secret` signs for a job's own `webhook_url` (None: that is not called).
    `now` gives Unix seconds; `waits` are the seconds that `sleep` spends before each further call;
    `report` gets a line for each webhook given up; `broken` is told of a fault of our own.
    """

    def __init__(
        self,
        store: Store,
        registrations: Registrations,
        *,
        payloads: dict[str, Payload],
        secret: str | None,
        now: Callable[[], float],
        report: Callable[[str], None],
        broken: Callable[[BaseException], None],
        waits: Sequence[float] = WAITS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._registrations = registrations
        self._payloads = payloads
        self._secret = secret
        self._now = now
        self._report = report
        self._broken = broken
        self._waits = waits
        self._sleep = sleep
        self._client: httpx.AsyncClient | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def signs_for(self, url: str) -> bool:
        """Whether a job may name this URL as its own: no call is sent unsigned."""
        return self._secret is not None or self._registered(url)

    def due(self, record: Record) -> tuple[str, ...]:
        """The ids of the webhooks to tell of this job's end, for its record's `untold`."""
        event = f"job.{record.state}"
        due = [one.id for one in self._registrations.all() if event in one.events]
        if record.webhook_url is not None and not self._registered(record.webhook_url):
            due.append(ITS_OWN)
        return tuple(due)

    def put(self, record: Record) -> None:
        """Start to tell every webhook in the record's `untold`."""
        for target in record.untold:
            task = supervised(self._tell(record.id, target), self._broken)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def start(self) -> None:
        """Take up what an earlier run of the server left."""
        for record in self._store.all():
            self.put(record)

    async def stop(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    async def _tell(self, job_id: str, target_id: str) -> None:
        try:
            error = await self._attempts(job_id, target_id)
            if error is not None:
                self._report(f"{job_id}: the webhook {target_id} is given up: {error}")
            await asyncio.to_thread(self._store.told, job_id, target_id)
        except OSError as fault:  # the disk: told again after the next start
            self._report(f"{job_id}: the webhook {target_id} is not noted: {fault}")

    async def _attempts(self, job_id: str, target_id: str) -> str | None:
        """Call until it is taken; returns None, or the last error if it never was.

        Also None where nobody is to be told any more: the job or the registration is gone.
        """
        error: str | None = None
        for wait in (0.0, *self._waits):
            await self._sleep(wait)
            record, target = self._store.get(job_id), self._target(job_id, target_id)
            if record is None or record.state == "expired" or target is None:
                return None
            error = await self._call(target, self._payloads[target.wire](record))
            await asyncio.to_thread(self._registrations.called, target_id, error)
            if error is None:
                break
        return error

    def _target(self, job_id: str, target_id: str) -> _Target | None:
        if target_id == ITS_OWN:
            record = self._store.get(job_id)
            if record is None or record.webhook_url is None or self._secret is None:
                return None
            return _Target(record.webhook_url, "separate", self._secret)
        known = self._registrations.get(target_id)
        return None if known is None else _Target(known.url, known.wire, known.secret)

    async def _call(self, target: _Target, payload: dict[str, Any]) -> str | None:
        """Call once; None if it was taken, else why not, without the URL: it may be secret."""
        import httpx

        if self._client is None:
            self._client = httpx.AsyncClient(
                headers={"User-Agent": f"stemwatch/{__version__}"},
                timeout=BUDGET,
                trust_env=False,
                follow_redirects=False,  # the next hop was not checked by anybody
            )
        body = json.dumps(payload, separators=(",", ":")).encode()
        headers = {"Content-Type": "application/json", **self._signature(target, body)}
        try:
            async with (
                asyncio.timeout(BUDGET),  # of the whole call: httpx's timeout is for each read
                self._client.stream("POST", target.url, content=body, headers=headers) as answer,
            ):
                return None if answer.is_success else f"HTTP {answer.status_code}"
        except TimeoutError:
            return f"no answer within {BUDGET:.0f} s"
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as fault:
            return f"{type(fault).__name__} from {urlsplit(target.url).hostname}"

    def _signature(self, target: _Target, body: bytes) -> dict[str, str]:
        """The signature header. Made anew for each call: its time shows that it is no replay."""
        key = target.secret.encode()
        if target.wire == "presigned":
            return {"X-Webhook-Signature": f"sha256={hmac.new(key, body, sha256).hexdigest()}"}
        moment = str(int(self._now()))
        mac = hmac.new(key, moment.encode() + b"." + body, sha256).hexdigest()
        return {"X-StemSplit-Signature": f"t={moment},v1={mac}"}

    def _registered(self, url: str) -> bool:
        return any(one.url == url for one in self._registrations.of("separate"))
