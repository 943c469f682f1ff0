"""Redaction of texts and log events: removes keys, signed URLs and terminal control characters."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

GONE = "[redacted]"
# Control characters, line separators, bidirectional overrides, invisible ones, lone surrogates.
# The joiners U+200C and U+200D stay: scripts and emoji need them.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_URL = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]*://)(?P<rest>[^\s\"'<>`]+)", re.IGNORECASE)
_AUTHORIZATION = re.compile(
    r"(authorization['\"]?\s*[:=,]\s*(?:b?['\"])?)((?:bearer|basic|token)\s+)?[^\s\"'<>,;)}\]]+",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(bearer\s+)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
# Signed paths without a host, as in an access log.
_SIGNED = re.compile(
    r"([?&][\w.%-]*(?:sig|signature|token|credential|expires|secret|api_?key)[\w.%-]*=)"
    r"[^\s&\"'<>]+",
    re.IGNORECASE,
)
_SECRET_FIELDS = frozenset(
    {"authorization", "proxy-authorization", "api_key", "x-api-key", "password", "cookie"}
)
_DEEPEST = 6
_SHORTEST = 4  # characters of a secret


def printable(text: str) -> str:
    """`text` for a log, a page or a terminal: nothing in it can move a cursor or fake a line.

    Characters below U+0100 and the bytes of a non-UTF-8 name become `\\xNN`, others `\\uNNNN`.
    """
    return _UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # surrogateescape: the byte itself
        code -= 0xDC00
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


class Redactor:
    """Removes secrets from texts and from whole events."""

    def __init__(self) -> None:
        self._secrets: frozenset[str] = frozenset()
        self._pattern: re.Pattern[str] | None = None

    def add(self, *secrets: str) -> None:
        """Hide these secrets from now on, in all forms in which libraries write them.

        Words of fewer than four letters are ignored (a server without accounts takes any key): they
        would be cut out of every name and message.
        """
        known = [secret for secret in secrets if len(secret) >= _SHORTEST]
        forms = {f for s in known for f in (s, quote(s, safe=""), quote(s), repr(s)[1:-1])}
        self._secrets |= forms
        longest_first = sorted(self._secrets, key=len, reverse=True)
        if longest_first:
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def text(self, text: str) -> str:
        """`text` without secrets; URLs keep their host and path only."""
        if self._pattern is not None:
            text = self._pattern.sub(GONE, text)
        if "://" in text:
            text = _URL.sub(_bare_url, text)
        if "=" in text:
            text = _SIGNED.sub(rf"\1{GONE}", text)
        if "earer" in text.lower() or "authorization" in text.lower():
            text = _AUTHORIZATION.sub(rf"\1{GONE}", text)
            text = _BEARER.sub(rf"\1{GONE}", text)
        return text

    def event(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """A copy of plain values, safe to write: keys, nested values and tracebacks too."""
        clean: dict[str, Any] = {}
        for name, value in event.items():
            if name == "exception" and isinstance(value, str):
                lines = self.text(value).split("\n")
                clean[name] = "\n".join(printable(line) for line in lines)
            else:
                clean[printable(self.text(str(name)))] = self._value(name, value, _DEEPEST)
        return clean

    def _value(self, name: Any, value: Any, depth: int) -> Any:
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(name, str) and name.lower() in _SECRET_FIELDS:
            return GONE
        if isinstance(value, float):
            return value if math.isfinite(value) else str(value)
        if isinstance(value, str):
            return printable(self.text(value))
        if isinstance(value, bytes | os.PathLike):
            return printable(self.text(os.fsdecode(value)))
        if isinstance(value, Mapping) and depth:
            return {
                printable(self.text(str(k))): self._value(k, v, depth - 1) for k, v in value.items()
            }
        if isinstance(value, list | tuple | set | frozenset) and depth:
            return [self._value(None, item, depth - 1) for item in value]
        return printable(self.text(_described(value)))


def _described(value: Any) -> str:
    try:
        return str(value)
    except Exception:  # a log line is never worth a crash
        return f"<unprintable {type(value).__name__}>"


def _bare_url(match: re.Match[str]) -> str:
    place, mark, _query = re.match(r"([^?#]*)([?#]?)(.*)", match["rest"], re.DOTALL).groups()  # type: ignore[union-attr]
    host, slash, path = place.partition("/")
    host = host.rpartition("@")[2]  # user:password@
    return f"{match['scheme']}{host}{slash}{path}{'?…' if mark else ''}"
