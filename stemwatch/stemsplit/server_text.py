"""Makes a server's text fit for our messages: one short line, without secrets. Pure."""

from __future__ import annotations

import re

_LIMIT = 200  # characters


def excerpt(text: str, secret: str | None = None) -> str:
    """One line of at most 200 characters without control or bidi characters, keys or signatures."""
    if secret:
        text = text.replace(secret, "[key]")
    text = re.sub(r"(https?://[^\s?\"'<>]*)\?[^\s\"'<>]*", r"\1?…", text)
    text = " ".join("".join(c if c.isprintable() else " " for c in text[:4000]).split())
    return text if len(text) <= _LIMIT else text[: _LIMIT - 1] + "…"
