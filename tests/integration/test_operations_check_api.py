"""Which wire an address answers to, what is said about it, and what credit is left: real HTTP."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from stemwatch import config
from stemwatch.operations.check.api import reach
from stemwatch.operations.check.finding import FAULT, OK, WARNING, Finding
from tests.support.scenario.server import ScenarioServer
from tests.support.server import Server

KEY = "canary-key-0123456789"


@pytest.fixture(scope="module")
def scenario() -> Iterator[ScenarioServer]:
    """Speaks A below /v1, and B below /api/v1."""
    with ScenarioServer(key=KEY) as server:
        yield server


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The origin of our own server, whose paths without a route answer 404 before the key."""
    with Server(tmp_path_factory.mktemp("serve") / "data", key=KEY) as server:
        yield server.base_url.removesuffix("/v1")


@contextmanager
def answering(
    status: int, kind: str, body: bytes, paths: Mapping[str, tuple[int, bytes]] | None = None
) -> Iterator[str]:
    """The origin of a server that says the same whatever it is asked, but at these paths."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            code, content = (paths or {}).get(self.path, (status, body))
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def look(folder: Path, base_url: str, wire: str, key: str | None = KEY) -> Finding:
    """What is found about the API."""
    path = folder / "stemwatch.yaml"
    path.write_text(f"api: {{base_url: '{base_url}', wire: {wire}}}\n")
    env = {"HOME": str(folder)} | ({"STEMSPLIT_API_KEY": key} if key else {})
    settings = config.load(str(path), env=env)
    about_key, about_api = asyncio.run(reach(settings, env, str(folder)))
    assert about_key.level is (OK if key else FAULT)
    assert KEY not in about_api.text + about_api.hint
    return about_api


def test_each_wire_at_its_base_is_well(
    tmp_path: Path, scenario: ScenarioServer, local: str
) -> None:
    """Only wire B has a balance to tell; nothing is sent that costs."""
    scenario.scenario(balance=[])
    said = "API: reachable, and it takes the key"
    for origin in (scenario.origin, local):
        assert look(tmp_path, f"{origin}/v1", "separate") == Finding(OK, said)
        found = look(tmp_path, f"{origin}/api/v1/", "presigned")
        assert found.level is OK
        assert "takes the key, " in found.text
    assert look(tmp_path, f"{scenario.origin}/api/v1", "presigned").text.endswith(
        ", 60 minutes of credit left"
    )
    assert {entry["method"] for entry in scenario.log} == {"GET"}


@pytest.mark.parametrize("key", [KEY, "another-key", None])
@pytest.mark.parametrize("which", ["scenario", "local"])
def test_the_other_wire_is_named_with_the_keys_that_mend_it(
    tmp_path: Path, scenario: ScenarioServer, local: str, which: str, key: str | None
) -> None:
    """Whether the key is right, wrong or absent: the paths tell, or the form of the refusal."""
    origin = local if which == "local" else scenario.origin
    found = look(tmp_path, f"{origin}/api/v1", "separate", key)
    assert found == Finding(
        FAULT,
        f"API: {origin}/api/v1 answers to the wire presigned, not separate",
        f"Set api.wire: presigned, or api.base_url: {origin}/v1.",
    )
    found = look(tmp_path, f"{origin}/v1", "presigned", key)
    assert found == Finding(
        FAULT,
        f"API: {origin}/v1 answers to the wire separate, not presigned",
        f"Set api.wire: separate, or api.base_url: {origin}/api/v1.",
    )


def test_the_base_s_sibling_is_looked_at(tmp_path: Path, local: str) -> None:
    """An address without its version, or with one that is not there."""
    found = look(tmp_path, local, "presigned")
    assert found.level is FAULT
    assert f"{local} does not answer to the wire presigned" in found.text
    assert found.hint == f"Set api.base_url: {local}/api/v1."


def test_only_the_sibling_answers(tmp_path: Path) -> None:
    """Wire B at /api/v1 of a server whose other paths are web pages."""
    paths = {"/api/v1/balance": (200, b'{"balanceSeconds": 90}')}
    with answering(404, "text/html", b"<html>", paths) as origin:
        found = look(tmp_path, f"{origin}/v1", "presigned")
        assert found.level is FAULT
        assert found.hint == f"Set api.base_url: {origin}/api/v1."
        found = look(tmp_path, f"{origin}/v1", "separate")
        assert found.hint == f"Set api.base_url: {origin}/api/v1 and api.wire: presigned."


def test_without_a_key_the_wire_is_told(
    tmp_path: Path, scenario: ScenarioServer, local: str
) -> None:
    """The server's refusal says which wire it is; whether the key is right is left open."""
    before = len(scenario.log)
    for origin in (scenario.origin, local):
        for wire, base in (("separate", "/v1"), ("presigned", "/api/v1")):
            found = look(tmp_path, origin + base, wire, None)
            assert found.level is WARNING
            assert f"speaks the wire {wire}" in found.text
    assert all("authorization" not in e["headers"] for e in scenario.log[before:])


@pytest.mark.parametrize("wire", ["separate", "presigned"])
@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        (404, "text/html", b"<html>not found</html>"),
        (200, "text/html", b"<html>welcome</html>"),
        (404, "text/plain", b""),
        (503, "text/html", b"<html>later</html>"),
        (301, "text/html", b""),
    ],
)
def test_what_is_no_api_is_a_fault(
    tmp_path: Path, wire: str, status: int, kind: str, body: bytes
) -> None:
    """Wire A's check of the key alone would take any 404 for an answer of the API."""
    with answering(status, kind, body) as origin:
        found = look(tmp_path, f"{origin}/v1", wire)
    assert found.level is FAULT
    assert str(status) in found.text
    assert ("StemSplit itself is at https://" in found.hint) == (status != 503)


def test_a_server_that_does_not_tell_is_a_warning(tmp_path: Path) -> None:
    """The same JSON to every question: it may be an API all the same."""
    with answering(404, "application/json", b'{"error": "nothing"}') as origin:
        found = look(tmp_path, f"{origin}/v1", "separate")
    assert found.level is WARNING
    assert "does not tell which wire" in found.text
    with answering(401, "application/json", b'{"error": "who are you?"}') as origin:
        found = look(tmp_path, f"{origin}/v1", "separate")
        assert found.level is FAULT
        assert "does not accept the key" in found.text
        assert look(tmp_path, f"{origin}/v1", "separate", None).level is WARNING


def test_a_path_for_posts_only_is_wire_a(tmp_path: Path) -> None:
    """405 to a GET of /separate tells where the two 404 don't."""
    with answering(404, "application/json", b"{}", {"/v1/separate": (405, b"{}")}) as origin:
        assert look(tmp_path, f"{origin}/v1", "separate").level is OK


def test_a_dead_server_is_told_once(tmp_path: Path) -> None:
    """No wire is guessed for what does not answer."""
    with answering(404, "text/plain", b"") as origin:
        pass
    for key in (KEY, None):
        found = look(tmp_path, f"{origin}/v1", "separate", key)
        assert found.level is FAULT
        assert "got no answer" in found.text


@pytest.mark.parametrize(("seconds", "words"), [(0, "0 minutes"), (59, "0.9 minutes")])
def test_little_credit_is_a_warning(
    tmp_path: Path, scenario: ScenarioServer, seconds: int, words: str
) -> None:
    scenario.scenario(balance=[{"merge": {"balanceSeconds": seconds}, "times": "ever"}])
    found = look(tmp_path, f"{scenario.origin}/api/v1", "presigned")
    assert found.level is WARNING
    assert found.text == f"API: reachable, takes the key, {words} of credit left"


def test_a_busy_server_is_a_warning(tmp_path: Path, scenario: ScenarioServer) -> None:
    """429 says that it is the right one."""
    busy = {"error": {"code": "RATE_LIMIT_EXCEEDED", "message": "slower"}}
    scenario.scenario(balance=[{"status": 429, "body": busy, "times": "ever"}])
    found = look(tmp_path, f"{scenario.origin}/api/v1", "presigned")
    assert found.level is WARNING
    assert "busy" in found.hint
