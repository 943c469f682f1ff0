"""A server that asks for no key: open to this machine's programs, not to the websites it visits."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.server import Server

pytestmark = pytest.mark.xdist_group("open_door")  # they share a server

FORM = {"Content-Type": "text/plain", "Origin": "https://evil.example"}  # sent without a preflight
HOOK = b'{"url": "https://evil.example/hook"}'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("local") / "data"
    with Server(data, "--public-url", "https://stems.example.org/api/v1") as server:
        yield server


@pytest.fixture(scope="module")
def root(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.base_url.removesuffix("/v1"), timeout=30) as root:
        yield root


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
def test_another_sites_page_is_refused(root: httpx.Client, origin: str) -> None:
    """A form that it sends registers no webhook, on neither wire."""
    form = {**FORM, "Origin": origin}
    answers = [
        root.post(f"{wire}/webhooks", content=HOOK, headers=form) for wire in ("/v1", "/api/v1")
    ]
    assert [one.status_code for one in answers] == [403, 403]
    assert answers[1].json()["error"]["code"] == "FORBIDDEN"
    assert root.get("/metrics", headers={"Origin": origin}).status_code == 403
    assert root.get("/api/v1/webhooks").json() == {"webhooks": []}


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8700", "127.0.0.1.evil.example",
                                  "lan.evil.example", "evil.example.", ""])  # fmt: skip
def test_a_foreign_name_is_refused(root: httpx.Client, host: str) -> None:
    """A page can let its own name lead here, and is then of one origin with us."""
    as_own = {"Host": host, "Origin": f"http://{host}"}
    refused = root.post("/v1/webhooks", content=HOOK, headers=as_own)
    assert (refused.status_code, "--public-url" in refused.json()["error"]) == (421, True)
    reads = [root.get(path, headers={"Host": host}) for path in ("/api/v1/jobs", "/metrics")]
    assert [one.status_code for one in reads] == [421, 421]
    assert reads[0].json()["error"]["code"] == "UNKNOWN_HOST"
    assert root.get("/v1/health", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "192.0.2.7:8700", "[::1]:8700", "localhost:8700",
    "LOCALHOST", "nas", "gpubox.lan:8700", "gpubox.local.", "gpubox.home", "stems.example.org",
    socket.gethostname()])  # fmt: skip
def test_own_names_are_answered(root: httpx.Client, host: str) -> None:
    """Also a page of ours, should somebody put one before the server."""
    for headers in ({"Host": host}, {"Host": host, "Origin": f"http://{host}"}):
        assert root.get("/api/v1/jobs", headers=headers).status_code == 200
        assert root.get("/metrics", headers=headers).status_code == 200


def test_with_a_key_any_name_will_do(tmp_path: Path) -> None:
    """A website has no key."""
    with Server(tmp_path / "data", key="k") as server:
        headers = {"Host": "evil.example", "Origin": "https://evil.example"}
        assert server.http.get("/jobs/job_1", headers=headers).status_code == 404
