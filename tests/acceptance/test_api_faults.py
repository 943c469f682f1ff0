"""What the API answers wrongly, call by call: every fault ends as docs/troubleshooting.md says.

Songs of one test go through one service at once. Faults of a submission are handed out in the
order in which songs arrive; those of polls and downloads belong to the song they are named after.
"""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.harness import KEY, SEPARATE, Home, Service
from tests.acceptance.songs import SECONDS, drop
from tests.support.scenario.jobs import sign
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for

SCALE = 0.01
EVER = "ever"
REASON_KEYS = [
    "code",
    "message",
    "hint",
    "http_status",
    "attempts",
    "job_id",
    "request_id",
    "first_seen",
    "quarantined_at",
]


LARGE: dict[str, Any] = {"seconds": 42.0, "rate": 192_000}  # 16 MB, and few of its stems


def home_for(root: Path, server: ScenarioServer, **sections: Any) -> Home:
    """Many songs at the remote at once, so that no fault waits for another one's end."""
    quick = {"watch": {"settle_seconds": 0.05}, "api": {"max_concurrent": 40}}
    return Home(root, server.url, **{**quick, **sections})


def drop_all(home: Home, names: list[str], *, seconds: float = SECONDS) -> None:
    for number, name in enumerate(names):
        drop(home.inbox / f"{name}.wav", number, seconds=seconds)


def wait_for_ends(service: Service, count: int, *, timeout: float = 60.0) -> None:
    """Until so many songs are filed, in the archive or in the quarantine."""
    home = service.home

    def ended() -> bool:
        archived = len(list(home.archive.rglob("*.wav")))
        return archived + len(list(home.quarantine.rglob("*.wav"))) >= count

    wait_for(ended, timeout=timeout, what=f"{count} ends in\n{service.text()}")


def outcomes(home: Home) -> dict[str, str]:
    """Song -> `delivered`, or the code of its reason."""
    found = dict.fromkeys(home.sidecars(), "delivered")
    return found | {name.removesuffix(".wav"): r["code"] for name, r in home.reasons().items()}


def whole_posts(server: ScenarioServer) -> int:
    """Submissions that came whole. A pause breaks off others, which cost nothing."""
    return sum("finished" in post for post in server.requests("post"))


# -- POST -----------------------------------------------------------------------------------

REFUSED = {
    400: "bad_request",
    413: "too_large",
    415: "unsupported",
    422: "unprocessable",
    406: "refused",
    418: "refused",
}


def test_a_refused_song_goes_to_quarantine_with_the_servers_reason(
    tmp_path: Path, wire: str
) -> None:
    """400, 413, 415, 422 and other 4xx quarantine the song alone, the reason file to the letter."""
    steps = [
        {
            "status": status,
            "headers": {"X-Request-Id": f"req-{status}"},
            "body": {"error": f"no to {status}"},
            **({"at": "head"} if status in {413, 418} else {}),
        }
        for status in REFUSED
    ]
    with ScenarioServer(wire=wire, key=KEY, job_seconds=0.1) as server:
        server.scenario(post=steps)
        home = home_for(tmp_path, server)
        began = time.time()
        with home.scaled_service(SCALE) as service:
            drop_all(home, [f"song{n}" for n in range(len(REFUSED) + 1)])
            wait_for_ends(service, len(REFUSED) + 1)
    reasons = {reason["http_status"]: reason for reason in home.reasons().values()}
    assert {status: reason["code"] for status, reason in reasons.items()} == REFUSED
    for status, reason in reasons.items():
        assert list(reason) == REASON_KEYS
        assert f'({status}: "no to {status}")' in reason["message"]
        assert "stemwatch retry" in reason["hint"]
        assert reason["attempts"] == 1
        assert reason["job_id"] is None
        assert reason["request_id"] == f"req-{status}"
        assert began - 2 < _unix(reason["first_seen"]) <= _unix(reason["quarantined_at"])
        assert _unix(reason["quarantined_at"]) < time.time() + 2
    # the one song that met no fault is delivered, and nothing was tried twice
    assert len(home.sidecars()) == server.paid["total"] == 1
    assert len(server.requests("post")) == len(REFUSED) + 1
    assert home.waiting() == []
    assert _spent_minutes(home) < 0.1  # the refused ones are not booked


UNCONFIRMED: dict[str, dict[str, Any]] = {
    "reset after the body": {"reset": "end"},
    "reset after the body, taken": {"reset": "end", "accept": True},
    "closed after the body, taken": {"close": "end", "accept": True},
    "reset half-way through the answer": {"reset": "answer"},
    "closed half-way through the answer": {"close": "answer"},
    "202 without a job id": {"drop": ["job_id"]},
    "202 with an empty job id": {"merge": {"job_id": ""}},
    "202 with a job id that is no text": {"merge": {"job_id": {"a": 1}}},
    "200 with HTML": {"html": True},
    "202 with half a JSON": {"half": True},
    "204 with nothing": {"status": 204, "body": ""},
    "303 after the body": {"redirect": "{origin}/v1/jobs/x", "status": 303},
}


@SEPARATE
def test_what_may_have_been_charged_is_never_submitted_again(tmp_path: Path, wire: str) -> None:
    """No readable answer after the whole body: quarantined as unconfirmed, also over a restart."""
    names = [f"song{n}" for n in range(len(UNCONFIRMED))]
    with ScenarioServer(wire=wire, key=KEY, job_seconds=0.1) as server:
        server.scenario(post=list(UNCONFIRMED.values()))
        home = home_for(tmp_path, server, api={"max_concurrent": 1})
        quick = ("outage_first=0.02", "outage_min=0.02", "outage_max=0.02")  # after each of them
        with home.scaled_service(SCALE, *quick) as service:
            drop_all(home, names)
            wait_for_ends(service, len(names))
        assert outcomes(home) == dict.fromkeys(names, "submission_unconfirmed")
        assert len(server.requests("post")) == len(names)
        for reason in home.reasons().values():
            assert "dashboard" in reason["hint"]
            assert "stemwatch retry" in reason["hint"]
            assert reason["attempts"] == 1
        spent = _spent_minutes(home)
        with home.scaled_service(SCALE) as service:
            drop(home.inbox / "next.wav", 99)
            wait_for_ends(service, len(names) + 1)
        assert len(server.requests("post")) == len(names) + 1
    assert set(server.paid["by_sha256"].values()) == {1}
    # what may have been charged stays booked
    assert abs(spent - len(names) * SECONDS / 60) < 1e-3


SAME_KEY: list[dict[str, Any]] = [  # the whole body was read, then the server said that it failed
    {"status": 500},
    {"status": 503},
    {"status": 503, "headers": {"Retry-After": "1"}},
    {"status": 408},
    {"status": 409},
    {"status": 425},
    {"status": 507},
]
BROKEN_OFF: list[dict[str, Any]] = [  # never whole
    {"status": 500, "at": "head"},
    {"status": 502, "at": "head", "html": True},
    {"status": 503, "at": "head", "headers": {"Retry-After": "0"}},
    {"reset": "head"},
    {"close": "head"},
    {"reset": "body"},
    {"close": "body"},
]


def test_a_failing_server_gets_the_same_song_again_under_the_same_key(
    tmp_path: Path, wire: str
) -> None:
    """5xx and broken uploads are tried again, patiently, and paid once.

    The song is larger than what the kernels hold: a small one, as a tone's FLAC is, would be sent
    whole before the server breaks it off, and nobody could say then whether it was taken.
    """
    with ScenarioServer(wire=wire, key=KEY, job_seconds=0.1, receive_buffer=64 * 1024) as server:
        server.scenario(post=[*SAME_KEY, *BROKEN_OFF])
        home = home_for(tmp_path, server, prepare={"upload": "original"})
        quick = ("retry_max=0.05", "outage_min=0.1", "outage_max=0.1")
        with home.scaled_service(SCALE, *quick) as service:
            drop(home.inbox / "song.wav", **LARGE)
            wait_for_ends(service, 1)
        posts = server.requests("post")
        # Each step is used up by one POST; one that is cut off early may miss the server's log.
        answered = [post for post in posts if "status" in post]
        expected = [step["status"] for step in SAME_KEY]
        assert [post["status"] for post in answered][: len(expected)] == expected
        assert answered[-1]["status"] in {201, 202}
        assert len(posts) <= len(SAME_KEY) + len(BROKEN_OFF) + 3  # a busy machine may break one off
        keys = {post["headers"]["idempotency-key"] for post in posts}
        assert len(keys) == 1
        assert server.paid["total"] == 1
    # Retry-After of a 503 is kept to
    later = [post["time"] for post in posts if post["time"] > answered[2]["time"]]
    assert later[0] - answered[2]["finished"] >= 1.0
    assert outcomes(home) == {"song": "delivered"}


def test_a_gateway_s_fault_is_no_answer(tmp_path: Path, wire: str) -> None:
    """The origin took the job, and the gateway in front of it gave up: paid once, never twice."""
    faults = [502, 504, 524]
    with ScenarioServer(wire=wire, key=KEY, job_seconds=0.1) as server:
        server.scenario(post=[{"status": status, "accept": True} for status in faults])
        home = home_for(tmp_path, server, api={"max_concurrent": 1})
        with home.scaled_service(SCALE) as service:
            names = [f"song{status}" for status in faults]
            drop_all(home, names)
            wait_for_ends(service, len(faults))
        assert set(server.paid["by_sha256"].values()) == {1}
        assert server.paid["total"] == len(server.requests("post")) == len(faults)
    # Wire B has a list of jobs, in which it is found; of wire A only its owner can know.
    ends = {"separate": "submission_unconfirmed", "presigned": "delivered"}
    assert outcomes(home) == dict.fromkeys(names, ends[wire])


@SEPARATE
def test_a_server_that_never_answers_is_given_up_once(tmp_path: Path, wire: str) -> None:
    """After the whole body: unconfirmed, taken or not. Before it: nothing happened, tried again.

    A poll or a download that hangs costs time and nothing else.
    """
    hanging: dict[str, dict[str, Any]] = {
        "poll": {"get": [{"hang": "head"}]},
        "download": {"download": [{"hang": "head"}]},
    }
    with ScenarioServer(wire=wire, key=KEY, job_seconds=0.1) as server:
        server.scenario(
            post=[{"hang": "end"}, {"hang": "end", "accept": True}, {"hang": "head"}],
            by_name={f"{name}.wav": own for name, own in hanging.items()},
        )
        home = home_for(
            tmp_path,
            server,
            api={"upload_timeout": 2, "max_concurrent": 1},
            prepare={"upload": "original"},  # a tone is tiny as FLAC
        )
        patience = ("answer=2", "poll_answer=1", "download_stall=1", "hold_max=20")
        with home.scaled_service(SCALE, *patience) as service:
            for name in ("lost", "taken"):
                drop(home.inbox / f"{name}.wav", len(name))
                wait_for_ends(service, 1 if name == "lost" else 2)
            # Larger than what the sockets keep: its last bytes can't be sent.
            drop(home.inbox / "big.wav", 9, **LARGE)
            wait_for_ends(service, 3)
            drop_all(home, list(hanging))
            wait_for_ends(service, 5)
        told = dict.fromkeys(["lost", "taken"], "submission_unconfirmed")
        assert outcomes(home) == told | dict.fromkeys(["big", *hanging], "delivered")
        assert server.paid["total"] == 4  # the one that was taken, and each delivered one once
        assert len(server.requests("post")) == 6


# -- GET ------------------------------------------------------------------------------------

Table = dict[str, tuple[dict[str, Any], str]]  # song -> its plan and steps, and how it ends


def get(*steps: dict[str, Any], **plan: Any) -> dict[str, Any]:
    return {"get": list(steps), "plan": plan}


POLLS: Table = {
    "500": (get({"status": 500}), "delivered"),
    "502 HTML": (get({"status": 502, "html": True}), "delivered"),
    "503 Retry-After": (get({"status": 503, "headers": {"Retry-After": "0"}}), "delivered"),
    "504 x 7": (get({"status": 504, "times": 7}), "delivered"),
    "408": (get({"status": 408}), "delivered"),
    "redirect": (get({"redirect": "{origin}/elsewhere"}), "delivered"),
    "reset": (get({"reset": "head"}), "delivered"),
    "close": (get({"close": "head"}), "delivered"),
    "reset in the answer": (get({"reset": "answer"}), "delivered"),
    "close in the answer": (get({"close": "answer"}), "delivered"),
    "half a JSON x 4": (get({"half": True, "times": 4}), "delivered"),
    "HTML x 4": (get({"html": True, "times": 4}), "delivered"),
    "HTML x 4, good, x 4": (
        get({"html": True, "times": 4}, {}, {"html": True, "times": 4}, seconds=1.0),
        "delivered",
    ),
    "a list": (get({"body": ["no", "object"]}), "delivered"),
    "nothing": (get({"body": ""}), "delivered"),
    "bomb": (get({"bomb": 20}), "delivered"),
    "another job": (get({"merge": {"job_id": "job_other"}}), "delivered"),
    "404 x 2": (get({"status": 404, "times": 2}), "delivered"),
    "503 x 2, then 404": (get({"status": 503, "times": 2}, {"status": 404}), "delivered"),
    "unknown word": (get({"merge": {"status": "reticulating"}, "times": 3}), "delivered"),
    "no status": (get({"drop": ["status"]}), "delivered"),
    "null tempo and key": (get({"merge": {"bpm": None, "key": None}, "times": EVER}), "delivered"),
    "no tempo nor key": (get({"drop": ["bpm", "key"], "times": EVER}), "delivered"),
    "odd tempo and key": (get({"merge": {"bpm": "fast", "key": 7}, "times": EVER}), "delivered"),
    "extra keys": (
        get({"merge": {"mood": {"a": [1]}, "progress": 400}, "times": EVER}),
        "delivered",
    ),
    "chunked": (get({"chunked": True, "times": EVER}), "delivered"),
    "no length": (get({"length": None, "times": EVER}), "delivered"),
    "HTML for ever": (get({"html": True, "times": EVER}), "bad_answer"),
    "half for ever": (get({"half": True, "times": EVER}), "bad_answer"),
    "418 for ever": (get({"status": 418, "times": EVER}), "bad_answer"),
    "404 for ever": (get({"status": 404, "times": EVER}), "job_lost"),
    "410 for ever": (get({"status": 410, "times": EVER}), "job_lost"),
    "failed": (get(plan="failed", error="the model ran out of memory"), "separation_failed"),
    "a stem is missing": (
        get({"merge": {"stems": {"vocals": "https://x.example/v"}}, "times": EVER}, seconds=0),
        "missing_stem",
    ),
    "completed without stems": (get({"drop": ["stems"], "times": EVER}, seconds=0), "bad_answer"),
}


@pytest.mark.timeout(400)
def test_polls_believe_only_what_can_be_read(tmp_path: Path, wire: str) -> None:
    """Each fault of GET /jobs ends as the table says, never in a second submission."""
    with ScenarioServer(wire=wire, key=KEY, job_seconds=0.2) as server:
        server.scenario(by_name={f"{name}.wav": own for name, (own, _) in POLLS.items()})
        home = home_for(tmp_path, server)
        with home.scaled_service(SCALE) as service:
            drop_all(home, list(POLLS))
            wait_for_ends(service, len(POLLS), timeout=110.0)
        assert outcomes(home) == {name: end for name, (_, end) in POLLS.items()}
        assert server.paid["total"] == whole_posts(server) == len(POLLS)
        ids = {job["filename"]: job["id"] for job in server.paid["jobs"]}
    for name, reason in home.reasons().items():  # what is paid for can be claimed
        assert reason["job_id"] == ids[name]
    reasons = home.reasons()
    assert reasons["HTML for ever.wav"]["attempts"] == 5
    assert reasons["404 for ever.wav"]["attempts"] == 3
    assert "the model ran out of memory" in reasons["failed.wav"]["message"]
    sidecars = home.sidecars()
    assert sidecars["500"]["bpm"] == 124.0
    assert sidecars["500"]["key"]["camelot"] == "12A"
    for name in ("null tempo and key", "no tempo nor key", "odd tempo and key"):
        assert (sidecars[name]["bpm"], sidecars[name]["key"]) == (None, None)


def test_a_late_job_is_reported_and_still_waited_for(tmp_path: Path, wire: str) -> None:
    """Past its deadline a job is told as `job.late`, asked for more slowly, and delivered."""
    with ScenarioServer(wire=wire, key=KEY) as server:
        server.scenario(jobs=[{"seconds": 3600}])
        home = home_for(tmp_path, server, api={"job_deadline": 1.0, "poll_interval": 0.05})

        def late_polls() -> list[float]:
            """When the job was asked for that was late already, even since its first poll."""
            job = server.paid["jobs"][0]["id"]
            polls = [at["time"] for at in server.requests("get") if at["path"].endswith(job)]
            return [at for at in polls if at > polls[0] + 1.0]

        with home.scaled_service(SCALE, "late_poll=0.5") as service:
            drop(home.inbox / "song.wav")
            late = service.wait_for_event("job.late")
            assert late["name"] == "song.wav"
            wait_for(lambda: len(late_polls()) >= 2)
            server.finish()
            wait_for_ends(service, 1)
            assert len(service.events("job.late")) == 1
        slow = late_polls()
    assert all(after - before >= 0.45 for before, after in pairwise(slow))
    assert outcomes(home) == {"song": "delivered"}


def test_a_job_that_never_ends_is_given_up_when_the_remote_forgets_it(
    tmp_path: Path, wire: str
) -> None:
    """Only the retention limit quarantines what is paid for; unknown words count as running."""
    with ScenarioServer(wire=wire, key=KEY) as server:
        server.scenario(jobs=[{"plan": "never"}, {"plan": "stuck"}])
        home = home_for(tmp_path, server, api={"job_deadline": 1.0})
        # For four seconds they are late only: one poll at least has to find them so.
        with home.scaled_service(SCALE, "retention=5") as service:
            drop_all(home, ["never", "stuck"])
            wait_for_ends(service, 2)
            told = service.events()
        accepted = {job["id"]: job["accepted"] for job in server.paid["jobs"]}
        assert server.paid["total"] == 2
    assert len(home.reasons()) == 2
    for name, reason in home.reasons().items():
        assert reason["code"] == "overdue"
        late, end = [
            event
            for event in told
            if event["event"] in ("job.late", "job.quarantined") and event["name"] == name
        ]
        assert (late["event"], end["event"]) == ("job.late", "job.quarantined")
        assert _unix(end["timestamp"]) - accepted[reason["job_id"]] >= 4.9


# -- downloads ------------------------------------------------------------------------------


def down(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"download": list(steps)}


def signed(format: str, seconds: float) -> str:
    """The path of a good stem that is not what was asked for."""
    path, query = f"/stems/job_other/vocals.{format}", f"seconds={seconds:.3f}&expires=9e9"
    return f"{{origin}}{path}?{query}&signature={sign(path, query)}"


DOWNLOADS: Table = {
    "500": (down({"status": 500}), "delivered"),
    "503 Retry-After": (down({"status": 503, "headers": {"Retry-After": "0"}}), "delivered"),
    "429": (down({"status": 429}), "delivered"),
    "reset": (down({"reset": "head"}), "delivered"),
    "reset in the body": (down({"reset": "answer"}), "delivered"),
    "truncated": (down({"close": "answer"}), "delivered"),
    "truncated, no length": (down({"close": "answer", "length": None}), "delivered"),
    "10 bytes missing": (down({"length": 10}), "delivered"),
    "10 bytes too many": (down({"length": -10}), "delivered"),
    "empty": (down({"body": ""}), "delivered"),
    "HTML": (down({"html": True}), "delivered"),
    "corrupt x 2": (down({"body": "RIFFno audio at all" * 99, "times": 2}), "delivered"),
    "chunked": (down({"chunked": True, "times": EVER}), "delivered"),
    "no length": (down({"length": None, "times": EVER}), "delivered"),
    "bomb": (down({"bomb": 20}), "delivered"),
    "endless": (down({"endless": True}), "delivered"),
    "drip": (down({"drip": 0.05}), "delivered"),
    "3 hops": (down({"hops": 3, "times": 3}), "delivered"),
    "9 hops": (down({"hops": 9, "times": 9}), "delivered"),
    "expired x 2": (down({"status": 403, "times": 2}), "delivered"),
    "expired, a stem, expired": (
        down({"status": 403, "times": 3}, {}, {"status": 403, "times": 3}),
        "delivered",
    ),
    "401": (down({"status": 401}), "delivered"),
    "404": (down({"status": 404}), "delivered"),
    "410": (down({"status": 410}), "delivered"),
    "another format": (down({"redirect": signed("flac", SECONDS)}), "delivered"),
    "another song": (down({"redirect": signed("wav", 9.0)}), "delivered"),
    "expired for ever": (down({"status": 403, "times": EVER}), "url_expired"),
    "corrupt for ever": (down({"body": "no audio", "times": EVER}), "bad_stem"),
    "truncated for ever": (down({"close": "answer", "times": EVER}), "short_body"),
    "HTML for ever": (down({"html": True, "times": EVER}), "bad_stem"),
    "hops for ever": (down({"hops": 1, "times": EVER}), "redirected"),
    "to a private address": (down({"redirect": "http://10.0.0.1/v.wav"}), "forbidden_url"),
    "to a file": (down({"redirect": "file:///etc/passwd"}), "forbidden_url"),
}


@pytest.mark.timeout(400)
def test_only_whole_and_right_stems_are_delivered(tmp_path: Path, wire: str) -> None:
    """Each fault of a download ends as the table says; nothing is separated a second time."""
    with ScenarioServer(wire=wire, key=KEY, job_seconds=0.2) as server:
        server.scenario(by_name={f"{name}.wav": own for name, (own, _) in DOWNLOADS.items()})
        home = home_for(tmp_path, server)
        # hold_max: scaled, an upload ahead would be given up where a busy machine polls late
        patience = ("download_stall=0.5", "download_megabyte=0.1", "hold_max=30")
        with home.scaled_service(SCALE, *patience) as service:
            drop_all(home, list(DOWNLOADS))
            wait_for_ends(service, len(DOWNLOADS), timeout=110.0)
        assert outcomes(home) == {name: end for name, (_, end) in DOWNLOADS.items()}
        waits = [(event["name"], event["code"]) for event in service.events("job.waits")]
        assert server.paid["total"] == whole_posts(server) == len(DOWNLOADS), waits
        ids = {job["filename"]: job["id"] for job in server.paid["jobs"]}
        asked = [entry["path"] for entry in server.requests("get")]
        downloads = server.requests("download")
    assert not any("authorization" in entry["headers"] for entry in downloads)
    for name, reason in home.reasons().items():
        assert reason["job_id"] == ids[name]
    # each expired address was exchanged for a fresh one: a poll that saw the end, then one each
    expired = f"/jobs/{ids['expired x 2.wav']}"
    assert sum(path.endswith(expired) for path in asked) >= 3
    for folder, sidecar in home.sidecars().items():
        assert sidecar["duration_seconds"] == SECONDS, folder
        for stem in sidecar["stems"]:
            assert (home.outbox / folder / stem["file"]).stat().st_size == stem["bytes"]
    left = [p for p in home.outbox.rglob("*") if p.is_file() and ".stemwatch" in p.parts]
    assert not [p for p in left if p.name.endswith(".json")]


def _unix(stamp: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(stamp).timestamp()


def _spent_minutes(home: Home) -> float:
    return float(home.rows("SELECT coalesce(sum(minutes), 0) FROM spend")[0][0])
