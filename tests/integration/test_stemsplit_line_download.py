"""Downloads against a real storage host that serves well, badly, elsewhere or for ever."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from stemwatch.errors import PauseService, Reject, RetryLater
from stemwatch.stemsplit.calls import Calls
from stemwatch.stemsplit.line.address_guard import Resolver, SocketBackend, resolve
from stemwatch.stemsplit.line.sockets import SocketStream
from stemwatch.stemsplit.separate import SeparateApi
from tests.support.certificates import self_signed
from tests.support.scenario.caller import KEY
from tests.support.scenario.jobs import Job, stem_url
from tests.support.scenario.server import ScenarioServer

SECONDS = 0.5
SIZE = 44 + 22050 * 4


@pytest.fixture(scope="module")
def server() -> Iterator[ScenarioServer]:
    with ScenarioServer(key=KEY) as running:
        yield running


def signed(origin: str, seconds: float = SECONDS, expires: float = 4e9) -> str:
    job = Job("j1", "", None, "2", "wav", seconds, 0, 0, 0, None)
    return stem_url(origin, job, "vocals", expires)


def fetch(
    server: ScenarioServer,
    url: str,
    dest: Path | int,
    *,
    limit: int = 10_000_000,
    deadline: float = 10.0,
    base: str = "",
    resolver: Resolver = resolve,
    tls: ssl.SSLContext | None = None,
) -> int:
    seen: list[int] = []

    async def once() -> int:
        api = SeparateApi(Calls(base or server.url, KEY, resolver=resolver, tls=tls))
        fd = os.open(dest, os.O_WRONLY | os.O_CREAT) if isinstance(dest, Path) else dest
        try:
            return await api.download(
                url, fd, limit=limit, deadline=deadline, on_received=seen.append
            )
        finally:
            os.close(fd)
            await api.aclose()

    size = asyncio.run(once())
    assert seen[-1] == size
    return size


def test_a_stem_is_stored_whole(server: ScenarioServer, tmp_path: Path) -> None:
    """All its bytes, and neither key nor cookies on the way."""
    assert fetch(server, signed(server.origin), tmp_path / "v.wav") == SIZE
    assert (tmp_path / "v.wav").stat().st_size == SIZE
    assert (tmp_path / "v.wav").read_bytes()[:4] == b"RIFF"
    headers = server.log[-1]["headers"]
    assert "authorization" not in headers
    assert headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("step", "code"),
    [
        ({"status": 400}, "url_expired"),
        ({"status": 403}, "url_expired"),
        ({"status": 404}, "url_expired"),
        ({"status": 410}, "url_expired"),
        ({"status": 429}, "rate_limited"),
        ({"status": 500}, "server_error"),
        ({"status": 503}, "server_error"),
        ({"status": 206}, "bad_answer"),
        ({"bomb": 20}, "bad_answer"),
        ({"length": 100}, "short_body"),
        ({"close": "answer"}, "short_body"),
        ({"reset": "answer"}, "network"),
        ({"reset": "head"}, "network"),
        ({"body": ""}, "short_body"),
        ({"endless": True}, "oversized_body"),
        ({"drip": 0.05}, "too_slow"),
        ({"hang": "head"}, "too_slow"),
        ({"hops": 4, "times": "ever"}, "redirected"),
    ],
)
def test_bad_downloads_are_tried_again(
    server: ScenarioServer, tmp_path: Path, step: dict[str, Any], code: str
) -> None:
    """Each fault of the table ends in time and without the signature in its message."""
    server.scenario(download=[step])
    try:
        with pytest.raises(RetryLater) as caught:
            fetch(
                server,
                signed(server.origin),
                tmp_path / "v.wav",
                limit=1_000_000,
                deadline=0.6 if code == "too_slow" else 10,
            )
    finally:
        server.scenario(download=[])
    assert caught.value.code == code
    assert "signature" not in str(caught.value)
    assert (tmp_path / "v.wav").stat().st_size <= 1_000_000


@pytest.mark.parametrize("step", [{"chunked": True}, {"length": None}, {"hops": 1, "times": 3}])
def test_other_framings_and_three_redirects(
    server: ScenarioServer, tmp_path: Path, step: dict[str, Any]
) -> None:
    """Chunked and close-delimited bodies arrive whole; three hops are followed."""
    if "hops" in step:
        target = {"redirect": signed(server.origin)}
        server.scenario(download=[target, target, target])
    else:
        server.scenario(download=[step])
    assert fetch(server, signed(server.origin), tmp_path / "v.wav") == SIZE


def test_an_expired_signature(server: ScenarioServer, tmp_path: Path) -> None:
    """The server's own expiry is recognised."""
    with pytest.raises(RetryLater) as caught:
        fetch(server, signed(server.origin, expires=1.0), tmp_path / "v.wav")
    assert caught.value.code == "url_expired"


def test_the_key_stays_at_home(server: ScenarioServer, tmp_path: Path) -> None:
    """Neither another storage port nor a redirect to it ever sees the key."""
    with ScenarioServer() as other:
        server.scenario(download=[{"redirect": signed(other.origin)}])
        assert fetch(server, signed(server.origin), tmp_path / "v.wav") == SIZE
        assert len(other.log) == 1
        assert KEY not in str(other.log)


@pytest.mark.parametrize(
    "target",
    [
        "http://localhost:1/x",
        "http://127.0.0.2/x",
        "https://127.0.0.2/x",
        "https://[::1]/x",
        "https://[::ffff:127.0.0.1]/x",
        "https://2130706433/x",
        "https://0x7f.1/x",
        "file:///etc/passwd",
        "https://user:pw@example.test/",
        "gopher://x/",
    ],
)
def test_redirects_and_urls_are_checked_at_each_hop(
    server: ScenarioServer, tmp_path: Path, target: str
) -> None:
    """A redirect is no way around the guard."""
    with pytest.raises(Reject) as caught:
        fetch(server, target, tmp_path / "a")
    assert caught.value.code == "forbidden_url"
    server.scenario(download=[{"redirect": target}])
    with pytest.raises(Reject) as caught:
        fetch(server, signed(server.origin), tmp_path / "b")
    assert caught.value.code == "forbidden_url"


def test_a_server_that_does_not_know_of_its_proxy_is_named(
    server: ScenarioServer, tmp_path: Path
) -> None:
    """The proxy ends TLS on another machine: all stems' addresses are plain http, and refused."""
    with pytest.raises(Reject) as caught:
        fetch(server, "http://api.test:8443/x", tmp_path / "a", base="https://api.test:8443/v1")
    assert caught.value.code == "forbidden_url"
    assert "`--public-url https://api.test:8443`" in caught.value.hint


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["93.184.215.14", "10.0.0.1"], ["fe80::1%lo"], ["64:ff9b::1"]]
)
def test_every_resolved_address_is_checked(
    server: ScenarioServer, tmp_path: Path, addresses: list[str]
) -> None:
    """One forbidden address among good ones refuses the name, and nothing is connected to."""

    async def resolver(_host: str, _port: int) -> Sequence[str]:
        return addresses

    before = len(server.log)
    port = server.origin.rsplit(":", 1)[1]
    with pytest.raises(Reject) as caught:
        fetch(
            server,
            f"https://stems.test:{port}/x",
            tmp_path / "a",
            base="https://api.test/v1",
            resolver=resolver,
        )
    assert caught.value.code == "forbidden_url"
    assert len(server.log) == before


def test_the_checked_address_is_the_one_connected_to(server: ScenarioServer) -> None:
    """A name is resolved once for a connection, so that rebinding it after the check is too late.

    The API's own (trusted) name stands in for a public one: no test may leave this machine.
    """
    asked: list[str] = []
    connected: list[str] = []

    async def rebinding(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.99"]

    def on_connect(stream: SocketStream) -> None:
        connected.append(stream.get_extra_info("server_addr")[0])

    async def once() -> None:
        port = int(server.origin.rsplit(":", 1)[1])
        backend = SocketBackend(
            resolver=rebinding, trusted=frozenset({"stems.test"}), on_connect=on_connect
        )
        stream = await backend.connect_tcp("stems.test", port, timeout=5)
        await stream.aclose()
        assert (asked, connected) == (["stems.test"], ["127.0.0.1"])
        with pytest.raises(Reject):  # the same answer under a name that nobody trusts
            await backend.connect_tcp("evil.test", port, timeout=5)

    asyncio.run(once())
    assert connected == ["127.0.0.1"]


def test_a_full_disk_pauses(server: ScenarioServer) -> None:
    """A write that fails is the disk's trouble: nothing more is submitted, nothing is lost."""
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with pytest.raises(PauseService) as caught:
        fetch(server, signed(server.origin), os.open("/dev/full", os.O_WRONLY))
    assert caught.value.code == "disk"


def test_a_big_stem_and_a_short_limit(server: ScenarioServer, tmp_path: Path) -> None:
    """A body beyond its limit is cut off, not stored."""
    with pytest.raises(RetryLater) as caught:
        fetch(server, signed(server.origin, 60.0), tmp_path / "v.wav", limit=300_000)
    assert caught.value.code == "oversized_body"
    assert (tmp_path / "v.wav").stat().st_size <= 300_000


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for stems.test (and nothing else)."""
    try:
        return self_signed(tmp_path_factory.mktemp("tls"), "DNS:stems.test")
    except FileNotFoundError:
        pytest.skip("needs openssl")


def test_tls_is_for_the_name_at_the_checked_address(
    certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    """The certificate is checked for the host's name, though the connection is to an address."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(*certificate)
    trusting = ssl.create_default_context(cafile=str(certificate[0]))

    async def resolver(_host: str, _port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    with ScenarioServer(tls=serving, public_host="stems.test") as secure:
        url = signed(secure.origin, 30.0)
        for base, name in ((secure.url, "stems.test"), ("https://other.test/v1", "other.test")):
            target = url.replace("stems.test", name)
            args: dict[str, Any] = {"base": base, "resolver": resolver, "tls": trusting}
            if name == "stems.test":
                assert fetch(secure, target, tmp_path / "v.wav", **args) == 44 + 30 * 44100 * 4
                continue
            with pytest.raises(RetryLater) as caught:
                fetch(secure, target, tmp_path / "w.wav", **args)
            assert "certificate" in caught.value.message
