"""Who is let in: names, origins, the password, and what no answer ever holds."""

from __future__ import annotations

import json
import socket
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.acceptance.harness import KEY, Home
from tests.acceptance.songs import wav_bytes
from tests.support.page import PASSWORD, Page, Stream
from tests.support.waiting import NO_TLS, wait_for


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """With a password, behind a proxy that is trusted: every call here comes from 127.0.0.1."""
    page = Page(tmp_path_factory.mktemp("secure"), password=True)
    page.web |= {"hosts": ["nas.test"], "trusted_proxies": ["127.0.0.1"]}
    with page:
        yield page


def login(client: httpx.Client, password: str = PASSWORD, **headers: str) -> httpx.Response:
    return client.post("/api/login", json={"password": password}, headers=headers)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200), ("127.0.0.1:8080", 200), ("localhost:1", 200), ("[::1]:8080", 200),
        ("192.168.1.7:8080", 200), ("nas.test:8080", 200), ("NAS.TEST", 200), ("nas.test.", 200),
        ("evil.example", 421), ("nas.test.evil.example", 421), ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example", 421), ("", 421), ("evil.example:80@127.0.0.1", 421),
    ],
)  # fmt: skip
def test_only_our_names_are_answered(page: Page, host: str, status: int) -> None:
    """A page that rebinds its own name to this address still sends that name."""
    headers = {"Host": host, "Authorization": f"Bearer {PASSWORD}", "X-Forwarded-Host": "localhost"}
    for path in ("/api/state", "/", "/static/app.js", "/nothing"):
        answer = page.stranger().get(path, headers=headers)
        assert (answer.status_code == 421) == (status == 421), path
    assert page.stranger().get("/healthz", headers={"Host": host}).status_code == 200


def test_a_song_is_not_taken_under_a_foreign_name(page: Page) -> None:
    answer = page.http.put(
        "/api/inbox/default?path=evil.wav",
        content=wav_bytes(1),
        headers={"Host": "evil.example"},
    )
    assert (answer.status_code, answer.json()["code"]) == (421, "unknown_host")
    assert "web.hosts" in answer.json()["hint"]
    assert not (page.home.inbox / "evil.wav").exists()


def test_another_sites_page_can_t_write(page: Page) -> None:
    """With our visitor's cookie, which a browser may send along; a Bearer token is nobody's."""
    client = page.stranger()
    assert login(client).status_code == 204
    calls = [
        ("PUT", "/api/inbox/default?path=evil.wav"), ("POST", "/api/remove-vocals"),
        ("POST", "/api/quarantine/retry-all"), ("POST", "/api/logout"), ("POST", "/api/login"),
    ]  # fmt: skip
    for method, path in calls:
        for origin in ("https://evil.example", "null", f"http://127.0.0.1:{page.port + 1}"):
            answer = client.request(method, path, content=b"x", headers={"Origin": origin})
            assert (answer.status_code, answer.json()["code"]) == (403, "foreign_page")
    assert not (page.home.inbox / "evil.wav").exists()
    origin = {"Origin": f"http://127.0.0.1:{page.port}"}
    assert client.post("/api/quarantine/retry-all", headers=origin).status_code == 202
    assert client.get("/api/state", headers={"Origin": "https://evil.example"}).status_code == 200
    bearer = page.http.post("/api/quarantine/retry-all", headers={"Origin": "https://a.example"})
    assert bearer.status_code == 202


def test_strangers_see_the_page_and_nothing_else(page: Page) -> None:
    """What needs no login holds nothing of anybody."""
    stranger = page.stranger()
    for path in ("/", "/static/app.js", "/api/openapi.json", "/healthz"):
        assert stranger.get(path).status_code == 200
    paths = [
        "/api/state", "/api/events", "/api/songs", "/api/songs/1", "/api/songs/1/stems/vocals",
        "/api/songs/1/zip", "/api/songs/1/peaks", "/api/nothing", "/nothing",
        "/static/..%2fapi%2fstate", "//api/state",
    ]  # fmt: skip
    for path in paths:
        answer = stranger.get(path)
        assert answer.status_code in (401, 404), path
        assert "jobs" not in answer.text
    assert stranger.put("/api/inbox/default?path=a.wav", content=b"x").status_code == 401
    wrong = page.stranger(Authorization="Bearer wrong password")
    assert wrong.get("/api/state", headers={"X-Forwarded-For": "10.1.1.1"}).status_code == 401


def test_a_session_begins_holds_and_ends(page: Page) -> None:
    """Its cookie is out of a script's reach, and the state folder has no token of it."""
    client = page.stranger()
    answer = login(client)
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"stemwatch-{page.port}=")
    for part in ("HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=2592000"):
        assert part in cookie
    assert "Secure" not in cookie
    assert client.get("/api/state").status_code == 200
    kept = page.home.state / "web-sessions.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    token = cookie.partition("=")[2].partition(";")[0]
    assert len(token) >= 43
    assert token not in kept.read_text()
    stolen = page.stranger(Cookie=f"stemwatch-{page.port}={token}")
    assert stolen.get("/api/state").status_code == 200
    assert client.post("/api/logout").status_code == 204
    assert stolen.get("/api/state").status_code == 401
    assert page.stranger(Cookie=f"stemwatch-{page.port}=x").get("/api/state").status_code == 401


def test_a_stream_ends_with_its_session(page: Page) -> None:
    """Logged out in one tab, the others hear nothing more."""
    client = page.stranger()
    login(client)
    with client.stream("GET", "/api/events") as stream:
        lines = stream.iter_lines()
        assert next(lines) == "retry: 2000"
        assert client.post("/api/logout").status_code == 204
        song = wav_bytes(9, seconds=6.0)
        page.http.put("/api/inbox/default?path=unheard.wav", content=song)
        assert "unheard" not in "".join(lines)  # it ends
    page.delivered("unheard.wav")


def test_a_password_may_have_any_letters(tmp_path: Path) -> None:
    """As a Bearer token: curl sends a terminal's UTF-8, a browser's `fetch` Latin-1."""
    secret = tmp_path / "secret"
    secret.write_text("Übung, voilà\n", encoding="utf-8")
    secret.chmod(0o600)
    page = Page(tmp_path)
    page.web["password_file"] = str(secret)
    with page:
        for encoding in ("utf-8", "latin-1"):
            bearer = {b"Authorization": "Bearer Übung, voilà".encode(encoding)}
            answer = httpx.get(f"{page.url}/api/state", headers=bearer, verify=NO_TLS, timeout=30)
            assert answer.status_code == 200, encoding


def test_over_https_the_cookie_never_goes_in_clear(page: Page) -> None:
    """As a proxy that is trusted says."""
    answer = login(page.stranger(), **{"X-Forwarded-Proto": "https"})
    assert "; Secure" in answer.headers["set-cookie"]


def test_five_wrong_passwords_a_minute(page: Page) -> None:
    """Of one address; then even the right one is not looked at, and others are let in."""
    guesser, other = {"X-Forwarded-For": "10.9.9.9"}, {"X-Forwarded-For": "1.1.1.1, 10.9.9.8"}
    for _ in range(5):
        assert login(page.stranger(), "guess", **guesser).status_code == 401
    answer = login(page.stranger(), **guesser)
    assert (answer.status_code, answer.json()["code"]) == (429, "too_often")
    assert 0 < int(answer.headers["retry-after"]) <= 61
    assert login(page.stranger(), **other).status_code == 204
    # What a client puts left of its proxy's own word is its own invention.
    forged = {"X-Forwarded-For": "10.9.9.7, 10.9.9.9"}
    assert login(page.stranger(), **forged).status_code == 429


def test_every_answer_forbids_what_the_page_does_not_need(page: Page) -> None:
    for path in ("/", "/static/app.js", "/api/state", "/api/nothing", "/static/page.css"):
        headers = page.http.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in headers


def test_neither_key_nor_password_nor_path_is_ever_sent(page: Page) -> None:
    """In answers, events, faults and the log; names are text, whatever is in them."""
    name = "<img src=x onerror=alert(1)>.wav"
    page.http.put("/api/inbox/default", params={"path": name}, content=wav_bytes(5, seconds=6.0))
    song = page.delivered(name)
    texts = [
        page.http.get(path).text
        for path in ("/api/state", "/api/songs", f"/api/songs/{song['id']}", "/api/songs/99", "/")
    ]
    with Stream(page) as stream:
        texts.append(json.dumps(stream.event()))
    page.http.get(f"/api/songs?q={KEY}")
    texts.append(page.service.text())
    told = "".join(texts[:-1])
    assert KEY not in "".join(texts)
    assert PASSWORD not in "".join(texts)
    assert str(page.home.outbox) not in told
    assert name in page.http.get("/api/songs").json()["songs"][0]["name"]


def test_a_small_body_is_all_that_is_read(page: Page) -> None:
    """A login of a megabyte is none."""
    answer = page.stranger().post("/api/login", content=b"x" * 100_000)
    assert answer.status_code == 413
    assert page.stranger().post("/api/login", content=b"[]").status_code == 400


def test_two_hosts_in_one_request_are_no_host(page: Page) -> None:
    """What one reader takes from the first line, another takes from the second."""
    with closing(socket.create_connection(("127.0.0.1", page.port), timeout=10)) as caller:
        caller.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
        assert caller.recv(100).startswith((b"HTTP/1.1 421", b"HTTP/1.1 400"))


def test_a_session_outlives_a_restart_but_no_other_password(tmp_path: Path) -> None:
    page = Page(tmp_path, password=True)
    with page:
        client = page.stranger()
        cookie = login(client).headers["set-cookie"].partition(";")[0]
        page.service.stop()
        with page.home.service():
            assert page.stranger(Cookie=cookie).get("/api/state").status_code == 200
        (tmp_path / "password").write_text("another\n")
        with page.home.service():
            assert page.stranger(Cookie=cookie).get("/api/state").status_code == 401


@pytest.mark.parametrize(
    ("web", "mode", "said"),
    [
        ({"listen": "0.0.0.0:0"}, 0o600, "web.password_file"),
        ({"listen": "127.0.0.1:0", "hosts": ["nas"]}, 0o600, "web.password_file"),
        ({"listen": "127.0.0.1:0", "trusted_proxies": ["127.0.0.1"]}, 0o600, "web.password_file"),
        (
            {"listen": "127.0.0.1:0", "public_url": "https://music.example.org"},
            0o600,
            "as web.public_url says",
        ),
        ({"listen": None}, 0o600, "needs web.listen"),
        ({"listen": "127.0.0.1:0", "password_file": "missing"}, 0o600, "can't be read"),
        ({"listen": "127.0.0.1:0", "password_file": "secret"}, 0o644, "chmod 600"),
        ({"listen": "127.0.0.1:0", "password_file": "empty"}, 0o600, "no password"),
        ({"listen": "127.0.0.1:0", "hosts": ["a b"]}, 0o600, "web.hosts"),
        ({"listen": "127.0.0.1:0", "trusted_proxies": ["nas"]}, 0o600, "web.trusted_proxies"),
    ],
)
def test_a_page_that_would_be_open_is_not_started(
    tmp_path: Path, web: dict[str, object], mode: int, said: str
) -> None:
    """Exit 78, and the key that mends it; `check` says the same."""
    home = Home(tmp_path, "http://127.0.0.1:9/v1", web={"page": True, **web})
    for name, text in (("secret", "x"), ("empty", "\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)
    for command in ("run", "check"):
        told = home.command(command, "-c", str(home.config))
        assert told.returncode == 78
        assert said in told.stderr + told.stdout


def test_open_to_everybody_has_to_be_written_out(tmp_path: Path) -> None:
    """`none` is taken at its word, and `check` says who sees it."""
    web = {"page": True, "listen": "0.0.0.0:0", "password_file": "none"}
    home = Home(tmp_path, "http://127.0.0.1:9/v1", web=web)
    told = home.command("check", "-c", str(home.config))
    assert "the page is open to everybody" in told.stdout
    with home.service() as service:
        wait_for(lambda: service.events("web.listening"))
