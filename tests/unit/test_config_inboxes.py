"""Several inboxes in one configuration: what each takes over, and which faults are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemwatch.config import Inbox, Settings, defaults, load
from stemwatch.config.changes import merged
from stemwatch.config.settings import Folders, Limits, Separation
from stemwatch.job import Options
from tests.support.configured import faults_of, write


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path / "home")}


def loaded(tmp_path: Path, text: str, env: dict[str, str]) -> Settings:
    return load(write(tmp_path, text), env=env)


def test_the_short_form_is_one_inbox_without_a_name(env: dict[str, str]) -> None:
    """Its keys are named as ever, and it has no budget beside the one of all."""
    settings = defaults(env=env)
    (only,) = settings.every_inbox
    assert (only.name, only.folders, only.budget) == (None, settings.folders, Limits())
    assert only.key("folders", "outbox") == "folders.outbox"
    assert settings.inbox(None) == only
    assert settings.inbox("dj") is None


def test_an_inbox_takes_over_what_it_does_not_say(tmp_path: Path, env: dict[str, str]) -> None:
    """Separation key by key (mixes at the same stems only), presets as a whole."""
    text = """\
separation: {stems: 6, format: flac, mixes: {band: [drums, bass]}}
presets: {live: {format: mp3}}
budget: {minutes_per_day: 60}
inboxes:
  dj: {budget: {minutes_per_day: 30}}
  karaoke:
    separation: {stems: 2}
    presets: {show: {format: wav}, own: {stems: 6}}
"""
    settings = loaded(tmp_path, text, env)
    dj, karaoke = settings.every_inbox
    band = {"band": ("drums", "bass")}
    assert (dj.name, karaoke.name) == ("dj", "karaoke")
    assert dj.options_for("song.mp3") == Options(6, "flac", band)
    assert dj.options_for("live/song.mp3") == Options(6, "mp3", band)
    assert karaoke.options_for("song.mp3") == Options(2, "flac", {})
    assert karaoke.options_for("show/song.mp3") == Options(2, "wav", {})
    assert karaoke.options_for("own/song.mp3") == Options(6, "flac", {})
    assert karaoke.options_for("live/song.mp3") == Options(2, "flac", {})
    assert (dj.budget, karaoke.budget) == (Limits(minutes_per_day=30.0), Limits())
    assert settings.budget.minutes_per_day == 60.0


def test_folders_have_the_name_of_their_inbox(tmp_path: Path, env: dict[str, str]) -> None:
    """By default below ~/stemwatch/NAME; what is given starts at the file."""
    settings = loaded(tmp_path, "inboxes: {dj: {folders: {inbox: in}}, karaoke: }", env)
    dj, karaoke = settings.every_inbox
    assert dj.folders.inbox == str(tmp_path / "in")
    assert dj.folders.outbox == f"{env['HOME']}/stemwatch/dj/outbox"
    assert karaoke.folders.inbox == f"{env['HOME']}/stemwatch/karaoke/inbox"
    assert karaoke.key("folders", "inbox") == "inboxes.karaoke.folders.inbox"
    assert settings.inbox_of(f"{tmp_path}/in/live/song.mp3") == (dj, "live/song.mp3")
    assert settings.inbox_of(f"{tmp_path}/in2/song.mp3") is None


def test_absolute_folders_need_no_home(tmp_path: Path) -> None:
    """The folders of the short form are not there, so they can't be at fault."""
    folders = ", ".join(f"{name}: /srv/{name}" for name in ("inbox", "outbox", "quarantine"))
    text = f"state_dir: /srv/state\ninboxes: {{dj: {{folders: {{{folders}, archive: /srv/a}}}}}}"
    assert loaded(tmp_path, text, {"HOME": ""}).every_inbox[0].folders.inbox == "/srv/inbox"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("folders: {inbox: /a}\ninboxes: {dj: {}}",
         "1: folders: can't stand beside inboxes, which have folders of their own; move it to "
         "inboxes.NAME.folders."),
        ("inboxes: {my dj: {}}", "1: inboxes.my dj: the name of an inbox must be one plain word: "
         "letters, digits, '-' and '_', at most 32."),
        ("inboxes: {dj: 3}", "1: inboxes.dj: found 3; allowed is keys with values."),
        ("inboxes: [dj]", "1: inboxes: found ['dj']; allowed is keys with values."),
        ("inboxes: {dj: {folder: {}}}",
         "1: inboxes.dj.folder: unknown key; did you mean inboxes.dj.folders?"),
        ("inboxes: {dj: {folders: {inbx: /a}}}",
         "1: inboxes.dj.folders.inbx: unknown key; did you mean inboxes.dj.folders.inbox?"),
        ("inboxes: {dj: {budget: {price_per_minute: 1}}}",
         "1: inboxes.dj.budget.price_per_minute: unknown key; did you mean "
         "budget.price_per_minute?"),
        ("inboxes: {dj: {separation: {stems: 3}}}",
         "1: inboxes.dj.separation.stems: found 3; allowed are 2, 4 or 6."),
        ("inboxes: {dj: {presets: {a: {format: ogg}}}}",
         "1: inboxes.dj.presets.a.format: found 'ogg'; allowed are 'wav', 'flac' or 'mp3'."),
        ("inboxes: {dj: {separation: {mixes: {a: [piano, bass]}}}}",
         "1: inboxes.dj.separation.mixes.a: there is no stem 'piano', 'bass'; 2 stems give vocals, "
         "instrumental."),
        ("separation: {format: ogg}\npresets: {a: {stems: 3}}\ninboxes: {dj: {}, karaoke: }",
         "1: separation.format: found 'ogg'; allowed are 'wav', 'flac' or 'mp3'.\n"
         "2: presets.a.stems: found 3; allowed are 2, 4 or 6."),
        ("inboxes:\n  dj: {folders: {inbox: /srv/in}}\n  karaoke: {folders: {inbox: /srv/in}}",
         "3: inboxes.karaoke.folders.inbox: /srv/in is the same folder as "
         "inboxes.dj.folders.inbox (/srv/in); give it a folder of its own."),
        ("inboxes:\n  dj: {folders: {inbox: /srv/in}}\n  karaoke: {folders: {outbox: /srv/in/k}}",
         "3: inboxes.karaoke.folders.outbox: /srv/in/k is inside inboxes.dj.folders.inbox "
         "(/srv/in); give it a folder of its own."),
        ("state_dir: /srv/in/s\ninboxes: {dj: {folders: {inbox: /srv/in}}}",
         "1: state_dir: /srv/in/s is inside inboxes.dj.folders.inbox (/srv/in); "
         "give it a folder of its own."),
    ],
)  # fmt: skip
def test_a_fault_names_its_inbox(
    tmp_path: Path, env: dict[str, str], text: str, expected: str
) -> None:
    """Each once, where it stands; folders are compared over all inboxes."""
    assert "\n".join(faults_of(tmp_path, text, env)) == expected


def test_an_alias_is_as_good_as_writing_it_out(tmp_path: Path, env: dict[str, str]) -> None:
    """What one inbox inherits into shared presets, or shared keys, is not the other one's."""
    text = """\
presets: &presets {club: {format: mp3}}
inboxes:
  a: {separation: {stems: 6}, presets: *presets}
  b: &b {separation: {stems: 4}, presets: *presets}
  c: *b
"""
    inboxes = loaded(tmp_path, text, env).inboxes
    found = {name: inbox.options_for("club/song.mp3") for name, inbox in inboxes.items()}
    mp3 = {stems: Options(stems, "mp3", {}) for stems in (4, 6)}
    assert found == {"a": mp3[6], "b": mp3[4], "c": mp3[4]}
    assert len({inbox.folders.inbox for inbox in inboxes.values()}) == 3


def test_a_reload_takes_over_all_but_folders_and_new_inboxes() -> None:
    """Whose folders are watched is decided at the start."""
    kept, moved = Folders(inbox="/old"), Folders(inbox="/new")
    old = Settings(inboxes={"dj": Inbox(kept), "left": Inbox()})
    wishes = Inbox(moved, Separation(stems=6), budget=Limits(minutes_per_day=1.0))
    effective, changed, waiting = merged(old, Settings(inboxes={"dj": wishes, "new": Inbox()}))
    assert changed == ["inboxes.dj.separation", "inboxes.dj.budget"]
    assert waiting == ["inboxes.dj.folders", "inboxes.left", "inboxes.new"]
    assert list(effective.inboxes) == ["dj", "left"]
    assert effective.inboxes["dj"].folders == kept
    assert effective.inboxes["dj"].separation.stems == 6
