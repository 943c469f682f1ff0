"""Where the service may listen, and under which URL it may be reached."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stemwatch.config import Web, load
from stemwatch.config.checks import Wrong
from stemwatch.config.web import (
    checked_hosts,
    checked_listen,
    checked_proxies,
    checked_public_url,
    host_port,
)
from stemwatch.loopback import is_loopback
from stemwatch.web.listening import looked_at
from tests.support.configured import write


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("0.0.0.0:8080", ("0.0.0.0", 8080)),  # noqa: S104
        ("[::1]:8080", ("::1", 8080)),
        ("[::]:0", ("::", 0)),
        ("localhost:65535", ("127.0.0.1", 65535)),
    ],
)
def test_addresses_that_can_be_listened_on(value: str, expected: tuple[str, int]) -> None:
    """An address and a port; `localhost` is 127.0.0.1, where everybody looks for it."""
    assert checked_listen(value) == value
    assert host_port(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        8080, "8080", ":8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1",
        "::1:8080", "[::1]", "[127.0.0.1]:80", "nas.lan:8080", "*:8080", "http://127.0.0.1:8080",
        "127.0.0.1:80\n", " 127.0.0.1:80", "127.0.0.1:٨٠", "256.0.0.1:80", "",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_with_an_example(value: object) -> None:
    """A bare port would leave open who may connect."""
    with pytest.raises(ValueError, match=r"such as 127\.0\.0\.1:8080"):
        checked_listen(value)


def test_what_is_no_text_is_refused_as_such() -> None:
    with pytest.raises(ValueError, match="allowed is text"):
        checked_listen([1])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("https://music.example.org/", "https://music.example.org"),
        ("https://example.org:8443/stemwatch/", "https://example.org:8443/stemwatch"),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("http://[::1]:9000", "http://[::1]:9000"),
        ("http://localhost:9000", "http://localhost:9000"),
    ],
)
def test_public_urls(value: str, expected: str) -> None:
    """https, or http to this machine."""
    assert checked_public_url(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("http://music.example.org", "must be https"),
        ("http://192.168.1.2:80", "must be https"),
        ("http://localhost.example.org", "must be https"),
        ("music.example.org", "is not an https URL"),
        ("ftp://music.example.org", "is not an https URL"),
        ("https://", "is not an https URL"),
        ("https://a:b@music.example.org", "user name"),
        ("https://music.example.org/?a", "query"),
        ("https://music.example.org/#a", "fragment"),
        ("https://music.example.org:99999", "can't be read"),
        ("https://music.example.org/\n", "is not a URL"),
    ],
)
def test_what_is_no_public_url(value: str, expected: str) -> None:
    """Signed calls must not come unencrypted, and what is added to it must stay a path."""
    with pytest.raises(ValueError, match=expected):
        checked_public_url(value)


def test_who_can_reach_it() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "127.8.0.1", "::1", "localhost")] == [
        True
    ] * 4
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "192.168.1.2", "a"))  # noqa: S104


def test_a_missing_extra_names_the_command() -> None:
    """One sentence says how to install it."""
    root = str(Path(__file__).parents[2])
    code = (
        f"import sys; sys.path.append({root!r})\n"
        "from stemwatch.extras import WEB\n"
        "try: WEB.require()\n"
        "except Exception as fault: print(fault)"
    )
    # -S: without the installed packages
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True)
    assert "starlette, uvicorn, h11, prometheus_client" in done.stdout, done.stderr
    # The package is on no index: from where it came, into the environment that runs.
    assert f"{sys.executable} -m pip install '{root}[web]'" in done.stdout


def test_names_and_proxies_as_they_are_compared() -> None:
    """In small letters, without the dot at the end; an address is the network of itself."""
    assert checked_hosts(["NAS", "nas.local.", "a-b.example.org"]) == (
        "nas", "nas.local", "a-b.example.org",
    )  # fmt: skip
    assert checked_proxies(["127.0.0.1", "10.0.0.0/8", "fd00::/8"]) == (
        "127.0.0.1/32", "10.0.0.0/8", "fd00::/8",
    )  # fmt: skip


@pytest.mark.parametrize("value", ["http://nas", "nas:8080", "-a", "a..b", "", "a b", "*"])
def test_what_is_no_host(value: str) -> None:
    with pytest.raises(Wrong) as wrong:
        checked_hosts([value])
    assert "such as nas.local" in wrong.value.faults[0].text


@pytest.mark.parametrize("value", ["nas", "10.0.0.1/8", "300.1.1.1", ""])
def test_what_is_no_proxy(value: str) -> None:
    with pytest.raises(Wrong) as wrong:
        checked_proxies([value])
    assert "such as 127.0.0.1" in wrong.value.faults[0].text


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ({}, None),
        ({"public_url": "http://127.0.0.1:8080"}, None),
        ({"public_url": "https://LOCALHOST:8443/stems"}, None),
        ({"public_url": "http://[::1]:8080"}, None),
        ({"public_url": "https://music.example.org"}, "public_url"),
        ({"hosts": ("nas",)}, "hosts"),
        ({"trusted_proxies": ("127.0.0.1/32",)}, "trusted_proxies"),
        ({"listen": "0.0.0.0:8080"}, "listen"),
    ],
)
def test_what_opens_the_listener_to_others(more: dict[str, Any], key: str | None) -> None:
    """Whoever calls a public URL reaches the page through its proxy; `check` says who is let in."""
    given: dict[str, Any] = {"listen": "127.0.0.1:8080", "page": True, "password_file": "none"}
    web = Web(**given | more)
    assert web.opened_by == key
    who = "everybody on this machine" if key is None else "everybody"
    assert (looked_at(web, running=True) or "").endswith(f"; the page is open to {who}")


def test_webhooks_alone_need_no_password(tmp_path: Path) -> None:
    """Their calls are signed, and a page that is off is nobody's."""
    text = "web: {listen: '127.0.0.1:8080', public_url: 'https://music.example.org'}"
    assert load(write(tmp_path, text), env={"HOME": "/h"}).web.opened_by == "public_url"
