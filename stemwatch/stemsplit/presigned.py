"""Wire B, "presigned": a ticket, a PUT to storage, then `POST /jobs` (StemSplit's documented API).

The upload costs nothing and may be done ahead; only `POST /jobs` is paid. Each job's `fileName`
carries a token, so that after an unanswered call the list of jobs tells whether it was taken.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from stemwatch.codes import Code
from stemwatch.errors import PauseService, Reject, RetryLater, Unconfirmed
from stemwatch.job import Options
from stemwatch.limits import Limits
from stemwatch.media_types import media_type
from stemwatch.stemsplit import answers_presigned, signatures
from stemwatch.stemsplit.answers import (
    Answer,
    accepted,
    bad_answer,
    get_fault,
    list_fault,
    post_fault,
    put_fault,
)
from stemwatch.stemsplit.calls import Calls
from stemwatch.stemsplit.interface import RemoteJob, Submitted, TooLarge, Upload, WebhookEvent
from stemwatch.stemsplit.kept_uploads import KEPT, KeptUploads
from stemwatch.stemsplit.line.body import FileBody, JsonBody, plain_name
from stemwatch.stemsplit.line.standstill import Patience
from stemwatch.stemsplit.rate_headers import unix_seconds

_OUTPUTS = {2: "BOTH", 4: "FOUR_STEMS", 6: "SIX_STEMS"}
_PAGE = 100
_PAGES = 100  # pages of the list of jobs that are read before giving up
_NAME_LIMIT = 120  # characters of a name before its token


@dataclass(frozen=True, slots=True)
class _Ticket:
    url: str
    key: str
    content_type: str


class PresignedApi:
    """`interface.SeparationApi` for StemSplit's OpenAPI document; calls go through `calls`.

    `kept` is the time in seconds for which `KeptUploads` keeps an upload.
    """

    lists_jobs = True
    tells_credit = True
    # Each ticket also says how large its file may be.
    limits = Limits(shortest=5.0, longest=3600.0, largest=4 << 30)
    signature = signatures.Signature("x-webhook-signature", signatures.BODY)

    def __init__(
        self, calls: Calls, *, kept: float = KEPT, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._calls = calls
        self.keeps_uploads: float | None = kept
        self._uploaded = KeptUploads(kept, clock)
        self.download = calls.download
        self.aclose = calls.aclose

    async def submit(
        self,
        upload: Upload,
        options: Options,
        *,
        idempotency_key: str,
        before_last_bytes: Callable[[], Awaitable[None]],
        on_sent: Callable[[int], None],
    ) -> Submitted:
        """Upload unless that was done already, await `before_last_bytes`, then `POST /jobs`."""
        identity = _identity(upload)
        which = upload.content or identity
        kept = self._uploaded.find(which)
        if kept is None:
            kept = self._uploaded.add(which, *await self._upload(upload, on_sent))
            await self._calls.permit()
        await self._uploaded.in_time(kept, before_last_bytes)
        if _identity(upload) != identity:
            raise RetryLater("The file changed before it was submitted.", code=Code.CHANGED)
        body = JsonBody(
            {
                "uploadKey": kept.key,
                "fileName": named_with(upload.filename, idempotency_key),
                "outputType": _OUTPUTS[options.stems],
                "quality": "BEST",
                "outputFormat": options.format.upper(),
                "metadata": {"stemwatch": token_of(idempotency_key)},
            }
        )
        patience = Patience(self._calls.answer_timeout)
        try:
            answer = await self._calls.spend(
                "/jobs", body, idempotency_key=idempotency_key, patience=patience
            )
            if answer.status not in {401, 402, 403, 408, 425, 429} and answer.status < 500:
                self._uploaded.drop(which)  # used up, or the very thing that was refused
            if (lost := answers_presigned.lost_upload(answer, kept)) is not None:
                raise lost
            kept.in_doubt |= answer.status >= 500 and body.whole
            return accepted(answer, body_sent=body.whole)
        except Unconfirmed:
            self._uploaded.drop(which)  # perhaps used up
            raise

    async def find_submission(self, idempotency_key: str, *, since: float) -> Submitted | None:
        """Look through `GET /jobs`, newest first, for the token of this submission.

        Returns None only if every job submitted after `since` (Unix seconds) was looked at. Raises
        RetryLater or PauseService where the list can't be read that far.
        """
        token, offset, hidden = token_of(idempotency_key), 0, False
        for _ in range(_PAGES):
            answer = await self._calls.get("/jobs", limit=_PAGE, offset=offset)
            if answer.status != 200:
                raise list_fault(answer)
            page = answers_presigned.parse_page(answer)
            for remote_id, name in page.names:
                if token in name:
                    return Submitted(remote_id, answer.request_id)
            hidden |= page.may_hide(since)
            if page.last or page.all_before(since):
                if hidden:
                    raise bad_answer(answer, "a list with a job that has no name")
                return None
            offset += len(page.times)
            await self._calls.permit()
        raise bad_answer(answer, f"a list of more than {_PAGES * _PAGE} jobs")

    async def job(self, remote_id: str, *, stems: int) -> RemoteJob:
        """GET /jobs/{id}: one poll, with fresh addresses of the stems."""
        answer = await self._calls.get(f"/jobs/{quote(remote_id, safe='')}")
        if answer.status != 200:
            raise get_fault(answer)
        return answers_presigned.parse_detail(answer, remote_id, stems=stems)

    async def balance(self) -> float | None:
        """GET /balance."""
        answer = await self._ask("/balance")
        seconds = answers_presigned.seconds((answer.json() or {}).get("balanceSeconds"))
        if seconds is None:
            raise bad_answer(answer, "not a balance")
        return seconds

    async def check_key(self) -> None:
        await self.balance()

    async def is_here(self) -> bool:
        """GET /jobs: the list is at the very path that jobs are submitted to."""
        answers_presigned.parse_page(await self._ask("/jobs", limit=1))
        return True

    async def register_webhook(self, url: str, *, known: bool) -> str | None:
        """Register `url` once. A registration whose secret is not `known` (any more) is replaced.

        The API tells a secret only once. Returns None if the registration stands.
        """
        answer = await self._ask("/webhooks")
        for hook_id in answers_presigned.webhooks_at(answer, url):
            if known:
                return None
            await self._calls.permit()
            await self._calls.send("DELETE", f"/webhooks/{quote(hook_id, safe='')}")
        events = ["job.completed", "job.failed"]
        await self._calls.permit()
        made = await self._calls.send("POST", "/webhooks", {"url": url, "events": events})
        return signatures.registered(made)

    def parse_webhook(
        self,
        headers: Mapping[str, str],
        body: bytes,
        *,
        secrets: Collection[str],
        scheme: str | None,
        now: float,
    ) -> WebhookEvent:
        """Read wire B's callback: an envelope whose signed `timestamp` says how old it is."""
        data = signatures.verified(self.signature.of(scheme), headers, body, secrets, now)
        signatures.require_recent(unix_seconds(data.get("timestamp")), now)
        inner: Any = data.get("data")
        inner = inner if isinstance(inner, dict) else {}
        return signatures.event(inner.get("jobId"), inner.get("status") or data.get("event"))

    async def _ask(self, path: str, **query: int) -> Answer:
        """The 200 to a GET that is about no job. Raises the fault of any other answer."""
        answer = await self._calls.get(path, **query)
        if 300 <= answer.status < 400 or answer.status in {404, 405}:
            raise post_fault(answer, body_sent=False)  # the address is wrong
        if answer.status != 200:
            raise get_fault(answer)
        return answer

    # -- the upload ------------------------------------------------------------------------

    async def _upload(self, upload: Upload, on_sent: Callable[[int], None]) -> tuple[str, float]:
        """Get a ticket and PUT the file; a refused ticket is renewed once.

        Returns the ticket's key, and when it was asked for.
        """
        for last in (False, True):
            asked = self._uploaded.now()
            ticket = await self._ticket(upload)
            on_sent(0)
            patience = Patience(self._calls.upload_timeout)
            body = FileBody(upload, ticket.content_type, patience=patience, on_sent=on_sent)
            try:
                answer = await self._calls.put(ticket.url, body)
            except Reject as fault:  # never the song's fault
                raise _no_upload(fault.message) from fault
            if 200 <= answer.status < 300:
                return ticket.key, asked
            if answer.status != 403 or last:
                break
            await self._calls.permit()
        raise put_fault(answer)

    async def _ticket(self, upload: Upload) -> _Ticket:
        name = plain_name(upload.filename)
        asked = {"filename": name, "contentType": media_type(name)}
        answer = await self._calls.send("POST", "/upload", asked)
        data = answer.json() if 200 <= answer.status < 300 else None
        if data is None:
            raise post_fault(answer, body_sent=False)
        url, key = data.get("uploadUrl"), data.get("uploadKey")
        if not isinstance(url, str) or not isinstance(key, str) or not url or not key:
            raise bad_answer(answer, "not an upload's ticket")
        most = answers_presigned.seconds(data.get("maxFileSizeBytes"))
        if most is not None and 0 < most < upload.size:
            raise TooLarge(int(most))
        kind = data.get("contentType")
        safe = isinstance(kind, str) and kind.isascii() and kind.isprintable()
        return _Ticket(url, key, kind if safe and kind else asked["contentType"])


def token_of(idempotency_key: str) -> str:
    """The word that tells one submission from all others; ASCII letters, digits and a hyphen."""
    return f"sw-{idempotency_key[:20]}"


def named_with(filename: str, idempotency_key: str) -> str:
    """`Song [sw-...].mp3`: still readable in StemSplit's dashboard."""
    name, dot, extension = plain_name(filename).rpartition(".")
    if not dot or len(extension) > 8:
        name, dot, extension = plain_name(filename), "", ""
    return f"{name[:_NAME_LIMIT]} [{token_of(idempotency_key)}]{dot}{extension}"


def _identity(upload: Upload) -> tuple[int, ...]:
    now = os.fstat(upload.fd)
    return (now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns)


def _no_upload(why: str) -> PauseService:
    return PauseService(
        f"The API gave an upload address that is refused: {why}",
        code=Code.ENDPOINT,
        hint="Check api.base_url in the configuration (`stemwatch check`).",
    )
