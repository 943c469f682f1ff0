"""The webhooks that clients have registered, in one file that only its owner can read."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from threading import Lock
from typing import Protocol
from urllib.parse import urlsplit

from stemwatch.errors import ConfigFault
from stemwatch.loopback import is_loopback
from stemwatch.receiving.refusal import Refused

EVENTS = ("job.completed", "job.failed")
MAX_URL = 2048  # characters
MAX_REGISTRATIONS = 100


@dataclass(frozen=True, slots=True)
class Registration:
    """One webhook. It is told of the end of each job of its owner, in its own wire's form.

    Times are Unix seconds; `fail_count` counts the failed calls since the last that was taken.
    """

    id: str
    wire: str  # separate | presigned
    url: str
    events: tuple[str, ...]
    secret: str
    created_at: float
    fail_count: int = 0
    last_error: str | None = None
    last_called_at: float | None = None
    owner: str = ""  # the name of the API key that registered it


Signed = Callable[[str], bool]  # whether a call of this URL would be signed


class Subscriptions(Protocol):
    """The webhooks as clients see them: each caller his own. Calls may raise Unavailable."""

    async def of(self, owner: str, wire: str) -> list[Registration]: ...

    async def subscribe(
        self, owner: str, wire: str, url: str, events: Sequence[str] = EVENTS
    ) -> Registration:
        """Make a registration with a secret of its own; refused with 409 above a hundred.

        On the wire `separate`, one with this URL that is there already is given instead.
        """
        ...

    async def unsubscribe(self, owner: str, wire: str, registration_id: str) -> bool:
        """Delete it; False where the caller has none with this id."""
        ...

    async def signed(self, owner: str) -> Signed:
        """Which URLs a job may name as its own: no call is sent unsigned."""
        ...


def check_url(url: str, field: str) -> None:
    """Refused with 422 unless `url` is https, or http to this machine."""
    import httpx

    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
        # As who calls it will read it: `https://xn--/` is a URL to urlsplit, and none to httpx.
        _ = httpx.URL(url).host
    except (httpx.InvalidURL, ValueError):
        raise Refused(422, f"The field {field!r} is no URL.") from None
    secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    if not host or not secure:
        raise Refused(422, f"The field {field!r} must be an https URL (or http on this machine).")
    if parts.username is not None or len(url) > MAX_URL or not url.isprintable() or " " in url:
        raise Refused(422, f"The field {field!r} holds a password, a blank, or is too long.")


class Registrations:
    """The registrations in the file `path`; each change is on disk when it returns.

    `now` gives Unix seconds; `secret`: whether the server signs for a job's own URL.
    """

    def __init__(self, path: str, *, now: Callable[[], float], secret: bool = False) -> None:
        self._path = path
        self._now = now
        self._secret = secret
        self._lock = Lock()
        self._known = {one.id: one for one in _load(path)}

    async def of(self, owner: str, wire: str) -> list[Registration]:
        return [one for one in self._known.values() if (one.owner, one.wire) == (owner, wire)]

    async def subscribe(
        self, owner: str, wire: str, url: str, events: Sequence[str] = EVENTS
    ) -> Registration:
        return await asyncio.to_thread(self.add, wire, url, events, owner)

    async def unsubscribe(self, owner: str, wire: str, registration_id: str) -> bool:
        if registration_id not in {one.id for one in await self.of(owner, wire)}:
            return False
        await asyncio.to_thread(self.remove, registration_id)
        return True

    async def signed(self, owner: str) -> Signed:
        known = {one.url for one in await self.of(owner, "separate")}
        return lambda url: self._secret or url in known

    def all(self) -> list[Registration]:
        return list(self._known.values())

    def get(self, registration_id: str) -> Registration | None:
        return self._known.get(registration_id)

    def add(
        self, wire: str, url: str, events: Sequence[str] = EVENTS, owner: str = ""
    ) -> Registration:
        with self._lock:
            new = new_registration(wire, url, events, owner, self._now())
            mine = [one for one in self._known.values() if one.owner == owner]
            if (same := registered_before(mine, new)) is not None:
                return same
            if len(mine) >= MAX_REGISTRATIONS:
                raise too_many()
            self._write({**self._known, new.id: new})
            return new

    def remove(self, registration_id: str) -> None:
        with self._lock:
            self._write({key: one for key, one in self._known.items() if key != registration_id})

    def called(self, registration_id: str, error: str | None) -> None:
        """Note a call; `error` is why it failed, None where it was taken."""
        with self._lock:
            if (one := self._known.get(registration_id)) is None:
                return
            self._write({**self._known, one.id: noted(one, error, self._now())})

    def _write(self, known: dict[str, Registration]) -> None:
        part = f"{self._path}.part"
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(descriptor, 0o600)  # one that a kill left may have had another mode
            json.dump([asdict(one) for one in known.values()], file, indent=1)
            file.flush()
            os.fsync(descriptor)
        os.replace(part, self._path)
        self._known = known


def new_registration(
    wire: str, url: str, events: Sequence[str], owner: str, now: float
) -> Registration:
    return Registration(
        f"wh_{secrets.token_hex(12)}", wire, url, tuple(events),
        f"whsec_{secrets.token_hex(24)}", now, owner=owner,
    )  # fmt: skip


def registered_before(known: Iterable[Registration], new: Registration) -> Registration | None:
    """On the wire `separate` a URL is registered once: the one that is there already."""
    same = (one for one in known if (one.wire, one.url) == (new.wire, new.url))
    return next(same, None) if new.wire == "separate" else None


def too_many() -> Refused:
    return Refused(409, "There are too many webhooks; delete some first.")


def noted(one: Registration, error: str | None, now: float) -> Registration:
    """After a call; `error` is why it failed, None where it was taken."""
    failed = 0 if error is None else one.fail_count + 1
    return replace(one, fail_count=failed, last_error=error, last_called_at=now)


def _load(path: str) -> list[Registration]:
    """Read the file; raises OSError where it can't be read, ConfigFault where it is damaged."""
    try:
        with open(path, encoding="utf-8") as file:
            entries = json.load(file)
    except FileNotFoundError:
        return []
    except ValueError:
        raise _damaged(path) from None
    known = {one.name for one in fields(Registration)}
    try:
        kept = [Registration(**{key: one[key] for key in one if key in known}) for one in entries]
        return [replace(one, events=tuple(one.events)) for one in kept]
    except (TypeError, AttributeError):
        raise _damaged(path) from None


def _damaged(path: str) -> ConfigFault:
    return ConfigFault(
        f"The registered webhooks in {path} can't be understood.",
        hint="Move the file away; clients must register their webhooks again.",
    )
