"""Where no key is asked for: turns away what a website sends through a visitor's browser."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from stemwatch.loopback import HOME_SUFFIXES
from stemwatch.receiving.host_and_origin import is_address, is_own_origin, name_of, only
from stemwatch.receiving.refusal import Refused


class OpenDoor:
    """Knows this machine by its names: those of its own network, and that of `public_url`."""

    def __init__(self, public_url: str | None) -> None:
        public = urlsplit(public_url or "").hostname
        self._names = {socket.gethostname().lower(), *([public] if public else [])}

    def check(self, headers: Headers) -> None:
        """Refused with 421 under a foreign name, with 403 from another site's page.

        A page whose name its owner lets lead here, to read our answers, sends that name as Host.
        One that only sends, as a form does, sends its Origin.
        """
        host = only(headers.getlist("host"))
        if not self._knows(name_of(host)):
            raise Refused(
                421,
                "Without a key, this server answers only to this machine's own names and addresses."
                " Give it a key (--key-file), or this name by --public-url.",
                code="UNKNOWN_HOST",
            )
        if not all(is_own_origin(origin, host) for origin in headers.getlist("origin")):
            raise Refused(403, "This was sent by another site's page.")

    def _knows(self, name: str) -> bool:
        if name in self._names or name.endswith(HOME_SUFFIXES) or is_address(name):
            return True
        return bool(name) and "." not in name  # such as localhost: no website is named so
