"""What is heard: all stems on one clock, to the frame; what is seen and pressed meanwhile."""

from __future__ import annotations

import io
import json
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, expect
from playwright.sync_api import Page as Tab

from tests.acceptance.songs import wav_bytes
from tests.support.page import Page
from tests.support.waiting import wait_for

RATE, SECONDS = 44_100, 24.0
# Each frame of a stem holds its own number: 16 bits left, the rest right. A worklet beside the
# loudspeaker reads what each stem plays at the same instant.
_TAP = """
class Tap extends AudioWorkletProcessor {
  constructor() { super(); this.seen = 0; this.apart = 0; this.breaks = []; this.last = null; }
  code(input, n) {
    if (input.length < 2) return 0;
    const low = Math.round(input[0][n] * 32768), high = Math.round(input[1][n] * 32768);
    return low === 0 && high === 0 ? 0 : low + 32768 + 65536 * high;
  }
  process(inputs) {
    for (let n = 0; n < 128; n++) {
      const codes = inputs.map((input) => this.code(input, n));
      if (codes.every((code) => code === 0)) { this.last = null; continue; }
      this.seen += 1;
      if (codes.some((code) => code !== codes[0])) this.apart += 1;
      if (this.last !== null && codes[0] !== this.last + 1) this.breaks.push([this.last, codes[0]]);
      this.last = codes[0];
    }
    const {seen, apart, breaks, last} = this;
    this.port.postMessage({seen, apart, breaks: breaks.slice(-5), last});
    return true;
  }
}
registerProcessor('tap', Tap);
"""
# Beside each gain that leads to the loudspeaker, from the moment it is made.
_LISTEN = """
window.heard = {seen: 0, apart: 0, breaks: [], last: null};
const gains = [];
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (to, ...rest) {
  if (this instanceof GainNode && to instanceof AudioDestinationNode) {
    gains.push(this);
    if (gains.length === 4) tap(this.context, gains.splice(0));
  }
  return connect.call(this, to, ...rest);
};
async function tap(context, nodes) {
  const module = new Blob([TAP], {type: 'text/javascript'});
  await context.audioWorklet.addModule(URL.createObjectURL(module));
  const worklet = new AudioWorkletNode(context, 'tap', {numberOfInputs: nodes.length});
  worklet.port.onmessage = (event) => { window.heard = event.data; };
  nodes.forEach((node, n) => connect.call(node, worklet, 0, n));
  connect.call(worklet, context.destination);
}
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """One song of four stems that hold their own time."""
    page = Page(tmp_path_factory.mktemp("player"))
    page.separation = {"stems": 4}
    with page:
        song = wav_bytes(1, seconds=SECONDS)
        page.http.put("/api/inbox/default?path=Timed.wav", content=song)
        page.delivered("Timed.wav")
        for stem in (page.home.outbox / "Timed").glob("*.wav"):
            stem.write_bytes(_time_code())
        yield page


def _time_code() -> bytes:
    frames = np.arange(1, round(SECONDS * RATE) + 1)
    samples = np.stack([frames % 65536 - 32768, frames // 65536], axis=1).astype("<i2")
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    return out.getvalue()


@pytest.fixture
def tab(browser: Browser, page: Page) -> Iterator[Tab]:
    """The song in the player; our own worklet would be refused by the page's policy."""
    context = browser.new_context(bypass_csp=True)
    tab = context.new_page()
    tab.add_init_script(f"const TAP = {json.dumps(_TAP)};\n{_LISTEN}")
    tab.goto(page.url)
    tab.locator("#songs button", has_text="Timed").click()
    expect(tab.get_by_role("button", name="Play")).to_be_focused()
    yield tab
    context.close()


def heard(tab: Tab) -> dict[str, Any]:
    found: dict[str, Any] = tab.evaluate("window.heard")
    return found


def second(tab: Tab) -> float:
    """Where the sound is: seconds into the song."""
    return (heard(tab)["last"] or 0) / RATE


def until(tab: Tab, wanted: Callable[[], bool]) -> None:
    """Wait for it; the browser's own events are let through meanwhile."""
    wait_for(lambda: wanted() or tab.wait_for_timeout(30))


def test_stems_are_never_a_frame_apart(tab: Tab) -> None:
    """After the start, over the seams of pieces, after a seek, and in a loop."""
    tab.keyboard.press("Enter")
    until(tab, lambda: second(tab) > 2.3)  # over a seam
    start = heard(tab)
    assert start["apart"] == 0
    assert start["breaks"] == []
    tab.get_by_label("Position").fill("15")
    until(tab, lambda: second(tab) > 15.2)
    assert heard(tab)["apart"] == 0
    tab.get_by_label("Loop so many bars").select_option("1")  # 124 BPM: 1.94 s
    until(tab, lambda: len(heard(tab)["breaks"]) >= 2)
    looped = heard(tab)
    assert looped["apart"] == 0
    bar = 240 / 124
    first = int(15.2 / bar) * bar
    begin, end = round(first * RATE) + 1, round((first + bar) * RATE)
    assert looped["breaks"][-1] == [end, begin]
    tab.get_by_role("button", name="Pause").click()
    before = heard(tab)["seen"]
    assert before > 4 * RATE
    expect(tab.get_by_role("button", name="Play")).to_be_visible()


def test_mute_solo_and_fader_change_what_is_heard_and_saved(tab: Tab, page: Page) -> None:
    tab.get_by_role("button", name="Mute Drums").click()
    expect(tab.get_by_role("button", name="Mute Drums")).to_have_attribute("aria-pressed", "true")
    tab.get_by_label("Volume Bass").fill("0.5")
    with tab.expect_request("**/mix") as asked, tab.expect_download() as saved:
        tab.get_by_role("button", name="Save this mix").click()
    gains = json.loads(asked.value.post_data or "")["gains"]
    assert gains == {"vocals": 1, "drums": 0, "bass": 0.5, "other": 1}
    assert saved.value.suggested_filename == "Timed (Mix).wav"
    with wave.open(str(saved.value.path())) as file:
        assert file.getnframes() == SECONDS * RATE
    tab.get_by_role("button", name="Solo Bass").click()
    expect(tab.locator(".track.silent")).to_have_count(3)
    assert page.home.sidecars().keys() == {"Timed"}


def test_everything_is_reached_by_keys(tab: Tab) -> None:
    """From the button that has the focus: digits, arrows, A and B; then away again."""
    keys = tab.keyboard
    keys.press("2")
    expect(tab.get_by_role("button", name="Mute Drums")).to_have_attribute("aria-pressed", "true")
    keys.press("Shift+Digit3")
    expect(tab.get_by_role("button", name="Solo Bass")).to_have_attribute("aria-pressed", "true")
    keys.press("ArrowRight")
    keys.press("a")
    keys.press("ArrowRight")
    keys.press("b")
    expect(tab.locator(".note")).to_contain_text("Loop from 0:05 to 0:11")  # snapped to bars
    keys.press("l")
    expect(tab.get_by_role("button", name="Loop", exact=True)).to_have_attribute(
        "aria-pressed", "false"
    )
    names = []
    for _ in range(40):
        keys.press("Tab")
        names.append(tab.evaluate("document.activeElement.textContent.slice(0, 12)"))
    assert any("Timed" in name for name in names)  # the list goes on behind the player
    tab.get_by_role("button", name="Close Timed").focus()
    keys.press("Enter")
    expect(tab.locator(".player")).to_have_count(0)


def test_a_slow_line_gets_a_preview(tab: Tab) -> None:
    """Opus at a tenth of the bytes; its stems are on one clock as well."""
    line = tab.context.new_cdp_session(tab)
    slow = {"offline": False, "latency": 20, "downloadThroughput": 400_000, "uploadThroughput": -1}
    line.send("Network.emulateNetworkConditions", slow)
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.get_by_role("button", name="Play").click()
    expect(tab.locator(".note")).to_contain_text("preview")
    until(tab, lambda: any("/preview/0" in url for url in asked))
    expect(tab.locator(".time")).to_contain_text("0:02 /")


def test_a_song_that_is_gone_says_so(page: Page, context: BrowserContext, tmp_path: Path) -> None:
    page.http.put("/api/inbox/default?path=Gone.wav", content=wav_bytes(5, seconds=6.0))
    page.delivered("Gone.wav")
    (page.home.outbox / "Gone").rename(tmp_path / "elsewhere")
    tab = context.new_page()
    tab.goto(page.url)
    tab.locator("#songs button", has_text="Gone").click()
    expect(tab.locator("#player")).to_contain_text("no longer where it was delivered")


def test_memory_is_given_back_from_song_to_song(tab: Tab) -> None:
    """Measured: 16.8 MB while it plays (all of the song would be 34), and 2.6 once it is left.

    Were the pieces kept, each visit would add 31.
    """
    line = tab.context.new_cdp_session(tab)
    line.send("HeapProfiler.enable")
    playing: list[float] = []

    def visit() -> None:
        tab.get_by_role("button", name="Play").click()
        for position in ("3", "14", "21"):
            tab.get_by_label("Position").fill(position)
            until(tab, lambda at=float(position): at < second(tab) < at + 3)  # type: ignore[misc]
        playing.append(held())
        tab.get_by_role("button", name="Close Timed").click()
        expect(tab.locator(".player")).to_have_count(0)
        tab.locator("#songs button", has_text="Timed").click()
        expect(tab.get_by_role("button", name="Play")).to_be_focused()

    def held() -> float:
        line.send("HeapProfiler.collectGarbage")
        used = line.send("Runtime.getHeapUsage")
        return float(used["usedSize"] + used["backingStorageSize"]) / 1e6

    for _ in range(2):
        visit()
    before = held()
    for _ in range(5):
        visit()
    assert held() - before < 4
    assert max(playing) < 22


def test_a_stem_that_changed_is_not_played_on(tab: Tab, page: Page) -> None:
    """Its pieces would fit nowhere: the page says so, and stands still."""
    tab.get_by_role("button", name="Play").click()
    until(tab, lambda: second(tab) > 0.1)
    stem = page.home.outbox / "Timed" / "Timed (Drums).wav"
    stem.write_bytes(stem.read_bytes() + b"\0\0\0\0")
    tab.get_by_label("Position").fill("20")
    expect(tab.locator(".note")).to_contain_text("This stem has changed")
    expect(tab.get_by_role("button", name="Play")).to_be_visible()
