"""Songs come in, move and end on the page, by events alone."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, expect
from playwright.sync_api import Page as Tab

from stemwatch.web.api.landing import HIDDEN
from stemwatch.web.assets import FILES
from tests.acceptance.songs import drop, wav_bytes
from tests.browser.conftest import HOST
from tests.support.page import PASSWORD, Page
from tests.support.waiting import wait_for

SECONDS = 6.0
STATIC = Path(__file__).parents[2] / "stemwatch" / "web" / "static"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    page = Page(tmp_path_factory.mktemp("page"))
    page.web = {"hosts": [HOST], "password_file": "none"}
    with page:
        yield page


@pytest.fixture
def tab(context: BrowserContext, page: Page) -> Iterator[Tab]:
    tab = context.new_page()
    faults: list[str] = []
    tab.on("pageerror", lambda fault: faults.append(str(fault)))
    tab.goto(page.url)
    expect(tab.locator("#link-text")).to_have_text("live")
    yield tab
    assert faults == []


def upload(page: Page, path: str, number: int) -> None:
    song = wav_bytes(number, seconds=SECONDS)
    answer = page.http.put("/api/inbox/default", params={"path": path}, content=song)
    assert answer.status_code == 201


def test_the_page_is_light(page: Page) -> None:
    """All of its files compressed, as they are sent; and each file has its place in the list."""
    assert {file.name for file in STATIC.iterdir()} == set(FILES)
    sizes = {
        name: len(page.http.get(f"/static/{name}", headers={"Accept-Encoding": "gzip"}).content)
        for name in FILES
    }
    assert sizes["app.js"] == (STATIC / "app.js").stat().st_size  # httpx unpacks
    assert sum(len(gzip.compress((STATIC / name).read_bytes())) for name in FILES) <= 40_000
    tag = page.http.get("/static/app.js").headers["etag"]
    assert page.http.get("/static/app.js", headers={"If-None-Match": tag}).status_code == 304


def test_a_song_is_followed_to_its_end_without_a_question(page: Page, tab: Tab) -> None:
    """Nothing polls: the list is asked for once more, when the song is there."""
    expect(tab.locator("#songs-empty, #songs li").first).to_be_visible()
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    page.server.scenario(job_seconds=3600)
    upload(page, "Party/Followed.wav", 1)
    row = tab.locator("#queue li", has_text="Followed.wav")
    expect(row).to_contain_text("separating")
    expect(row).to_contain_text("Party")
    page.server.finish()
    expect(tab.locator("#songs")).to_contain_text("Followed")
    expect(row).to_have_count(0)
    page.server.scenario(job_seconds=0.1)
    assert len(asked) <= 2
    assert all("/api/songs" in url for url in asked)


def test_songs_are_chosen_and_what_is_none_is_told(page: Page, tab: Tab, tmp_path: Path) -> None:
    songs = [drop(tmp_path / f"Chosen {n}.wav", 10 + n, seconds=SECONDS) for n in (1, 2)]
    (tmp_path / "notes.txt").write_text("no song")
    tab.set_input_files("#files", [*songs, tmp_path / "notes.txt"])
    expect(tab.locator("#songs")).to_contain_text("Chosen 1")
    expect(tab.locator("#songs")).to_contain_text("Chosen 2")
    tab.set_input_files("#files", [tmp_path / "notes.txt"])
    expect(tab.locator("#sending")).to_contain_text("Songs are mp3, wav")
    assert not (page.home.inbox / "notes.txt").exists()


def test_a_song_that_is_too_large_is_not_even_sent(tab: Tab, tmp_path: Path) -> None:
    large = tmp_path / "Large.wav"
    with large.open("wb") as file:
        file.truncate((4 << 30) + 1)
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.set_input_files("#files", large)
    expect(tab.locator("#sending")).to_contain_text("Large.wav: It is larger than 4096 MB.")
    assert not [url for url in asked if "/api/inbox/" in url]


def test_an_upload_can_be_stopped(page: Page, tab: Tab, tmp_path: Path) -> None:
    """Half sent, over a line that would need a minute: nothing of it stays anywhere."""

    def staged() -> list[Path]:
        return list(page.home.inbox.glob(f"{HIDDEN}*"))

    line = tab.context.new_cdp_session(tab)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 20_000}
    line.send("Network.emulateNetworkConditions", slow)
    tab.set_input_files("#files", drop(tmp_path / "Slow.wav", 20, seconds=75))
    expect(tab.locator("#sending")).to_contain_text("Sending 1 of 1")
    wait_for(staged)
    tab.get_by_role("button", name="Stop sending").click()
    expect(tab.locator("#sending")).to_be_empty()
    wait_for(lambda: not staged())  # with it the request is over: what has not landed never will
    assert not list(page.home.root.rglob("*Slow*"))
    expect(tab.locator("#queue li")).to_have_count(0)


def test_what_waits_for_another_try_can_be_stopped(page: Page, tab: Tab, tmp_path: Path) -> None:
    """The service is away: no request is there to be ended, and it is sent later all the same."""
    tab.clock.install()
    tab.reload()
    expect(tab.locator("#link-text")).to_have_text("live")
    songs = [drop(tmp_path / f"Stopped {n}.wav", 25 + n, seconds=SECONDS) for n in range(2)]
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.context.set_offline(True)
    with tab.expect_event("requestfailed", lambda request: "Stopped%201" in request.url):
        tab.set_input_files("#files", songs)
    tab.get_by_role("button", name="Stop sending").click()
    expect(tab.locator("#sending")).to_be_empty()
    tries = [url for url in asked if "Stopped" in url]
    tab.context.set_offline(False)
    tab.clock.run_for(20_000)  # more than all waits together
    tab.set_input_files("#files", drop(tmp_path / "Later.wav", 27, seconds=SECONDS))
    page.delivered("Later.wav")
    assert [url for url in asked if "Stopped" in url] == tries
    assert not list(page.home.root.rglob("*Stopped*"))


def test_a_song_in_quarantine_says_why_and_is_retried(page: Page, tab: Tab) -> None:
    page.server.scenario(jobs=[{"plan": "failed"}])
    upload(page, "Failing.wav", 30)
    row = tab.locator("#bad-list li", has_text="Failing.wav")
    expect(row).to_contain_text("the model ran out of memory")
    wait_for(lambda: "Failing.wav" in page.home.reasons())
    row.get_by_role("button", name="Retry Failing.wav").click()
    expect(tab.locator("#songs")).to_contain_text("Failing")
    expect(row).to_have_count(0)
    (page.home.inbox / "Noise.wav").write_text("not audio at all " * 99)
    tab.get_by_role("button", name="Discard Noise.wav").click()
    tab.get_by_role("button", name="Keep it").click()
    expect(tab.locator("#bad-list")).to_contain_text("Noise.wav")
    tab.get_by_role("button", name="Discard Noise.wav").click()
    tab.get_by_role("button", name="Discard it").click()
    expect(tab.locator("#bad-list li", has_text="Noise.wav")).to_have_count(0)
    assert (page.home.archive / "Noise.wav").exists()


def test_a_pause_is_shown_with_what_mends_it(tmp_path: Path, context: BrowserContext) -> None:
    """And the page of a service that has done nothing yet says what to do."""
    with Page(tmp_path) as page:
        tab = context.new_page()
        tab.clock.install()
        tab.goto(page.url)
        expect(tab.locator("#queue-empty")).to_contain_text("Drop a song")
        expect(tab.locator("#songs-empty")).to_contain_text("Nothing here yet")
        page.server.scenario(post=[{"status": 402, "times": "ever"}])
        upload(page, "Paused.wav", 31)
        expect(tab.locator(".pause strong")).to_have_text("Paused: ")
        expect(tab.locator(".pause").first).to_contain_text("StemSplit")
        _goes_on_counting(page, tab)
        for name in ("Paused.wav", "Also.wav"):
            tab.get_by_role("button", name=f"Cancel {name}").click()
            tab.get_by_role("button", name="Cancel it").click()
        expect(tab.locator("#queue-empty")).to_be_visible()
        assert (page.home.archive / "Paused.wav").exists()


def _goes_on_counting(page: Page, tab: Tab) -> None:
    """With the next news, and beside the words of the alert: they are not read out again."""
    again = tab.locator(".pause .again")
    expect(again).to_contain_text("Tried again in")
    expect(again).to_have_attribute("aria-live", "off")
    before = again.text_content() or ""
    tab.evaluate("document.querySelector('.pause').kept = true")
    tab.clock.fast_forward(120_000)
    upload(page, "Also.wav", 32)
    expect(again).not_to_have_text(before)
    assert tab.evaluate("document.querySelector('.pause').kept") is True


def test_a_person_pauses_chooses_what_goes_first_and_resumes(
    tmp_path: Path, context: BrowserContext
) -> None:
    """By the keyboard alone, on a small screen; without a fault in what is shown meanwhile."""
    page = Page(tmp_path)
    page.api = {"max_concurrent": 1}  # two at once may be submitted in any order
    with page:
        page.home.command("pause", "-c", str(page.home.config))  # somebody else, at a terminal
        tab = context.new_page()
        tab.set_viewport_size({"width": 360, "height": 800})
        tab.goto(page.url)
        expect(tab.locator(".pause.held")).to_contain_text("paused by")
        tab.get_by_role("button", name="Resume").press("Enter")
        expect(tab.locator(".pause")).to_have_count(0)
        tab.get_by_role("button", name="Hold").press("Enter")
        tab.get_by_label("How long").select_option("one hour")
        assert Axe().run(tab).response["violations"] == []
        tab.get_by_role("dialog").get_by_role("button", name="Hold").press("Enter")
        expect(tab.locator(".pause.held")).to_contain_text("paused on the page until")
        for number in (81, 82, 83):
            upload(page, f"Waits {number}.wav", number)
            wait_for(lambda: page.home.journal_count("queued") == number - 80)  # noqa: B023
        rows = tab.locator("#queue .name")
        expect(rows).to_have_text(["Waits 81.wav", "Waits 82.wav", "Waits 83.wav"])
        tab.get_by_role("button", name="Submit Waits 83.wav next").press("Enter")
        expect(rows).to_have_text(["Waits 83.wav", "Waits 81.wav", "Waits 82.wav"])
        assert Axe().run(tab).response["violations"] == []
        assert tab.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        assert page.server.paid["total"] == 0
        tab.get_by_role("button", name="Resume").press("Enter")
        expect(tab.locator("#songs")).to_contain_text("Waits 82")
        submitted = page.home.rows("SELECT relpath FROM jobs ORDER BY submitted_at")
        assert bytes(submitted[0][0]) == b"Waits 83.wav"


def test_eight_tabs_of_one_browser_share_a_stream(page: Page, context: BrowserContext) -> None:
    """Under a plain http name: six connections are all that a browser makes to one host."""
    service = psutil.Process(page.service.process.pid)

    def established() -> int:
        return sum(
            one.laddr.port == page.port and one.status == psutil.CONN_ESTABLISHED
            for one in service.net_connections("tcp")
        )

    wait_for(lambda: established() == 0)
    tabs = [context.new_page() for _ in range(8)]
    for tab in tabs:
        tab.goto(f"http://{HOST}:{page.port}")
    for tab in tabs:
        expect(tab.locator("#link-text")).to_have_text("live")
    wait_for(lambda: established() == 1)
    upload(page, "Shared.wav", 40)
    for tab in tabs:
        expect(tab.locator("#songs")).to_contain_text("Shared")
    for tab in tabs:
        tab.close()
    wait_for(lambda: established() == 0)


def test_another_sites_page_adds_nothing(page: Page, context: BrowserContext) -> None:
    """Its form, or its script, with our visitor's browser."""
    other = context.new_page()
    # Another port is another origin; one that Chromium lets talk to this machine at all.
    evil = f"http://127.0.0.1:{page.port + 1}/"
    other.route(f"{evil}**", lambda route: route.fulfill(body="<!doctype html><title>x</title>"))
    other.goto(evil)
    sent = other.evaluate(
        """async (url) => {
          const form = new FormData();
          form.append('audio', new Blob(['x'.repeat(1000)]), 'evil.wav');
          const tries = [[`${url}/api/remove-vocals`, {method: 'POST', body: form}],
                         [`${url}/api/quarantine/retry-all`, {method: 'POST'}]];
          for (const [to, call] of tries) {
            await fetch(to, {mode: 'no-cors', ...call}).catch(() => {});
          }
          return await fetch(`${url}/api/state`).then(() => 'read', () => 'refused');
        }""",
        page.url,
    )
    assert sent == "refused"
    assert not list(page.home.inbox.rglob("evil*"))


@pytest.mark.parametrize(
    ("scheme", "width", "number"), [("light", 1280, 50), ("dark", 1280, 51), ("light", 390, 52)]
)
def test_axe_finds_no_fault(
    page: Page, context: BrowserContext, scheme: str, width: int, number: int
) -> None:
    """With a song in the player, one in quarantine, and an empty queue."""
    page.home.inbox.joinpath("no song.wav").write_text(f"not audio {scheme} {width} " * 100)
    tab = context.new_page()
    tab.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    tab.set_viewport_size({"width": width, "height": 900})
    upload(page, f"Axe {scheme} {width}.wav", number)
    tab.goto(page.url)
    tab.locator("#songs button", has_text=f"Axe {scheme} {width}").click()
    expect(tab.get_by_role("button", name="Play")).to_be_focused()
    expect(tab.locator("#bad-list li").first).to_be_visible()
    found = Axe().run(tab).response["violations"]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []
    wide = tab.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0


def test_a_service_that_was_killed_and_is_back(tmp_path: Path, context: BrowserContext) -> None:
    """The page says that it hears nothing, and goes on by itself."""
    with Page(tmp_path) as page:
        tab = context.new_page()
        tab.goto(page.url)
        expect(tab.locator("#link-text")).to_have_text("live")
        upload(page, "Before.wav", 59)
        song = tab.locator("#songs button", has_text="Before")
        song.click()
        expect(tab.get_by_role("button", name="Play")).to_be_focused()
        assert "#" in tab.url
        tab.get_by_role("button", name="Close Before").click()
        page.service.kill()
        expect(tab.locator("#link-text")).to_contain_text("last news")
        with page.home.service():
            expect(tab.locator("#link-text")).to_have_text("live")
            upload(page, "After.wav", 60)
            expect(tab.locator("#songs")).to_contain_text("After")
            expect(song).to_have_attribute("aria-expanded", "false")  # closed, it stays so
            assert "#" not in tab.url


def test_log_in_stay_and_log_out(tmp_path: Path, context: BrowserContext) -> None:
    """A session that ends asks again in place, and what was being sent is sent then."""
    with Page(tmp_path, password=True) as page:
        tab = context.new_page()
        tab.goto(page.url)
        password = tab.get_by_label("Password")
        password.fill("wrong")
        password.press("Enter")
        expect(tab.get_by_role("alert").first).to_be_attached()
        expect(tab.locator("#login-fault")).to_contain_text("not the password")
        password.fill(PASSWORD)
        password.press("Enter")
        expect(tab.locator("#link-text")).to_have_text("live")
        expect(tab.locator("#login")).to_be_hidden()
        tab.reload()
        expect(tab.locator("#link-text")).to_have_text("live")
        expect(tab.get_by_role("button", name="Log out")).to_be_visible()
        context.clear_cookies()
        tab.set_input_files("#files", drop(tmp_path / "Kept.wav", 70, seconds=SECONDS))
        expect(tab.locator("#login")).to_be_visible()
        password.fill(PASSWORD)
        password.press("Enter")
        expect(tab.locator("#songs")).to_contain_text("Kept")
        tab.get_by_role("button", name="Log out").click()
        expect(tab.locator("#login")).to_be_visible()


# As a browser hands out a folder that was dropped. (Chromium passes over a link that leads nowhere,
# and what only root may read it reads here.)
_DROP = """(content) => {
  const bytes = Uint8Array.from(atob(content), (one) => one.charCodeAt(0));
  const refused = (words) => new DOMException(words, 'NotReadableError');
  const file = (name, read) => ({name, isFile: true, isDirectory: false, file: read});
  const folder = (name, readEntries) =>
    ({name, isFile: false, isDirectory: true, createReader: () => ({readEntries})});
  const parts = [
    [file('Gone.wav', (ok, no) => no(refused('no such file'))),
     file('notes.txt', (ok, no) => no(refused('no such file'))),
     folder('Locked', (ok, no) => no(refused('not yours')))],
    [file('Heard.wav', (ok) => ok(new File([bytes], 'Heard.wav')))],
    [],
  ];
  const entry = folder('Mixed', (ok) => ok(parts.shift()));
  const event = new Event('drop');
  event.dataTransfer = {items: [{webkitGetAsEntry: () => entry}]};
  dispatchEvent(event);
}"""


def test_what_can_t_be_read_is_told_and_the_others_are_sent(page: Page, tab: Tab) -> None:
    tab.evaluate(_DROP, base64.b64encode(wav_bytes(91, seconds=SECONDS)).decode())
    expect(tab.locator("#sending li")).to_have_text(
        ["Mixed/Gone.wav can't be read: no such file", "Mixed/Locked can't be read: not yours"]
    )
    expect(tab.locator("#say")).to_contain_text("1 sent, 2 were not taken.")
    assert page.delivered("Heard.wav")["folder"] == "Mixed"


def test_a_folder_of_250_songs_is_dropped(tmp_path: Path, context: BrowserContext) -> None:
    """By a real drag of a real folder, which hands out a hundred names at a time."""
    folder = tmp_path / "Album"
    for number in range(250):
        drop(folder / f"CD {number % 2 + 1}" / f"Song {number:03}.wav", number, seconds=0.05)
    (folder / "cover.jpg").write_bytes(b"no song")
    page = Page(tmp_path / "service")
    page.watch = {"settle_seconds": 3600, "rescan_seconds": 3600}
    with page:
        tab = context.new_page()
        tab.goto(page.url)
        expect(tab.locator("#link-text")).to_have_text("live")
        mouse = context.new_cdp_session(tab)
        data = {"items": [], "files": [str(folder)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            mouse.send("Input.dispatchDragEvent", {"type": kind, "x": 200, "y": 200, "data": data})
        expect(tab.locator("#say")).to_contain_text("250 sent", timeout=60_000)
        landed = {str(file.relative_to(page.home.inbox)) for file in page.home.inbox.rglob("*.*")}
    assert landed == {f"Album/CD {n % 2 + 1}/Song {n:03}.wav" for n in range(250)}
