"""Wire A, "separate": POST the file, GET the job, fetch its stems (the tutorial's API)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from http import HTTPStatus
from urllib.parse import quote

from stemwatch.codes import Code
from stemwatch.errors import RetryLater, Unconfirmed
from stemwatch.job import Options
from stemwatch.limits import Limits
from stemwatch.stemsplit import signatures
from stemwatch.stemsplit.answers import accepted, get_fault, post_fault
from stemwatch.stemsplit.answers_separate import parse_job
from stemwatch.stemsplit.calls import Calls
from stemwatch.stemsplit.interface import RemoteJob, Submitted, Upload, WebhookEvent
from stemwatch.stemsplit.line.multipart import MultipartBody
from stemwatch.stemsplit.line.standstill import Patience

KEY_PROBE = "stemwatch-key-check"  # a job that can't exist
# Statuses that servers and proxies give to a body that stands still. Some give 400 or another 5xx
# instead. After _STOOD_STILL seconds of waiting, those too mean the wait and not the song: the
# server has not seen the song's end.
_TIMED_OUT = frozenset({408, 502, 504})
_STOOD_STILL = 1.0


class SeparateApi:
    """`interface.SeparationApi` for the tutorial's API; its calls go through `calls`."""

    lists_jobs = False  # nothing documented tells whether an unanswered submission was taken
    tells_credit = False
    limits = Limits(largest=100 * 1024 * 1024)  # how long a song may be is documented nowhere
    keeps_uploads: float | None = None
    signature = signatures.Signature("x-stemsplit-signature", signatures.TIMESTAMPED)

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._webhook_url: str | None = None
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
        """POST /separate, its closing boundary held back until `before_last_bytes` returns."""
        patience = Patience(self._calls.upload_timeout)

        async def hold() -> None:
            patience.pause()
            try:
                await before_last_bytes()
            finally:  # also if the server answers early: half an answer must not last for ever
                patience.wait(self._calls.answer_timeout)

        fields = {"stems": str(options.stems), "format": options.format}
        if self._webhook_url is not None:
            fields["webhook_url"] = self._webhook_url
        body = MultipartBody(upload, fields, patience=patience, hold=hold, on_sent=on_sent)
        try:
            answer = await self._calls.spend(
                "/separate", body, idempotency_key=idempotency_key, patience=patience
            )
        except RetryLater as fault:
            if body.dropped:
                raise _not_waited(fault.message) from fault
            raise
        if body.dropped and _only_timed_out(answer.status, body.held):
            words = f"{answer.where} was answered with {answer.status}."
            raise _not_waited(words, http_status=answer.status)
        return accepted(answer, body_sent=body.whole)

    async def find_submission(self, idempotency_key: str, *, since: float) -> Submitted | None:  # noqa: ARG002
        raise Unconfirmed("This API can't list its jobs: it can't be asked whether this one ran.")

    async def job(self, remote_id: str, *, stems: int) -> RemoteJob:
        """GET /jobs/{id}: one poll."""
        answer = await self._calls.get(f"/jobs/{quote(remote_id, safe='')}")
        if answer.status != 200:
            raise get_fault(answer)
        return parse_job(answer, remote_id, stems=stems)

    async def balance(self) -> float | None:
        return None  # no such call is documented

    async def check_key(self) -> None:
        """Ask for a job that can't exist: an API that accepts the key answers 404.

        Other servers answer 400, 410 or 422. These count too: a pause that waits for a status that
        its server never gives would not end.
        """
        answer = await self._calls.get(f"/jobs/{KEY_PROBE}")
        if 300 <= answer.status < 400:
            raise post_fault(answer, body_sent=False)  # the address is wrong, not a job
        if answer.status not in {200, 400, 404, 410, 422}:
            raise get_fault(answer)

    async def is_here(self) -> bool:
        """GET /separate: a 405 ("only POST") proves that the path exists.

        A 404 proves nothing: some servers give it for every method that a path does not have.
        """
        await self.check_key()
        await self._calls.permit()
        return (await self._calls.get("/separate")).status == HTTPStatus.METHOD_NOT_ALLOWED

    async def register_webhook(self, url: str, *, known: bool) -> str | None:
        """POST /webhooks unless the secret is `known`; returns the secret that the API gave.

        This API can't list its webhooks, so each start would register one more. From then on each
        job names `url` as well. It does not before, as nobody could verify those calls.
        """
        made = None
        if not known:
            made = signatures.registered(await self._calls.send("POST", "/webhooks", {"url": url}))
        self._webhook_url = url
        return made

    def parse_webhook(
        self,
        headers: Mapping[str, str],
        body: bytes,
        *,
        secrets: Collection[str],
        scheme: str | None,
        now: float,
    ) -> WebhookEvent:
        """Read the tutorial's callback, whose body is the job's own JSON."""
        data = signatures.verified(self.signature.of(scheme), headers, body, secrets, now)
        return signatures.event(data.get("job_id"), data.get("status"))


def _only_timed_out(status: int, held: float) -> bool:
    failed = status == 400 or status >= 500
    return status in _TIMED_OUT or (failed and held >= _STOOD_STILL)


def _not_waited(why: str, http_status: int | None = None) -> RetryLater:
    """An uncounted fault: the server closed an upload that waited for a slot. Nothing was paid."""
    return RetryLater(
        f"the server did not wait for the upload's end: {why}",
        code=Code.NOT_WAITED,
        http_status=http_status,
        counts=False,
        after=0.0,
    )
