"""Logging: what a line looks like, and what never stands in one."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from stemwatch.log import configure, hide, log, printable, redacted

KEY = "sk_live_canary+/0123"
URL = f"https://user:pw@s3.example.com/stems/vocals.wav?X-Amz-Signature=c4n4ry&k={KEY}#frag"


@pytest.fixture(autouse=True)
def restore() -> Iterator[None]:
    """Logging is one per process: leave it as it was for other tests."""
    before = structlog.get_config()
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    names = ("httpx", "httpcore", "asyncio", "watchdog")
    levels = {name: logging.getLogger(name).level for name in names}
    yield
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, number in levels.items():
        logging.getLogger(name).setLevel(number)


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def logged(**fields: Any) -> dict[str, Any]:
    out = io.StringIO()
    configure("debug", "json", secrets=[KEY], stream=out)
    log.info("job.delivered", **fields)
    (line,) = lines(out)
    return line


def test_one_event_with_named_fields() -> None:
    """A line of JSON: time, level, event, then the fields with their own types."""
    line = logged(name="song.mp3", seconds=41.25, bpm=None, count=3, ok=True)
    stamp = line.pop("timestamp")
    assert time.strptime(stamp[:19], "%Y-%m-%dT%H:%M:%S")
    assert stamp[-1] == "Z"
    assert line == {
        "level": "info", "event": "job.delivered", "name": "song.mp3", "seconds": 41.25,
        "bpm": None, "count": 3, "ok": True,
    }  # fmt: skip


def test_console_lines_are_for_people() -> None:
    """Values with spaces are quoted, tracebacks stand below and indented."""
    out = io.StringIO()
    configure("info", "console", stream=out)
    log.info("watch.rebuilt", folder="/an inbox", tries=2)
    try:
        raise ValueError("first\n2026 job.delivered fake")
    except ValueError:
        log.exception("job.failed")
    first, second, *rest = out.getvalue().splitlines()
    assert first[8:] == ' watch.rebuilt folder="/an inbox" tries=2'
    assert second[8:] == " error: job.failed"
    assert rest[-1] == "    | 2026 job.delivered fake"
    assert all(line.startswith("    | ") for line in rest)


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (
            {"event": "job.delivered", "name": "Pop Song.mp3", "seconds": 5.2, "bpm": 100.0,
             "key": "C major", "folder": "/out/Pop Song", "reused": False},
            "Pop Song.mp3 delivered in 5 s: 100.0 BPM, C major -> /out/Pop Song",
        ),
        (
            {"event": "job.delivered", "name": "a.mp3", "relpath": "Party/a.mp3", "inbox": "dj",
             "seconds": 300, "bpm": None, "key": None, "folder": "/out/a", "reused": True},
            "Party/a.mp3 (dj) delivered from earlier stems in 5 min: BPM unknown, key unknown "
            "-> /out/a",
        ),
        (
            {"event": "job.quarantined", "name": "a.mp3", "code": "not_audio", "message": "No.",
             "hint": "Convert it.", "id": 3},
            "a.mp3 quarantined (not_audio): No. Convert it.",
        ),
        (
            {"event": "job.waits", "name": "a.mp3", "code": "connection", "message": "No route.",
             "seconds": 30.0},
            "a.mp3 is tried again in 30 s (connection): No route.",
        ),
        (
            {"event": "service.paused", "reason": "auth", "message": "Refused.", "hint": "Renew."},
            "Paused (auth): Refused. Renew.",
        ),
        (
            {"event": "service.started", "version": "1", "inbox": "/in", "watch": "inotify",
             "reason": None, "separates": "on this machine"},
            "stemwatch 1 watches /in (inotify), on this machine",
        ),
        ({"event": "job.delivered"}, "? delivered in a while: BPM unknown, key unknown -> None"),
    ],
)  # fmt: skip
def test_what_somebody_waits_for_is_told_in_sentences(event: dict[str, Any], told: str) -> None:
    """On a terminal; whatever field is missing, the line is there. JSON has the fields."""
    out = io.StringIO()
    configure("info", "console", stream=out)
    name = event.pop("event")
    log.info(name, **event)
    assert out.getvalue()[8:] == f" {told}\n"


def test_auto_is_json_when_it_is_no_terminal() -> None:
    """A file, a pipe and the journal of systemd get JSON."""
    out = io.StringIO()
    configure("info", "auto", stream=out)
    log.info("a.b")
    assert lines(out)[0]["event"] == "a.b"


def test_levels() -> None:
    """What is below the level is not written."""
    out = io.StringIO()
    configure("warning", "json", stream=out)
    log.info("no")
    log.warning("yes")
    logging.getLogger("any").info("no")
    logging.getLogger("any").warning("yes too")
    assert [line["event"] for line in lines(out)] == ["yes", "yes too"]


@pytest.mark.parametrize(
    "value",
    [
        KEY,
        f"before {KEY} after",
        KEY.replace("+", "%2B").replace("/", "%2F"),
        {"deep": [{"er": (KEY,)}], KEY: 1},
        KEY.encode(),
        ValueError(f"Illegal header value b'Bearer {KEY}'"),
        URL,
        [f"GET {URL} 200"],
        "/v1/stems/1/vocals.wav?expires=1&sig=c4n4ry HTTP/1.1",
        {"Authorization": "Basic c4n4ry"},
        "{'authorization': 'Bearer c4n4ry-0123'}",
        "[(b'Authorization', b'Bearer c4n4ry-0123')]",
        "Authorization: Bearer c4n4ry-0123",
        "said bearer c4n4ry-0123",
        "wss://host/x?c4n4ry",
    ],
)
def test_secrets_never_stand_in_a_line(value: Any) -> None:
    """Keys, Authorization values and signatures are gone, wherever they hide in a value."""
    text = json.dumps(logged(field=value), ensure_ascii=False)
    for secret in (KEY, "canary", "c4n4ry", "user:pw"):
        assert secret not in text


def test_what_is_no_secret_stays() -> None:
    """Hosts, paths, musical keys and odd song names are left readable."""
    line = logged(
        url=URL,
        key="C# minor",
        name="Why?not=now & then.mp3",
        text="authorization failed",
        plain="a=b",
    )
    assert line["url"] == "https://s3.example.com/stems/vocals.wav?…"
    assert line["key"] == "C# minor"
    assert line["name"] == "Why?not=now & then.mp3"
    assert (line["text"], line["plain"]) == ("authorization failed", "a=b")


def test_secrets_in_tracebacks_and_events() -> None:
    """Exception text, its causes, and the event's own name are redacted too."""
    out = io.StringIO()
    configure("info", "json", secrets=[KEY], stream=out)
    try:
        try:
            raise OSError(f"GET {URL}")
        except OSError as error:
            raise RuntimeError(KEY) from error
    except RuntimeError:
        log.exception(f"it {KEY}", name=KEY)
        logging.getLogger("lib").exception("lib %s", KEY)
    assert "canary" not in out.getvalue()
    assert "c4n4ry" not in out.getvalue()
    assert [("RuntimeError: [redacted]" in line["exception"]) for line in lines(out)] == [True] * 2


def test_a_secret_learned_later() -> None:
    """`hide` works from then on, and `redacted` uses the same list."""
    hide("later-secret", "")
    assert redacted("a later-secret\x1b") == "a [redacted]\\x1b"


def test_httpx_says_nothing_at_info() -> None:
    """httpx logs whole signed URLs at INFO, httpcore headers at DEBUG: neither is let through."""
    out = io.StringIO()
    configure("debug", "json", stream=out)
    logging.getLogger("httpx").info("HTTP Request: GET %s", URL)
    logging.getLogger("httpcore.http11").debug("send_request_headers")
    logging.getLogger("httpx").warning("careful %s", URL)
    logging.getLogger("another.library").info("started")
    assert [(line["logger"], line["event"]) for line in lines(out)] == [
        ("httpx", "careful https://s3.example.com/stems/vocals.wav?…"),
        ("another.library", "started"),
    ]


def test_configuring_twice_writes_once() -> None:
    """A second `configure` replaces the first."""
    first, second = io.StringIO(), io.StringIO()
    configure("info", "json", stream=first)
    configure("info", "json", stream=second)
    logging.getLogger("any").warning("a")
    log.info("b")
    assert (first.getvalue(), len(lines(second))) == ("", 2)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("plain ü 歌 🎵 a\\b", "plain ü 歌 🎵 a\\b"),
        ("👩‍🎤", "👩‍🎤"),
        ("a\nb\r\t\x1b[2J\x7f\x9b", "a\\x0ab\\x0d\\x09\\x1b[2J\\x7f\\x9b"),
        ("caf\udce9.mp3", "caf\\xe9.mp3"),
        ("\ud800", "\\ud800"),
        ("song\u202egpm.exe\u2066\u2028", "song\\u202egpm.exe\\u2066\\u2028"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_printable(raw: str, expected: str) -> None:
    """What could take over a terminal or fake a line is shown as a code; the rest stays."""
    assert printable(raw) == expected
    assert logged(name=raw, nested={raw: raw})["nested"] == {expected: expected}


class Awkward:
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_logging_never_raises() -> None:
    """Odd values, a closed stream, a narrow encoding, a wrong format string: the caller goes on."""
    loop: list[Any] = []
    loop.append(loop)
    line = logged(a=Awkward(), b=loop, c=float("nan"), d={1: {2}}, method="POST", logger="x")
    assert line["a"] == "<unprintable Awkward>"
    assert line["c"] == "nan"
    logging.getLogger().handlers[:] = []  # pytest's own handler raises on a wrong format string
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    configure("info", "json", stream=narrow)
    log.info("a", name="歌")
    logging.getLogger("any").warning("%d", "no number")
    try:
        raise ValueError(Awkward())
    except ValueError:
        log.exception("b")
    narrow.flush()
    written = narrow.buffer.getvalue()  # type: ignore[attr-defined]
    assert b"\\u6b4c" in written
    assert written.count(b"\n") == 3
    closed = io.StringIO()
    configure("info", "json", stream=closed)
    closed.close()
    log.info("a")
    logging.getLogger("any").warning("a")


def test_a_crash_is_logged_without_secrets() -> None:
    """Uncaught exceptions, in threads too, go through the redaction to stderr; stdout is clean."""
    code = f"""
import threading
from stemwatch.log import configure, log, report_crashes
log.info("before.configure")
configure("info", "json", secrets=[{KEY!r}])
report_crashes()
def fail(): raise ValueError("thread " + {KEY!r})
thread = threading.Thread(target=fail, name="t1"); thread.start(); thread.join()
raise SystemError("main " + {KEY!r})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(e["event"], e.get("thread")) for e in events] == [
        ("before.configure", None), ("process.crashed", "t1"), ("process.crashed", "main"),
    ]  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert "canary" not in done.stderr


def test_logging_is_cheap() -> None:
    """A line costs well under a millisecond, one below the level next to nothing."""
    out = io.StringIO()
    configure("info", "json", secrets=[KEY], stream=out)
    start = time.process_time()
    for number in range(1000):
        log.info("job.delivered", name="song.mp3", number=number, url=URL)
        log.debug("job.polled", name="song.mp3")
    assert time.process_time() - start < 1.0
