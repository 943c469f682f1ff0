"""Which addresses and URLs stems may come from."""

from __future__ import annotations

import ipaddress

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemwatch.errors import Reject
from stemwatch.stemsplit.line.address_guard import is_public
from stemwatch.stemsplit.line.download import Trust

PUBLIC = Trust.of(httpx.URL("https://api.stemsplit.io/v1"))
LOCAL = Trust.of(httpx.URL("http://127.0.0.1:8710/v1"))
IDN = Trust.of(httpx.URL("http://bücher.lan/v1"))
LAN = Trust.of(httpx.URL("https://nas.lan/v1"))


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",  # noqa: S104
        "127.0.0.1",
        "127.1.2.3",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "192.88.99.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd12:3456::1",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
        "2001:db8::1",
        "2001::1",
        "2002:7f00:1::",
        "2002:808:808::1",
        "64:ff9b::7f00:1",
        "64:ff9b::808:808",
        "64:ff9b:1::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "::8.8.8.8",
        "not an address",
        "",
        "2130706433",
    ],
)
def test_forbidden_addresses(address: str) -> None:
    """Private, special, tunnelled and unreadable addresses are not public."""
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "172.32.0.1"]
)
def test_public_addresses(address: str) -> None:
    """Ordinary internet hosts are."""
    assert is_public(address)


@given(st.ip_addresses(v=4))
def test_a_mapped_address_is_judged_as_what_it_carries(ip: ipaddress.IPv4Address) -> None:
    """Writing an IPv4 address as IPv6 changes nothing."""
    assert is_public(f"::ffff:{ip}") == is_public(str(ip))


@pytest.mark.parametrize(
    ("trust", "url"),
    [
        (PUBLIC, "http://stems.stemsplit.io/a"),
        (PUBLIC, "http://api.stemsplit.io/a"),
        (PUBLIC, "file:///etc/passwd"),
        (PUBLIC, "ftp://stems.test/a"),
        (PUBLIC, "//stems.test/a"),
        (PUBLIC, "/a"),
        (PUBLIC, ""),
        (PUBLIC, "https://"),
        (PUBLIC, "https://user:pw@stems.test/a"),
        (PUBLIC, "https://stems.test:99999/a"),
        (PUBLIC, "https://stems.test/\x00"),
        (PUBLIC, "https://[::1/a"),
        (PUBLIC, "https://xn--0.test/a"),  # httpx takes it, and raises when its host is read
        (PUBLIC, "https://stems.test/" + "a" * 9000),
        (LOCAL, "http://localhost/a"),
        (LOCAL, "http://127.0.0.2/a"),
        (LOCAL, "http://stems.test/a"),
        (LAN, "http://nas.lan/a"),
    ],
)
def test_refused_urls(trust: Trust, url: str) -> None:
    """https only, and plain http only to the very host of a plain http API."""
    with pytest.raises(Reject) as caught:
        trust.check(url)
    assert caught.value.code == "forbidden_url"


@pytest.mark.parametrize(
    ("trust", "url"),
    [
        (PUBLIC, "https://stems.stemsplit.io/a?sig=1"),
        (LOCAL, "http://127.0.0.1:9/a"),
        (LOCAL, "https://stems.test/a"),
        (LAN, "https://NAS.lan/a"),
        (IDN, "http://xn--bcher-kva.lan/a"),
    ],
)
def test_allowed_urls(trust: Trust, url: str) -> None:
    """What their text allows is judged again by address."""
    assert str(trust.check(url)).lower() == url.lower()


@given(st.text(max_size=60))
def test_any_text_as_url(text: str) -> None:
    """Any text is either refused by us or an https URL with a host."""
    for url in (text, "https://" + text, "http://" + text):
        try:
            checked = PUBLIC.check(url)
        except Reject:
            continue
        assert checked.scheme == "https"
        assert checked.host
