"""Who calls, and by which name: the word of a proxy counts only where it is trusted."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

from stemwatch.config import Web
from stemwatch.receiving.host_and_origin import is_address, name_of, only


@dataclass(frozen=True, slots=True)
class Caller:
    """One call. `host` as the Host header has it, with its port; `secure`: it came over https."""

    address: str
    host: str
    secure: bool


class Callers:
    """What the configuration says of names and proxies."""

    def __init__(self, web: Web) -> None:
        self._proxies = [ip_network(one) for one in web.trusted_proxies]
        public = urlsplit(web.public_url or "").hostname
        self._names = {"localhost", *web.hosts, *([public.lower()] if public else [])}

    def of(self, scope: Any) -> Caller:
        """`scope` of ASGI, type http."""
        headers: dict[bytes, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name, []).append(value.decode("latin-1"))
        host = only(headers.get(b"host", []))
        address = scope["client"][0] if scope.get("client") else ""
        caller = Caller(address, host, scope["scheme"] == "https")
        return self._forwarded(caller, headers) if self._is_proxy(address) else caller

    def _forwarded(self, caller: Caller, headers: dict[bytes, list[str]]) -> Caller:
        """Read from the right: what a client wrote itself stands left of what proxies added.

        X-Forwarded-Host is believed of nobody: proxies pass on what a client wrote there, and a
        page that rebinds its name to us writes what it likes.
        """
        chain = [
            one.strip() for line in headers.get(b"x-forwarded-for", []) for one in line.split(",")
        ]
        address = next((one for one in reversed(chain) if not self._is_proxy(one)), caller.address)
        proto = headers.get(b"x-forwarded-proto", [""])[-1].rpartition(",")[2].strip().lower()
        return Caller(address, caller.host, proto == "https" if proto else caller.secure)

    def knows(self, host: str) -> bool:
        """Whether `host` is a name of ours. A page that rebinds its own name to us sends that name.

        An address can't be rebound: every one of them is this machine's, or a proxy's before it.
        """
        name = name_of(host)
        return name in self._names or is_address(name)

    def _is_proxy(self, address: str) -> bool:
        try:
            found = ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._proxies)
