"""In front of the page and the API: foreign names, foreign pages and strangers are turned away."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from starlette.requests import cookie_parser

from stemwatch.receiving.host_and_origin import is_own_origin
from stemwatch.web.api.api_faults import CLOSE, Fault
from stemwatch.web.guard.callers import Caller, Callers
from stemwatch.web.guard.password import Password, TooOften
from stemwatch.web.guard.sessions import DAYS, Sessions

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; media-src 'self'; worker-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
# Without a login: the page itself (it holds nothing of anybody), and what it logs in with.
_OPEN = frozenset({"/", "/favicon.ico", "/api/login", "/api/openapi.json"})
_READS = frozenset({"GET", "HEAD"})


class Access:
    """The password and the sessions; where there is no password, everybody is let in."""

    def __init__(self, password: Password | None, sessions: Sessions | None) -> None:
        self.password = password
        self.sessions = sessions

    def cookie(self, scope: Any) -> str:
        """Its name has the port: cookies of one host are sent to all its ports."""
        return f"stemwatch-{scope['server'][1]}"

    def token(self, scope: Any) -> str:
        """What the browser was given when it logged in; "": nothing."""
        given = _header(scope, b"cookie")
        return cookie_parser(given).get(self.cookie(scope), "") if given else ""

    def set_cookie(self, scope: Any, caller: Caller, token: str) -> str:
        """The header's value that makes a browser keep `token`, or (empty) forget it."""
        age = DAYS * 86400 if token else 0
        secure = "; Secure" if caller.secure else ""
        name = quote(self.cookie(scope))
        return f"{name}={token}; Max-Age={age}; Path=/; HttpOnly; SameSite=Lax{secure}"

    async def allows(self, scope: Any, caller: Caller) -> bool:
        """Whether the caller is logged in, or has the password with it. Raises TooOften."""
        if self.password is None or self.sessions is None:
            return True
        if self.sessions.holds(self.token(scope)):
            return True
        return await self.bears(scope, caller)

    def lasts(self, scope: Any) -> bool:
        """Whether a caller that was allowed in still is: its session may have ended since."""
        if self.sessions is None or _header(scope, b"authorization"):
            return True
        return self.sessions.holds(self.token(scope))

    async def bears(self, scope: Any, caller: Caller) -> bool:
        """Whether the password came as a Bearer token. Raises TooOften."""
        kind, _, given = _header(scope, b"authorization").partition(" ")
        token = _as_sent(given.strip(" \t"))
        if self.password is None or kind.lower() != "bearer" or not token:
            return False
        return await self.password.right_token(token, caller.address)


class Shield:
    """ASGI: lets through to `app` what is ours, with `scope["state"]["caller"]` set."""

    def __init__(self, app: Any, callers: Callers, access: Access) -> None:
        self._app = app
        self._callers = callers
        self._access = access

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def hardened(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *_HEADERS]}
            await send(message)

        caller = self._callers.of(scope)
        scope["state"]["caller"] = caller
        fault = await self._refusal(scope, caller)
        answer = self._app if fault is None else fault.response()
        await answer(scope, receive, hardened)

    async def _refusal(self, scope: Any, caller: Caller) -> Fault | None:
        if not self._callers.knows(caller.host):
            return _unknown_host(caller.host)
        try:
            if scope["method"] not in _READS and not await self._is_own(scope, caller):
                return _foreign_page()
            if _is_open(scope["path"]) or await self._access.allows(scope, caller):
                return None
        except TooOften as fault:
            return too_often(fault)
        return Fault(
            401,
            "login",
            "Log in first.",
            "The password is in the file that web.password_file names; scripts send it as "
            "`Authorization: Bearer PASSWORD`.",
            headers=CLOSE,
        )

    async def _is_own(self, scope: Any, caller: Caller) -> bool:
        """Not sent by another site's page, which would use our visitor's login."""
        origins = [value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"]
        if all(is_own_origin(origin, caller.host) for origin in origins):
            return True
        return await self._access.bears(scope, caller)


def too_often(fault: TooOften) -> Fault:
    """Too many wrong passwords."""
    headers = {"Retry-After": str(int(fault.after) + 1), **CLOSE}
    words = "Too many wrong passwords from this address."
    return Fault(429, "too_often", words, "Wait a minute.", headers=headers)


def _is_open(path: str) -> bool:
    return path in _OPEN or path.startswith("/static/")


def _header(scope: Any, wanted: bytes) -> str:
    return next((v.decode("latin-1") for name, v in scope["headers"] if name == wanted), "")


def _as_sent(value: str) -> str:
    """The text that was meant: curl sends a terminal's UTF-8, a browser's `fetch` Latin-1."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeDecodeError:
        return value


def _unknown_host(host: str) -> Fault:
    return Fault(
        421,
        "unknown_host",
        "This service does not answer to this name.",
        "Add it to web.hosts, or use the machine's address.",
        headers=CLOSE,
        host=host[:253],
    )


def _foreign_page() -> Fault:
    return Fault(
        403,
        "foreign_page",
        "This was sent by another site's page.",
        "Behind a proxy, let it pass the Host header on, with its port.",
        headers=CLOSE,
    )
