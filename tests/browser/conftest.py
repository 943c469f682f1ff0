"""A browser for the session, a page with a service for each module.

The browser is the distribution's (`apt-get install chromium-headless-shell`), driven by playwright
(the extra `browser`); where either is missing these tests are skipped, and say so.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="needs the extra `browser`")
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
playwright.expect.set_options(timeout=20_000)
HOST = "nas.test"  # no secure context: as a page in a house is reached


@pytest.fixture(scope="session")
def browser() -> Iterator[playwright.Browser]:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("needs a Chromium: apt-get install chromium-headless-shell")
    rules = f"--host-resolver-rules=MAP {HOST} 127.0.0.1"
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=found,
            args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required", rules],
        )
        yield browser
        browser.close()


@pytest.fixture
def context(browser: playwright.Browser) -> Iterator[playwright.BrowserContext]:
    """A browser of a person of its own, with English words; what a page logs fails the test."""
    context = browser.new_context(locale="en-GB", viewport={"width": 1280, "height": 900})
    context.set_default_timeout(20_000)
    yield context
    context.close()
