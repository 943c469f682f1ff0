"""`notify` and `hooks` in the configuration: what they may be; no fault repeats a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemwatch.config import Settings, load
from stemwatch.errors import ConfigFault


def loaded(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "stemwatch.yaml"
    path.write_text(text)
    return load(str(path), env={"HOME": "/h"})


def test_defaults_tell_nobody_and_headings_alone_are_fine(tmp_path: Path) -> None:
    settings = loaded(tmp_path, "notify:\nhooks:\n")
    assert settings.notify.urls == ()
    assert settings.notify.events == ("quarantined", "paused", "resumed", "budget")
    assert settings.hooks == {}


def test_paths_start_at_the_file_s_folder_and_bare_names_are_looked_for(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path,
        "notify: {urls_file: urls, events: [delivered, delivered]}\n"
        "hooks: {delivered: [./rescan, ./x], paused: [~/tell], budget: [curl, -fsS]}\n",
    )
    assert settings.notify.urls_file == f"{tmp_path}/urls"
    assert settings.notify.events == ("delivered",)
    assert settings.hooks == {
        "delivered": (f"{tmp_path}/rescan", "./x"),
        "paused": ("/h/tell",),
        "budget": ("curl", "-fsS"),
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("notify: {urls: 'ntfy://canary'}", "1: notify.urls: must be a list"),
        ("notify: {urls: [ntfy://ok, canary]}", "1: notify.urls[1]: is no URL"),
        ("notify: {urls: ['ntfy://can ary']}", "1: notify.urls[0]: is no URL"),
        ("notify: {urls: [{ntfy: canary}]}", "1: notify.urls[0]: is no URL"),
        ("notify: {events: [done]}", "1: notify.events[0]: found 'done'; allowed are 'delivered'"),
        ("notify: {every: 0}", "1: notify.every: found 0; allowed is 0.05 to 86400 seconds"),
        ("notify: {url: canary}", "1: notify.url: unknown key; did you mean notify.urls?"),
        ("hooks: {done: [x]}", "1: hooks.done: found 'done'; allowed are 'delivered'"),
        ("hooks: {paused: /bin/canary x}", "1: hooks.paused: must be a list"),
        ("hooks: {paused: []}", "1: hooks.paused: must be a list with a program first"),
        ("hooks: {paused: [sleep, 5]}", "1: hooks.paused[1]: must be text in quotes"),
        ("hooks: {paused: [' ']}", "1: hooks.paused[0]: must be text"),
    ],
)
def test_one_fault_one_sentence_without_the_value(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(ConfigFault) as raised:
        loaded(tmp_path, text)
    (fault,) = raised.value.faults
    assert fault.removeprefix(f"{tmp_path}/stemwatch.yaml:").startswith(expected)
    assert "canary" not in fault
