"""The page's API over real HTTP: each answer is held against the document that we serve."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import socket
import struct
import sys
import wave
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from stemwatch.web import page as assembled
from stemwatch.web.api.landing import HIDDEN
from tests.acceptance.songs import wav_bytes
from tests.support.clustered import scripted
from tests.support.page import SECONDS, Page, Stream, openapi, upload
from tests.support.waiting import wait_for

# The service as it is, but answers under way get a minute in the end.
_GRACIOUS = (
    "import stemwatch.web.server as server; server.GRACE = 60.0;"
    "from tests.acceptance.scaled import main; raise SystemExit(main())"
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with Page(tmp_path_factory.mktemp("page")) as page:
        yield page


@pytest.fixture(scope="module")
def song(page: Page) -> dict[str, object]:
    """One that was uploaded and delivered."""
    answer = upload(page, "Party/Söng 1.wav", 1)
    assert answer.status_code == 201
    assert answer.json() == {
        "name": "Söng 1.wav", "folder": "Party", "inbox": None,
        "bytes": len(wav_bytes(1, seconds=SECONDS)), "renamed": False,
    }  # fmt: skip
    return page.delivered("Söng 1.wav")


# -- uploads -------------------------------------------------------------------------------


def test_an_uploaded_song_takes_the_ordinary_way(page: Page, song: dict[str, object]) -> None:
    """Delivered below its folder, its original in the archive, and nothing hidden is left."""
    assert song["folder"] == "Party"
    assert song["has_stems"] is True
    assert "Party/Söng 1" in page.home.sidecars()
    wait_for(lambda: (page.home.archive / "Party" / "Söng 1.wav").exists())
    assert not list(page.home.inbox.rglob(f"{HIDDEN}*"))


def test_a_name_that_is_taken_gets_a_number(page: Page) -> None:
    """Nothing is overwritten, and the sender is told."""
    taken = page.home.inbox / "Held" / "a.wav"
    taken.parent.mkdir()
    part = taken.with_name("a.wav.part")
    part.touch()  # while it is there no scan takes the file: it looks half-written
    taken.write_bytes(b"of somebody else")
    answer = upload(page, "Held/a.wav", 2)
    assert answer.json()["name"] == "a (2).wav"
    assert answer.json()["renamed"] is True
    page.delivered("a (2).wav")
    assert taken.read_bytes() == b"of somebody else"
    taken.unlink()
    part.unlink()


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("../a.wav", 400, "bad_path"), ("/a.wav", 400, "bad_path"), ("", 400, "bad_path"),
        ("a/../../b.wav", 400, "bad_path"), ("a//b.wav", 400, "bad_path"),
        ("a\0.wav", 400, "bad_path"), ("a\n.wav", 400, "bad_path"),
        ("x" * 300 + ".wav", 400, "bad_path"), ("/".join("a" * 20) + "/b.wav", 400, "bad_path"),
        ("a.txt", 415, "not_a_song"), (".a.wav", 415, "not_a_song"),
        (".hidden/a.wav", 415, "not_a_song"), ("a.wav.part", 415, "not_a_song"),
    ],
)  # fmt: skip
def test_a_path_that_leads_elsewhere_is_refused(
    page: Page, path: str, status: int, code: str
) -> None:
    answer = upload(page, path, 3)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not list(page.home.root.rglob("b.wav"))


def test_a_link_in_the_inbox_is_not_followed(page: Page, tmp_path: Path) -> None:
    """It would let a browser write wherever it leads."""
    link = page.home.inbox / "link"
    link.symlink_to(tmp_path)
    try:
        answer = upload(page, "link/a.wav", 3)
    finally:
        link.unlink()
    assert (answer.status_code, answer.json()["code"]) == (409, "in_the_way")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_inbox_a_missing_length_and_a_promise_too_large(page: Page) -> None:
    assert page.http.put("/api/inbox/nobody?path=a.wav", content=b"x").status_code == 404
    chunks = page.http.put("/api/inbox/default?path=a.wav", content=iter([b"x"]))
    assert chunks.status_code == 411
    assert _raw(page, "Content-Length: 5000000000").startswith(b"HTTP/1.1 413 ")


def test_an_upload_that_is_broken_off_leaves_nothing(page: Page) -> None:
    """Half a song never gets a name, and its bytes are gone."""
    with closing(socket.create_connection(("127.0.0.1", page.port), timeout=10)) as caller:
        caller.sendall(_head("Content-Length: 1000000") + bytes(300_000))
        wait_for(lambda: list(page.home.inbox.glob(f"{HIDDEN}*")))
    wait_for(lambda: not list(page.home.inbox.glob(f"{HIDDEN}*")))
    assert not (page.home.inbox / "broken.wav").exists()


def test_what_a_kill_left_of_an_upload_is_swept(tmp_path: Path) -> None:
    """Once the page is looked at again; what comes in at that moment is left alone."""
    with Page(tmp_path) as page:
        left = page.home.inbox / "Party" / f"{HIDDEN}0123-4567"
        left.parent.mkdir()
        left.write_bytes(b"half a song")
        assert upload(page, "Party/First.wav", 7).status_code == 201
        wait_for(lambda: not left.exists())
        page.delivered("First.wav")


def test_an_inbox_that_is_away_keeps_no_other_from_being_swept(tmp_path: Path) -> None:
    page = Page(tmp_path)
    page.inboxes = {"dj": {}, "karaoke": {}}
    with page:
        left = tmp_path / "karaoke" / "inbox" / f"{HIDDEN}0123-4567"
        left.write_bytes(b"half a song")
        (tmp_path / "dj" / "inbox").rename(tmp_path / "away")  # the service may have a file in it
        page.http.get("/api/status")
        wait_for(lambda: not left.exists())


def _head(*lines: str) -> bytes:
    first = "PUT /api/inbox/default?path=broken.wav HTTP/1.1"
    return "\r\n".join((first, "Host: localhost", *lines, "", "")).encode()


def _raw(page: Page, *lines: str) -> bytes:
    with closing(socket.create_connection(("127.0.0.1", page.port), timeout=10)) as caller:
        caller.sendall(_head(*lines))
        return caller.recv(1000)


# -- what is delivered ---------------------------------------------------------------------


def test_a_song_tells_where_its_samples_lie(page: Page, song: dict[str, object]) -> None:
    """Read there by a range, they are the stem's own."""
    found = page.http.get(f"/api/songs/{song['id']}").json()
    assert [one["id"] for one in found["files"]] == ["vocals", "instrumental"]
    pcm = found["files"][0]["pcm"]
    assert (pcm["rate"], pcm["channels"], pcm["bits"]) == (44_100, 2, 16)
    assert pcm["frames"] == SECONDS * 44_100
    first = pcm["offset"]
    answer = page.http.get(
        f"/api/songs/{song['id']}/stems/vocals", headers={"Range": f"bytes={first}-{first + 39}"}
    )
    assert answer.status_code == 206
    stem = page.home.outbox / "Party" / "Söng 1" / found["files"][0]["file"]
    with wave.open(str(stem)) as file:
        assert answer.content == file.readframes(10)


def test_ranges_and_what_is_known_already(page: Page, song: dict[str, object]) -> None:
    url = f"/api/songs/{song['id']}/stems/vocals"
    whole = page.http.get(url)
    etag, size = whole.headers["etag"], len(whole.content)
    assert whole.headers["content-type"] == "audio/wav"
    assert "filename*=UTF-8''S%C3%B6ng" in whole.headers["content-disposition"]

    def get(**headers: str) -> httpx.Response:
        return page.http.get(url, headers={k.replace("_", "-"): v for k, v in headers.items()})

    assert get(If_None_Match=etag).status_code == 304
    assert get(Range="bytes=-10").content == whole.content[-10:]
    assert get(Range="bytes=100-").content == whole.content[100:]
    assert get(Range="bytes=5-9", If_Range=etag).content == whole.content[5:10]
    assert get(Range="bytes=5-9", If_Range='"other"').status_code == 200
    assert get(Range=f"bytes={size}-").status_code == 416
    assert get(Range="pages=1-2").status_code == 200
    assert get(Range="bytes=" + ",".join(f"{n}-{n}" for n in range(2001))).status_code == 200
    head = page.http.head(url)
    assert head.headers["content-length"] == str(size)


def test_a_zip_is_as_long_as_it_says_and_holds_the_stems(
    page: Page, song: dict[str, object]
) -> None:
    answer = page.http.get(f"/api/songs/{song['id']}/zip")
    assert answer.headers["content-length"] == str(len(answer.content))
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        stem = page.http.get(f"/api/songs/{song['id']}/stems/instrumental").content
        assert archive.read(names[1]) == stem
    assert names == ["Söng 1 (Vocals).wav", "Söng 1 (Instrumental).wav"]
    one = page.http.get(f"/api/songs/{song['id']}/zip", params={"stem": "vocals"})
    assert len(zipfile.ZipFile(io.BytesIO(one.content)).namelist()) == 1


@pytest.mark.parametrize(
    ("disk", "told"), [(0, 1980), (1_000_000_000, 2001), (9_000_000_000, 2107)]
)
def test_a_zip_holds_stems_of_any_year(
    page: Page, song: dict[str, object], disk: int, told: int
) -> None:
    """A small computer without a clock writes in 1970, which no ZIP knows: it broke off midway."""
    for stem in (page.home.outbox / "Party" / "Söng 1").glob("*.wav"):
        os.utime(stem, (disk, disk))
    answer = page.http.get(f"/api/songs/{song['id']}/zip")
    assert answer.headers["content-length"] == str(len(answer.content))
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert {one.date_time[0] for one in archive.infolist()} == {told}


def test_the_one_file_with_all_stems_where_it_was_asked_for(
    tmp_path: Path, page: Page, song: dict[str, object]
) -> None:
    none = page.http.get(f"/api/songs/{song['id']}/stem-file")
    assert (none.status_code, none.json()["code"]) == (404, "no_stem_file")
    other = Page(tmp_path)
    other.separation |= {"stems": 4, "stem_file": "alac"}
    with other:
        upload(other, "Song.wav", 1)
        number = other.delivered("Song.wav")["id"]
        answer = other.http.get(f"/api/songs/{number}/stem-file")
        made = other.home.outbox / "Song" / "Song.stem.m4a"
        assert answer.content == made.read_bytes()
        assert answer.headers["content-type"] == "audio/mp4"
        assert "Song.stem.m4a" in answer.headers["content-disposition"]
        made.unlink()
        assert other.http.get(f"/api/songs/{number}/stem-file").status_code == 410


@scripted
def test_peaks_previews_and_a_mix(page: Page, song: dict[str, object]) -> None:
    base = f"/api/songs/{song['id']}"
    peaks = page.http.get(f"{base}/peaks").content
    assert len(peaks) == 2 * 2 * 1000
    assert max(struct.unpack("4000b", peaks)) == 12  # the stems' tone has 3000 of 32767
    assert page.http.get(f"{base}/stems/vocals/preview/0").content.startswith(b"OggS")
    assert page.http.get(f"{base}/stems/vocals/preview/9").status_code == 404
    mix = page.http.post(f"{base}/mix", json={"gains": {"vocals": 0.5, "instrumental": 0}})
    assert "Mix%29.wav" in mix.headers["content-disposition"]
    stem = page.http.get(f"{base}/stems/vocals").content
    with wave.open(io.BytesIO(mix.content)) as mixed, wave.open(io.BytesIO(stem)) as whole:
        half, full = (struct.unpack("<2000h", one.readframes(1000)) for one in (mixed, whole))
    assert all(abs(a - b / 2) <= 1 for a, b in zip(half, full, strict=True))
    for wrong in ({}, {"vocals": 9}, {"vocals": "loud"}, {"vocals": 0}, {"vocals": True}):
        assert page.http.post(f"{base}/mix", json={"gains": wrong}).status_code == 400
    assert page.http.post(f"{base}/mix", json={"gains": {"drums": 1}}).status_code == 404
    assert not list((page.home.outbox / ".stemwatch").glob("mix-*"))


def test_waveforms_of_the_delivery_are_drawn_without_decoding(page: Page) -> None:
    """Until a stem is another one."""
    upload(page, "Waves/Drawn.wav", 51)
    song = page.delivered("Drawn.wav")
    folder = page.home.outbox / "Waves" / "Drawn"
    kept = folder / ".stemwatch-waveforms"
    document = json.loads(kept.read_text())
    document["stems"]["vocals"] = base64.b64encode(b"\1\2" * 1000).decode()
    kept.write_text(json.dumps(document))
    whole = base64.b64decode(document["stems"]["instrumental"])
    drawn = page.http.get(f"/api/songs/{song['id']}/peaks").content
    assert drawn == b"\1\2" * 1000 + whole
    with (folder / "Drawn (Vocals).wav").open("ab") as stem:
        stem.write(b"LIST\4\0\0\0INFO")
    (folder / "notes.txt").touch()  # what is in the folder has changed
    drawn = page.http.get(f"/api/songs/{song['id']}/peaks").content
    assert (max(struct.unpack("2000b", drawn[:2000])), drawn[2000:]) == (12, whole)


def test_the_history_has_pages_and_is_searched(page: Page) -> None:
    for number in (11, 12):
        upload(page, f"History/100% {number}_x.wav", number)
        page.delivered(f"100% {number}_x.wav")

    def found(**asked: str) -> list[str]:
        return [one["name"] for one in page.http.get("/api/songs", params=asked).json()["songs"]]

    assert found(q="100% _x") == ["100% 12_x.wav", "100% 11_x.wav"]
    assert found(q="history 11") == ["100% 11_x.wav"]
    assert found(q="%%") == found(q="_%") == []
    first = page.http.get("/api/songs", params={"limit": "1", "q": "History"}).json()
    assert first["more"] is True
    before = str(first["songs"][0]["id"])
    assert found(limit="1", q="History", before=before) == ["100% 11_x.wav"]
    assert page.http.get("/api/songs?before=x").status_code == 400


def test_what_is_no_longer_there_is_gone(page: Page, tmp_path: Path) -> None:
    """Moved away, or a link in its place: never another folder's files."""
    upload(page, "Moved.wav", 21)
    song = page.delivered("Moved.wav")
    folder = page.home.outbox / "Moved"
    base = f"/api/songs/{song['id']}"
    (folder / "Moved (Vocals).wav").unlink()
    (folder / "Moved (Vocals).wav").symlink_to("/etc/hostname")
    gone = page.http.get(f"{base}/stems/vocals")
    assert gone.status_code == 410
    anew = "dropped again, the song is paid for anew."
    assert gone.json()["hint"] == f"Put it back as Moved (Vocals).wav; {anew}"
    os.rename(folder, tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    for path in ("", "/stems/instrumental", "/zip", "/peaks", "/stems/instrumental/preview/0"):
        gone = page.http.get(base + path)
        assert (gone.status_code, gone.json()["hint"]) == (410, f"Put it back as Moved; {anew}")
    folder.unlink()
    for path in ("/api/songs/999999", f"{base}/stems/..%2f..%2fx", "/api/songs/1/stems/none"):
        assert page.http.get(path).status_code in (404, 410)


# -- events --------------------------------------------------------------------------------


def test_events_carry_a_song_from_the_queue_to_its_stems(page: Page) -> None:
    """A snapshot, then differences; who comes back gets those that it missed."""
    with Stream(page) as stream:
        name, data = stream.event()
        assert name == "snapshot"
        assert data["service"]["inboxes"][0]["name"] is None
        upload(page, "Followed.wav", 31)

        def ours(name: str, data: dict[str, list[dict[str, object]]]) -> bool:
            jobs = data.get("jobs", []) if name == "jobs" else []
            states.extend(str(one["state"]) for one in jobs if one["name"] == "Followed.wav")
            return "done" in states

        states: list[str] = []
        stream.until(ours)
        last = stream.last
    upload(page, "Missed.wav", 32)
    page.delivered("Missed.wav")
    with Stream(page, last) as stream:
        seen = stream.until(lambda name, _: name in ("jobs", "snapshot"))
        assert [one["name"] for one in seen["jobs"]] == ["Missed.wav"]
    with Stream(page, "other-17") as stream:
        assert stream.event()[0] == "snapshot"


def test_no_more_streams_than_there_are_places(page: Page) -> None:
    """The seventeenth is told so, and health is answered all the while."""
    streams = [Stream(page) for _ in range(16)]
    try:
        for one in streams:
            one.__enter__()
        answer = page.http.get("/api/events")
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert httpx.get(f"{page.url}/healthz", timeout=30).status_code == 200
    finally:
        for one in streams:
            one.__exit__()


# -- all of it -----------------------------------------------------------------------------


def test_every_route_is_documented_and_every_document_has_a_route() -> None:
    """The routes as they are put together, against the document that is served."""
    source = Path(assembled.__file__).read_text(encoding="utf-8")
    routes = set(re.findall(r'Route\(\s*"(/api[^"]*)"', source))
    plain = {re.sub(r":number\}", "}", one) for one in routes}
    assert plain == set(openapi()["paths"])


def test_the_document_is_served_and_unknown_paths_are_not(page: Page) -> None:
    assert page.http.get("/api/openapi.json").json() == openapi()
    for path in ("/api/nothing", "/static/..%2f..%2fapp.py", "/static/nothing.js", "/x"):
        answer = page.http.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert page.http.delete("/api/state").json()["code"] == "method_not_allowed"


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status"),
    [
        ("GET", "/api/songs/99999999999999999999999", {}, b"", 404),
        ("GET", "/api/songs/-1", {}, b"", 404),
        ("GET", "/api/songs/1/stems/%ff%fe", {}, b"", 404),
        ("GET", "/api/songs/1/stems/vocals/preview/999999999999", {}, b"", 404),
        ("GET", "/api/songs?q=%00%ff%25_", {}, b"", 200),
        ("GET", "/static/%00", {}, b"", 404),
        ("GET", "/api/state", {"Cookie": "\xff=\xff"}, b"", 200),
        ("POST", "/api/quarantine/retry-all", {"Origin": "http://["}, b"", 403),
        ("POST", "/api/quarantine/1/retry", {}, b'{"yes":' + b"[" * 3000, 400),
        ("POST", "/api/songs/1/mix", {}, b'{"gains": {"vocals": 1e400}}', 400),
        ("POST", "/api/songs/1/mix", {}, b'{"gains": {"vocals": NaN}}', 400),
        ("POST", "/api/songs/1/mix", {}, b'{"gains": {"\\ud800": 1}}', 404),
        ("PUT", "/api/inbox/%ff?path=%ff.wav", {}, b"x", 404),
    ],
)
def test_rubbish_is_refused_and_no_fault_of_ours(
    page: Page,
    song: dict[str, object],
    method: str,
    path: str,
    headers: dict[str, str],
    body: bytes,
    status: int,
) -> None:
    """Numbers that no journal holds, text that is none, brackets without end."""
    path = path.replace("/songs/1/", f"/songs/{song['id']}/")
    sent = {name: value.encode("latin-1") for name, value in headers.items()}
    answer = page.http.request(method, path, headers=sent, content=body)
    assert answer.status_code == status, answer.text
    assert not page.service.events("web.error")


def test_a_stop_tells_the_streams_and_waits_for_none_of_them(tmp_path: Path) -> None:
    """Open, each of them would be waited for until the grace is over: here, for a minute."""
    page = Page(tmp_path)
    page.command = lambda config: [sys.executable, "-c", _GRACIOUS, "1", str(config)]
    with page:
        streams = [Stream(page) for _ in range(5)]
        for one in streams:
            one.__enter__()
            one.event()
        page.service.process.terminate()
        for one in streams:
            one.until(lambda name, _: name == "bye")
        assert page.service.process.wait(60) == 0
        for one in streams:
            one.__exit__()
