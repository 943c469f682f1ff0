"""The door for webhooks, seen from its other side: whoever reads the calls that come in.

What a call means, and whether it is genuine, is not known in this room. It takes care of size,
time and number, and hands over what is whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

PATH = "/webhooks/stemsplit"  # below `web.public_url`
MAX_BODY = 64 * 1024  # bytes; StemSplit's own are below 2 KB


class Receiver(Protocol):
    """Reads one call."""

    def __call__(self, headers: Mapping[str, str], body: bytes) -> int:
        """Returns the HTTP status to answer: 200, or 401, 400 ... for what is not believed.

        `headers` with lower-case names; the values of one that came several times are joined by
        ", ". `body` is what was sent, byte for byte. It must be done in a millisecond: it runs on
        the event loop, and the caller's answer waits for it. What it raises is answered with 500.
        """


def callback_url(public_url: str) -> str:
    """What to register with the API: where its calls reach the door."""
    return public_url + PATH
