"""Notices that can't be: the service says so and goes on."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from stemwatch.config import Notify, Settings, defaults
from stemwatch.errors import ConfigFault
from stemwatch.extras import NOTIFY
from stemwatch.notices.addresses import addresses
from stemwatch.notices.service import usable


@pytest.fixture
def settings() -> Settings:
    return replace(
        defaults(env={"HOME": "/h"}), notify=Notify(urls=("ntfys://ntfy.sh/canary-topic",))
    )


def test_without_apprise_it_says_how_to_get_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A library that is gone after an upgrade must not stop anybody's songs."""
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ConfigFault, match="apprise") as raised:
        NOTIFY.require()
    assert f"{sys.executable} -m pip install " in raised.value.hint
    assert "[notify]'" in raised.value.hint
    assert usable(settings) == {}
    told = capsys.readouterr().err
    assert "notices.off" in told
    assert "pip install" in told
    assert "canary" not in told


def test_a_file_of_addresses_that_is_gone_is_told_too(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = replace(settings, notify=Notify(urls_file=str(tmp_path / "gone")))
    assert usable(gone) == {}
    assert "notify.urls_file" in capsys.readouterr().err


def test_addresses_are_named_without_their_secrets(settings: Settings, tmp_path: Path) -> None:
    """By where they stand and what service they are, and hidden from the log from then on."""
    from stemwatch.log import redacted

    file = tmp_path / "urls"
    file.write_text("# one\n\n  tgram://123:canary-token/45  \n")
    file.chmod(0o600)
    both = replace(settings, notify=replace(settings.notify, urls_file=str(file)))
    assert list(addresses(both)) == ["notify.urls[0] (ntfys)", "notify.urls_file:3 (tgram)"]
    assert "canary" not in redacted("POST tgram://123:canary-token/45 and ntfy.sh/canary-topic")
