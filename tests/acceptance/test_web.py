"""The service seen from outside: what it says over HTTP is what really happened."""

from __future__ import annotations

import json
import signal
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.harness import KEY, Home, Service
from tests.acceptance.songs import drop, wav_bytes
from tests.support.ports import free_port
from tests.support.scenario.server import ScenarioServer
from tests.support.scenario.stems import wav_header
from tests.support.waiting import wait_for

PER_MINUTE = 0.5


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def readiness(url: str) -> tuple[int, list[str]]:
    """The status of /readyz and the codes of its reasons."""
    status, body = get(f"{url}/readyz")
    return status, [reason["code"] for reason in json.loads(body)["reasons"]]


class Scrape:
    """/metrics, read as Prometheus reads it."""

    def __init__(self, url: str) -> None:
        status, text = get(f"{url}/metrics")
        assert status == 200
        self.text = text
        self._values = {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float:
        return self._values[(f"stemwatch_{name}", *sorted(labels.items()))]

    def states(self, name: str) -> dict[str, float]:
        """The states that are not 0."""
        return {
            key[1][1]: value for key, value in self._values.items()
            if key[0] == f"stemwatch_{name}" and value
        }  # fmt: skip


def test_what_is_measured_is_what_happened(tmp_path: Path) -> None:
    """A song delivered past a 429 and a file refused; all of it still true after a restart."""
    url = f"http://127.0.0.1:{free_port()}"
    with ScenarioServer(key=KEY, job_seconds=0.3) as server:
        home = Home(
            tmp_path,
            server.url,
            web={"listen": url.removeprefix("http://")},
            budget={"price_per_minute": PER_MINUTE},
        )
        with home.scaled_service(0.05) as service:
            server.scenario(post=[{"status": 429, "headers": {"Retry-After": "0"}}])
            song = len(wav_bytes(seconds=6.0))  # the service may have taken the file by then
            drop(home.inbox / "secret name.wav", seconds=6.0)
            service.wait_for_event("job.done")
            (home.inbox / "no song.wav").write_text("not audio at all " * 100)
            wait_for(lambda: home.reasons())
            assert readiness(url) == (200, [])
            asked = len(server.requests("post")) + len(server.requests("get"))
            first = Scrape(url)
            _check_and_second_start(home)
            _drained(home, service, server, url)
        _is_true(first, song, home)
        assert first("requests_total") == asked
        assert "secret" not in first.text
        with home.service() as service:
            service.wait_for_event("job.done")
            again = Scrape(url)
            assert again.states("jobs") == {"done": 2, "quarantined": 1}
            assert again("stage_seconds_count", stage="separating") == 2
            assert again("spent_minutes", period="total") == pytest.approx((6 + 5) / 60)
            assert again("sent_bytes_total") == 0
            _refused(home, service, server, url)


def _is_true(scrape: Scrape, song: int, home: Home) -> None:
    """One song of six seconds and so many bytes was sent twice, and delivered."""
    assert scrape.states("jobs") == {"done": 1, "quarantined": 1}
    entered = scrape.states("transitions_total")
    assert {state: entered[state] for state in ("submitting", "separating", "delivered")} == {
        "submitting": 2, "separating": 1, "delivered": 1,
    }  # fmt: skip
    assert (entered["done"], entered["quarantined"]) == (1, 1)
    assert scrape("sent_bytes_total") == 2 * song
    assert scrape("received_bytes_total") == 2 * len(wav_header(0)) + 2 * 6 * 44100 * 4
    assert scrape("rate_limited_total") == 1
    for period in ("today", "month", "total"):
        assert scrape("spent_minutes", period=period) == pytest.approx(0.1)
        assert scrape("spent_money", period=period) == pytest.approx(0.1 * PER_MINUTE)
    assert scrape("stage_seconds_count", stage="upload") == 2
    assert scrape("stage_seconds_count", stage="separating") == 1
    at = dict(home.rows("SELECT state, at FROM history WHERE job_id = 1"))
    separating = at["separated"] - at["separating"]
    assert scrape("stage_seconds_sum", stage="separating") == pytest.approx(separating)
    assert separating > 0
    assert scrape("stage_seconds_count", stage="download") == 1
    assert scrape("queue_age_seconds") == 0
    assert scrape("ready") == 1


def _check_and_second_start(home: Home) -> None:
    """Our own service has the port: no fault. Another one's is: exit 78, naming the key."""
    told = home.command("check", "-c", str(home.config))
    assert "the service that runs has it" in told.stdout, told.stdout
    assert told.returncode == 0, told.stdout
    other = home.config.with_name("other.yaml")
    other.write_text(home.config.read_text().replace("state_dir: state", "state_dir: state2"))
    told = home.command("run", "-c", str(other))
    assert told.returncode == 78
    assert "web.listen" in told.stderr


def _drained(home: Home, service: Service, server: ScenarioServer, url: str) -> None:
    """Stopped while an answer is waited for, it says so, and is alive until that has come."""
    server.scenario(post=[{"until": "told"}])
    drop(home.inbox / "second.wav", 2, seconds=5.0)
    wait_for(lambda: home.journal_count("submitting") == 1)
    service.signal(signal.SIGTERM)
    service.wait_for_event("service.stopping")
    wait_for(lambda: readiness(url) == (503, ["stopping"]))
    assert get(f"{url}/healthz")[0] == 200
    server.go_on()
    assert service.process.wait(60) == 0
    assert not service.events("web.failed") + service.events("web.error")


def _refused(home: Home, service: Service, server: ScenarioServer, url: str) -> None:
    """The key is no longer taken: alive, but a person is needed; without a name or a path."""
    server.scenario(post=[{"status": 401, "times": "ever"}])
    drop(home.inbox / "third.wav", 3)
    service.wait_for_event("service.paused")
    assert readiness(url) == (503, ["auth"])
    assert get(f"{url}/healthz")[0] == 200
    assert get(f"{url}/webhooks/stemsplit")[0] == 404
    paused = Scrape(url)
    assert paused("paused", reason="auth") == 1
    assert paused("paused", reason="credit") == 0
    assert paused("ready") == 0
    # The pause comes first: on a slow disk another song would be paid for meanwhile.
    wait_for(lambda: Scrape(url).states("jobs").get("queued") == 1)
    assert Scrape(url)("queue_age_seconds") > 0
    assert str(home.root) not in paused.text + get(f"{url}/readyz")[1]
