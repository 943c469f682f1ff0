"""Wire A, "separate": POST the file, GET the job, fetch its stems (the tutorial's API)."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from urllib.parse import quote

import httpx

from stemwatch import __version__
from stemwatch.errors import RetryLater, StemwatchError, Unconfirmed
from stemwatch.job import Options
from stemwatch.stemsplit.answers import Answer, get_fault, post_fault
from stemwatch.stemsplit.client import RemoteJob, Submitted, Upload
from stemwatch.stemsplit.download import Trust, fetch
from stemwatch.stemsplit.guard import Resolver, SocketBackend, resolve
from stemwatch.stemsplit.jobs import parse_job, usable_id
from stemwatch.stemsplit.multipart import MultipartBody
from stemwatch.stemsplit.sockets import SocketStream
from stemwatch.stemsplit.transport import (
    checked_base,
    checked_key,
    new_client,
    place,
    tls_context,
)

BODY_LIMIT = 1024 * 1024  # bytes of a JSON answer
ERROR_PATIENCE = 10.0  # seconds for an error's explanation; its status alone says what to do
KEY_PROBE = "stemwatch-key-check"  # a job that can't exist


class SeparateApi:
    """One API at `base_url` with one key (None: a local server that wants none).

    Seconds: `connect_timeout` for a connection, `stall_timeout` for any single read or write,
    `upload_timeout` for sending a body (the hold before its last bytes not counted),
    `answer_timeout` for the answer to it (long: giving up then costs a person's attention),
    `poll_timeout` for a whole GET of a job. `tls` replaces the usual certificates.
    """

    def __init__(
        self,
        base_url: str,
        key: str | None,
        *,
        upload_timeout: float = 300.0,
        answer_timeout: float = 300.0,
        poll_timeout: float = 30.0,
        connect_timeout: float = 10.0,
        stall_timeout: float = 60.0,
        resolver: Resolver = resolve,
        user_agent: str = f"stemwatch/{__version__}",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._base = checked_base(base_url)
        self._key = checked_key(key)
        self._upload_timeout = upload_timeout
        self._answer_timeout = answer_timeout
        self._poll_timeout = poll_timeout
        self._timeout = httpx.Timeout(stall_timeout, connect=connect_timeout)
        self._upload_stalls = httpx.Timeout(
            stall_timeout, connect=connect_timeout, read=answer_timeout
        )
        self._resolver = resolver
        self._user_agent = user_agent
        https = httpx.URL(self._base).scheme == "https"
        self._tls = tls or (tls_context() if https else None)
        self._trust = Trust.of(httpx.URL(self._base))
        self._api = self._client(SocketBackend(resolver=resolver), connections=8)
        # Storage never sees the key: a client of its own, through the address guard.
        self._storage = new_client(
            SocketBackend(resolver=resolver, trusted=frozenset({self._trust.host})),
            tls=self._tls,
            connections=16,
            user_agent=user_agent,
            timeout=self._timeout,
        )

    async def submit(
        self,
        upload: Upload,
        options: Options,
        *,
        idempotency_key: str,
        before_last_bytes: Callable[[], Awaitable[None]],
        on_sent: Callable[[int], None],
    ) -> Submitted:
        """POST /separate; `client.SeparationApi` says what is promised."""
        where = f"POST {place(self._base + '/separate')}"
        clock = asyncio.timeout(self._upload_timeout)

        async def hold() -> None:
            clock.reschedule(None)
            await before_last_bytes()
            clock.reschedule(asyncio.get_running_loop().time() + self._answer_timeout)

        fields = {"stems": str(options.stems), "format": options.format}
        body = MultipartBody(upload, fields, hold=hold, on_sent=on_sent)
        try:
            async with clock:
                answer = await self._post(body, idempotency_key, where)
        except httpx.TransportError as exc:
            raise _unanswered(body, where, str(exc) or type(exc).__name__) from exc
        except TimeoutError:
            if not clock.expired():  # the hold's own
                raise
            raise _unanswered(body, where, "it took too long") from None
        remote_id = self._accepted_id(answer) if body.whole else None
        if remote_id is None:
            raise post_fault(answer, body_sent=body.whole)
        return Submitted(remote_id, answer.request_id)

    async def job(self, remote_id: str, *, stems: int) -> RemoteJob:
        """GET /jobs/{id}: one poll."""
        answer = await self._get_job(remote_id)
        if answer.status != 200:
            raise get_fault(answer)
        return parse_job(answer, remote_id, stems=stems)

    async def check_key(self) -> None:
        """Ask for a job that can't exist: an API that knows the key answers 404."""
        answer = await self._get_job(KEY_PROBE)
        if 300 <= answer.status < 400:
            raise post_fault(answer, body_sent=False)  # the address is wrong, not a job
        if answer.status not in {200, 404}:
            raise get_fault(answer)

    async def download(
        self,
        url: str,
        dest_fd: int,
        *,
        limit: int,
        deadline: float,
        on_received: Callable[[int], None],
    ) -> int:
        """Fetch a stem; `client.SeparationApi` says what is promised."""
        return await fetch(
            self._storage,
            self._trust,
            url,
            dest_fd,
            limit=limit,
            deadline=deadline,
            on_received=on_received,
        )

    async def aclose(self) -> None:
        await self._api.aclose()
        await self._storage.aclose()

    async def _post(self, body: MultipartBody, idempotency_key: str, where: str) -> Answer:
        """Each upload has a connection of its own: a kept-alive one that the server is just about
        to close can't spoil it, and the body can see whether its server is still listening."""

        def connected(stream: SocketStream) -> None:
            body.stream = stream

        backend = SocketBackend(resolver=self._resolver, on_connect=connected)
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(self._client(backend, connections=1))
            response = await stack.enter_async_context(
                client.stream(
                    "POST",
                    self._base + "/separate",
                    content=body,
                    headers={**body.headers, "Idempotency-Key": idempotency_key},
                    timeout=self._upload_stalls,
                )
            )
            return await self._read(response, where)

    async def _get_job(self, remote_id: str) -> Answer:
        path = f"/jobs/{quote(remote_id, safe='')}"
        where = f"GET {place(self._base + path)}"
        try:
            async with (
                asyncio.timeout(self._poll_timeout),
                self._api.stream("GET", self._base + path) as response,
            ):
                return await self._read(response, where)
        except httpx.TransportError as exc:
            words = str(exc) or type(exc).__name__
            raise _unreachable(f"{where} got no answer: {words}.") from exc
        except TimeoutError:
            raise _unreachable(f"{where} got no answer in {self._poll_timeout:g} s.") from None

    async def _read(self, response: httpx.Response, where: str) -> Answer:
        body = bytearray()
        failed = response.status_code >= 400
        try:
            async with asyncio.timeout(ERROR_PATIENCE if failed else None):
                async for part in response.aiter_raw():
                    body += part
                    if len(body) > BODY_LIMIT:
                        break
        except (httpx.TransportError, TimeoutError):
            if not failed:
                raise
        return Answer(
            status=response.status_code,
            headers=dict(response.headers),
            body=bytes(body[:BODY_LIMIT]),
            where=where,
            now=time.time(),
            secret=self._key,
        )

    @staticmethod
    def _accepted_id(answer: Answer) -> str | None:
        data = answer.json() or {} if 200 <= answer.status < 300 else {}
        named = usable_id(data.get("job_id", data.get("id")))
        # A server that repeats the key there would put it into the journal and the sidecar.
        return None if named and answer.secret and answer.secret in named else named

    def _client(self, backend: SocketBackend, *, connections: int) -> httpx.AsyncClient:
        return new_client(
            backend,
            tls=self._tls,
            connections=connections,
            user_agent=self._user_agent,
            timeout=self._timeout,
            headers={"Authorization": f"Bearer {self._key}"} if self._key else None,
        )


def _unanswered(body: MultipartBody, where: str, words: str) -> StemwatchError:
    """No answer: charged perhaps if the closing boundary went out, certainly not otherwise."""
    if body.whole:
        return Unconfirmed(f"{where} was sent whole and got no answer: {words}.")
    if body.stream is None:
        return _unreachable(f"{where} could not connect: {words}.")
    return _unreachable(
        f"{where} broke off before its end: {words}.",
        hint="On a slow line, raise api.upload_timeout.",
    )


def _unreachable(message: str, hint: str = "") -> RetryLater:
    hint = hint or "Check the network and api.base_url; it is tried again by itself."
    return RetryLater(message, code="unreachable", hint=hint, server_down=True)
