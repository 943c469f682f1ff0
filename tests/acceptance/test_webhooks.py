"""Webhooks end to end: the real service is called by a real separation server, on both wires."""

from __future__ import annotations

import hashlib
import hmac
import json
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.harness import KEY, Home
from tests.acceptance.songs import drop
from tests.support.clustered import scripted, server_or_cluster
from tests.support.ports import free_port
from tests.support.scenario.server import ScenarioServer
from tests.support.server import Server

pytestmark = pytest.mark.xdist_group("webhooks")  # they share a server

NEVER = 3600.0  # seconds between polls: what is quicker was called for


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server_or_cluster(
        tmp_path_factory.mktemp("local") / "data", "--jobs", "2", key=KEY
    ) as running:
        yield running


def listening() -> dict[str, str]:
    """The configuration's `web`: a door at a free port."""
    listener = f"127.0.0.1:{free_port()}"
    return {"listen": listener, "public_url": f"http://{listener}"}


@pytest.fixture
def home(tmp_path: Path, server: Server, wire: str) -> Home:
    base = f"http://127.0.0.1:{server.port}" + ("/api/v1" if wire == "presigned" else "/v1")
    return Home(tmp_path, base, web=listening(), api={"poll_interval": NEVER})


def door(home: Home) -> str:
    import yaml

    url = yaml.safe_load(home.config.read_text())["web"]["public_url"]
    return f"{url}/webhooks/stemsplit"


def calls(home: Home) -> dict[str, float]:
    """Calls at the door by the status that they were answered with."""
    text = httpx.get(door(home).replace("/webhooks/stemsplit", "/metrics"), timeout=30).text
    lines = [line for line in text.splitlines() if line.startswith("stemwatch_webhook_calls_total")]
    return {line.split('"')[1]: float(line.rpartition(" ")[2]) for line in lines}


def test_a_call_brings_the_stems_at_once(home: Home) -> None:
    """Polls are an hour apart: only the server's signed call can have woken them."""
    with home.service() as service:
        service.wait_for_event("webhook.registered")
        drop(home.inbox / "song.wav")
        service.wait_for_event("job.delivered")
        assert calls(home).get("200", 0) >= 1
    assert list(home.sidecars()) == ["song"]
    kept = home.state / "webhook-secrets.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    (secrets,) = json.loads(kept.read_text()).values()
    assert all(secret not in service.text() for secret in secrets)


def test_the_secret_is_kept_and_the_registration_made_once(
    home: Home, server: Server, wire: str
) -> None:
    """The second start knows its secret: it is called again without another registration."""
    for number, name in enumerate(("one", "two"), 1):
        with home.service() as service:
            service.wait_for_event("webhook.registered")
            drop(home.inbox / f"{name}.wav", number)
            service.wait_for_event("job.delivered")
    (secrets,) = json.loads((home.state / "webhook-secrets.json").read_text()).values()
    assert len(secrets) == 1
    base = f"http://127.0.0.1:{server.port}/api/v1/webhooks"
    with_key = {"Authorization": f"Bearer {KEY}"}
    listed = httpx.get(base, headers=with_key, timeout=30).json()["webhooks"]
    # `separate` has no list; there a URL is registered once, however often that is asked for.
    assert [hook["url"] for hook in listed].count(door(home)) == (wire == "presigned")


@scripted
def test_an_api_without_webhooks_is_told_of_once(tmp_path: Path, wire: str) -> None:
    """Nothing says afterwards that they are registered, and polls go on."""
    with ScenarioServer(wire=wire, key=KEY, job_seconds=0.1) as api:
        home = Home(tmp_path, api.url, web=listening())
        with home.service() as service:
            told = service.wait_for_event("webhook.unregistered")
            assert told["message"].startswith("The API has no such endpoint")
            drop(home.inbox / "song.wav")
            service.wait_for_event("job.done")
    named = [event["event"] for event in service.events() if "webhook" in event["event"]]
    assert named == ["webhook.unregistered"]


def test_what_is_not_signed_changes_nothing(home: Home, wire: str) -> None:
    """Unsigned, forged, old, of another scheme: 401 or 400. Well signed, unknown: 200, no poll."""
    with home.service() as service:
        service.wait_for_event("webhook.registered")
        (secrets,) = json.loads((home.state / "webhook-secrets.json").read_text()).values()
        now = int(time.time())
        answers = {
            "unsigned": httpx.post(door(home), content=b"{}", timeout=30).status_code,
            "forged": call(home, wire, "not-the-secret", now),
            "old": call(home, wire, secrets[0], now - 301),
            "early": call(home, wire, secrets[0], now + 400),
            "unknown": call(home, wire, secrets[0], now),
            "twice": call(home, wire, secrets[0], now),
            "huge": httpx.post(door(home), content=b"x" * 70_000, timeout=30).status_code,
        }
        assert service.events("job.delivered") == []
    assert answers == {
        "unsigned": 401,
        "forged": 401,
        "old": 400,
        "early": 400,
        "unknown": 200,
        "twice": 200,
        "huge": 413,
    }


def call(home: Home, wire: str, secret: str, at: int) -> int:
    """A callback as each wire signs it, by hand."""
    data: dict[str, Any] = {"job_id": "job_of_somebody", "status": "completed"}
    if wire == "presigned":
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
        inner = {"jobId": "job_of_somebody", "status": "COMPLETED"}
        data = {"event": "job.completed", "timestamp": moment, "data": inner}
    body = json.dumps(data).encode()
    if wire == "presigned":
        headers = {"X-Webhook-Signature": f"sha256={sign(secret, body)}"}
    else:
        signed = sign(secret, b"%d." % at + body)
        headers = {"X-StemSplit-Signature": f"t={at},v0=none,v1={'0' * 64},v1={signed}"}
    return httpx.post(door(home), content=body, headers=headers, timeout=30).status_code


def sign(secret: str, payload: bytes) -> str:
    return hmac.new(secret.encode(), payload, hashlib.sha256).hexdigest()
