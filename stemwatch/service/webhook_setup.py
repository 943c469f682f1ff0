"""Registers our webhook at the API, and keeps the secrets that its calls are signed with.

Until the API is told, and wherever that fails, polling goes on as if there were no webhooks.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from stemwatch.config import Settings
from stemwatch.disks import durable
from stemwatch.errors import ConfigFault, StemwatchError
from stemwatch.log import hide, log
from stemwatch.private_file import read_secret
from stemwatch.tasks import kept_going, supervised
from stemwatch.web.receiver import Receiver, callback_url
from stemwatch.workers.backoff import full_jitter
from stemwatch.workers.context import Context
from stemwatch.workers.pool.webhook_calls import Callbacks

FILE = "webhook-secrets.json"
_KEPT = 2  # the newest, and the one before: a new secret must not refuse calls on their way


class Secrets:
    """The user's own secrets, and those that the API gave when it was told our address.

    Raises ConfigFault for a `web.webhook_secret_file` that can't be used.
    """

    def __init__(self, state_dir: str, user_file: str | None) -> None:
        self._path = os.path.join(state_dir, FILE)
        self._own: list[str] = []
        if user_file is not None:
            self._own = read_secret(user_file, "web.webhook_secret_file: ").split()
            if not self._own:
                raise ConfigFault(f"web.webhook_secret_file: {user_file} is empty.")
        self._given: dict[str, list[str]] = self._read()
        for secret in self.all():
            hide(secret)

    def all(self) -> Sequence[str]:
        """Every secret that a call may be signed with now."""
        return [*self._own, *(secret for given in self._given.values() for secret in given)]

    def known(self, url: str) -> bool:
        """Whether calls to `url` can be verified already."""
        return bool(self._own or self._given.get(url))

    def keep(self, url: str, secret: str) -> None:
        """Add a secret, which is told only once; on disk (mode 600) before this returns."""
        hide(secret)
        self._given = {url: [secret, *self._given.get(url, [])][:_KEPT]}
        durable.write_file(self._path, json.dumps(self._given).encode(), replace=True, mode=0o600)

    def _read(self) -> dict[str, list[str]]:
        try:
            with open(self._path, encoding="utf-8") as file:
                found = json.load(file)
            return {str(url): [str(one) for one in given] for url, given in found.items()}
        except (OSError, ValueError, AttributeError, TypeError):
            return {}  # the API tells no secret again, but makes new ones


class Called(NamedTuple):
    """What takes the API's calls, the secrets they are checked with, and the URL they come to."""

    receive: Receiver
    secrets: Secrets
    url: str


def receiver_of(settings: Settings, ctx: Context) -> Called | None:
    """What is needed to be called by the API; None: no webhooks. Raises ConfigFault."""
    if settings.web.public_url is None or settings.local:
        return None
    secrets = Secrets(settings.state_dir, settings.web.webhook_secret_file)
    callbacks = Callbacks(ctx, secrets.all, settings.web.webhook_scheme)
    return Called(callbacks.receive, secrets, callback_url(settings.web.public_url))


@contextlib.contextmanager
def registered(ctx: Context, called: Called) -> Iterator[None]:
    """Register our URL at the API, in a task that runs while this is open."""
    telling = kept_going(
        lambda: _register(ctx, called.secrets, called.url), _failed, pause=ctx.timing.account_max
    )
    task = supervised(telling, _failed, name="webhooks")
    try:
        yield
    finally:
        task.cancel()


def _failed(fault: BaseException) -> None:
    hint = "Songs are polled for meanwhile; it is tried again."
    log.error("webhook.failed", hint=hint, exc_info=fault)


async def _register(ctx: Context, secrets: Secrets, url: str) -> None:
    attempt = 0
    while True:
        try:
            await _tell(ctx, secrets, url)
            break
        except StemwatchError as fault:
            # An API without webhooks is asked on, too: a 404 may have been a gateway's.
            if attempt == 0:
                log.warning("webhook.unregistered", message=fault.message, hint=fault.hint)
        attempt += 1
        wait = full_jitter(attempt, ctx.timing.account_first, ctx.timing.account_max, ctx.rng)
        await asyncio.sleep(wait)
    if secrets.all():
        log.info("webhook.registered", url=url)
    else:
        log.warning(
            "webhook.no_secret",
            message="the API gave no secret to check its calls with: all of them are refused.",
            hint="Put the secret from your StemSplit dashboard into web.webhook_secret_file.",
        )


async def _tell(ctx: Context, secrets: Secrets, url: str) -> None:
    """Try once to register. Raises what the API says against it."""
    await ctx.requests.take()
    secret = await ctx.api.register_webhook(url, known=secrets.known(url))
    if secret is not None:
        await asyncio.to_thread(secrets.keep, url, secret)
