"""Configuration: what is read, what is refused, and with which sentence."""

from __future__ import annotations

import os
from dataclasses import FrozenInstanceError, is_dataclass, replace
from pathlib import Path

import pytest

from stemwatch.config import (
    LIVE,
    Api,
    Budget,
    Folders,
    Separation,
    Settings,
    Watch,
    candidates,
    defaults,
    example_text,
    find,
    load,
    merged,
    not_found,
)
from stemwatch.config.faults import dotted
from stemwatch.errors import ConfigFault
from stemwatch.job import Options
from stemwatch.song_kinds import ALL
from tests.support.configured import faults_of, write

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path / "home")}


def test_the_base_url_follows_the_wire(tmp_path: Path, env: dict[str, str]) -> None:
    settings = load(write(tmp_path, "api: {wire: presigned}"), env=env)
    assert settings.api.base_url == "https://stemsplit.io/api/v1"
    text = "api: {wire: presigned, base_url: 'https://host/v2'}"
    assert load(write(tmp_path, text), env=env).api.base_url == "https://host/v2"


def test_an_empty_file_is_all_defaults(tmp_path: Path, env: dict[str, str]) -> None:
    """Nothing, a comment, and headings without keys mean the defaults."""
    expected = defaults(env=env)
    headings = "".join(f"{key}:\n" for key in vars(Settings()) if key != "source")
    for text in ("", "# nothing\n", headings, "log: {}\n"):
        assert load(write(tmp_path, text), env=env) == expected


def test_defaults_expand_the_home(env: dict[str, str]) -> None:
    """Default folders are absolute, below the given home."""
    settings = defaults(env=env)
    assert settings.folders.inbox == f"{env['HOME']}/stemwatch/inbox"
    assert settings.state_dir == f"{env['HOME']}/.local/state/stemwatch"
    assert settings.source is None
    assert settings.local is False


def test_a_home_that_is_not_utf8_works(tmp_path: Path) -> None:
    """Bytes in a home's name survive as surrogate escapes."""
    home = os.fsdecode(os.fsencode(tmp_path) + b"/h\xff")
    assert defaults(env={"HOME": home}).folders.inbox == f"{home}/stemwatch/inbox"


@pytest.mark.parametrize(
    ("text", "extra", "expected"),
    [
        ("state_dir: /a", {"STATE_DIRECTORY": "/b"}, "/a"),
        ("", {"STATE_DIRECTORY": "/b:/c", "XDG_STATE_HOME": "/x"}, "/b"),
        ("", {"XDG_STATE_HOME": "/x"}, "/x/stemwatch"),
        ("", {"XDG_STATE_HOME": "relative"}, "HOME/.local/state/stemwatch"),
        ("state_dir: ~/s", {}, "HOME/s"),
    ],
)
def test_where_state_is_kept(
    tmp_path: Path, env: dict[str, str], text: str, extra: dict[str, str], expected: str
) -> None:
    """The file, then systemd, then XDG, then the home."""
    settings = load(write(tmp_path, text), env={**env, **extra})
    assert settings.state_dir == expected.replace("HOME", env["HOME"])


def test_relative_folders_start_at_the_file(tmp_path: Path, env: dict[str, str]) -> None:
    """A configuration in a project folder names its neighbours."""
    path = write(tmp_path, "folders: {inbox: in, outbox: ./out/}\napi: {key_file: k}\n")
    settings = load(path, env=env)
    assert settings.folders.inbox == str(tmp_path / "in")
    assert settings.folders.outbox == str(tmp_path / "out")
    assert settings.api.key_file == str(tmp_path / "k")
    assert settings.source == path


def test_every_fault_at_once(tmp_path: Path, env: dict[str, str]) -> None:
    """Faults of the file, of keys and between keys come together, in the order of the file."""
    text = """\
folders:
  inbox: /music/in
  outbox: /music/in/out
watch:
  mode: inotfy
  settle_secnods: 3
  rescan_seconds: -1
  extensions: [mp3, txt]
separation:
  stems: 3
  format: wav
  format: mp3
api: [1]
1: x
"""
    assert faults_of(tmp_path, text, env) == (
        "3: folders.outbox: /music/in/out is inside folders.inbox (/music/in); "
        "give it a folder of its own.",
        "5: watch.mode: found 'inotfy'; allowed are 'auto', 'inotify' or 'poll'.",
        "6: watch.settle_secnods: unknown key; did you mean watch.settle_seconds?",
        "7: watch.rescan_seconds: found -1; allowed is 0.05 to 86400 seconds.",
        "8: watch.extensions: found 'txt'; allowed are " + ", ".join(ALL) + ".",
        "10: separation.stems: found 3; allowed are 2, 4 or 6.",
        "12: separation.format: is given twice (first in line 11).",
        "13: api: found [1]; allowed is keys with values.",
        "14: 1: a key must be text; put quotes round it.",
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("inbox: /x", "1: inbox: unknown key; did you mean folders.inbox?"),
        ("source: /x", "1: source: unknown key; known keys here are folders, state_dir, watch, "
         "separation, tags, presets, outbox, inboxes, prepare, schedule, api, budget, web, notify, "
         "hooks, log."),
        ("presets: {a: {fromat: mp3}}",
         "1: presets.a.fromat: unknown key; did you mean presets.a.format?"),
        ("presets: {a/b: {}}", "1: presets.a/b: the name of a preset (a folder directly in the "
         "inbox) must be one plain name: no slash, no leading dot, at most 64 characters."),
        ("presets: {a: 3}", "1: presets.a: found 3; allowed is keys with values."),
        ("api: {max_concurrent: true}",
         "1: api.max_concurrent: found true; allowed is a whole number."),
        ("api: {max_concurrent: '3'}",
         "1: api.max_concurrent: found '3'; allowed is a whole number."),
        ("api: {max_concurrent: 0}", "1: api.max_concurrent: found 0; allowed is 1 to 64 jobs."),
        ("api: {poll_interval: .nan}",
         "1: api.poll_interval: found nan; allowed is 0.05 to 3600 seconds."),
        ("web: {listen: 8080}", "1: web.listen: found 8080; allowed is host:port, such as "
         "127.0.0.1:8080, 0.0.0.0:8080 or '[::1]:8080'."),
        ("web: {public_url: 'https://a.example'}",
         "1: web.public_url: needs web.listen: nothing would answer there."),
        ("budget: {minutes_per_day: 0}",
         "1: budget.minutes_per_day: found 0; allowed is 0.01 to 10000000 minutes."),
        ("budget: {currency: 5 $}",
         "1: budget.currency: found '5 $'; allowed is a currency such as USD, EUR or €."),
        ("budget: {currency: ''}",
         "1: budget.currency: found ''; allowed is a currency such as USD, EUR or €."),
        ("watch: {extensions: []}", "1: watch.extensions: found an empty list; allowed are "
         + ", ".join(ALL) + "."),
        ("watch: {extensions: mp3}",
         "1: watch.extensions: found 'mp3'; allowed is a list such as [a, b]."),
        ("folders: {inbox: null}",
         "1: folders.inbox: found nothing (null); allowed is text."),
        ("folders: {inbox: ''}", "1: folders.inbox: must be the path of a file or folder, "
         "not empty and without NUL."),
        ("folders: {inbox: ~nobody-of-that-name/x}", "1: folders.inbox: ~nobody-of-that-name/x: "
         "there is no such home folder; give an absolute path."),
        ("- a", "1: the file must be keys with values; found a list."),
        ("word", "1: the file must be keys with values; found a single value."),
        ("separation: {stems: 4, mixes: {instrumental: [drums, piano]}}",
         "1: separation.mixes.instrumental: there is no stem 'piano'; 4 stems give vocals, drums, "
         "bass, other."),
        ("separation: {stems: 4, mixes: {Drums: [drums, bass]}}",
         "1: separation.mixes.Drums: is the name of a stem; 4 stems give vocals, drums, bass, "
         "other; choose another name."),
        ("separation: {stems: 4, mixes: {a: [drums]}}",
         "1: separation.mixes.a: must list at least two different stems."),
        ("separation: {stems: 4, mixes: {a: [drums, bass], A: [bass, other]}}",
         "1: separation.mixes.A: is the name of another mix in other capitals; "
         "choose another name."),
        ("a: [1", "1:6: is not YAML: expected ',' or ']', but got '<stream end>'."),
        ("a: b: c", "1:5: is not YAML: mapping values are not allowed here."),
        ("a: 1\n---\nb: 2", "2:1: is not YAML: but found another document."),
        ("a: !!python/object:os.system x", "1:4: is not YAML: could not determine a constructor "
         "for the tag 'tag:yaml.org,2002:python/object:os.system'."),
    ],
)  # fmt: skip
def test_one_fault_one_sentence(
    tmp_path: Path, env: dict[str, str], text: str, expected: str
) -> None:
    """Each fault names its line, its key, what was found and what is allowed."""
    assert faults_of(tmp_path, text, env) == (expected,)


def test_a_date_that_is_none_is_a_fault(tmp_path: Path, env: dict[str, str]) -> None:
    """In Python's words, of which 3.14 has more."""
    (fault,) = faults_of(tmp_path, "a: 2026-13-99", env)
    assert fault.startswith("has a value that YAML can't read: month must be in 1..12")


@pytest.mark.parametrize("raw", [b"a: \xff\n", b"\x00", b"x" * (1 << 20 | 1), b"- " * 1500])
def test_what_is_no_text_is_one_sentence(tmp_path: Path, env: dict[str, str], raw: bytes) -> None:
    """Binary, huge or absurdly nested files give one clear sentence."""
    path = tmp_path / "stemwatch.yaml"
    path.write_bytes(raw)
    with pytest.raises(ConfigFault) as caught:
        load(str(path), env=env)
    assert len(caught.value.faults) == 1
    assert str(path) in caught.value.faults[0]


def test_alias_bombs_end_at_once(tmp_path: Path, env: dict[str, str]) -> None:
    """Aliases that multiply are not walked again and again."""
    rows = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    rows += [
        f"{b}: &{b} [{', '.join(['*' + a] * 9)}]"
        for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    rows.append("watch: *i")
    assert len(faults_of(tmp_path, "\n".join(rows), env)) == 10


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("api: {wire: [presigned]}", "api.wire: found ['presigned']; allowed are"),
        ("api: {wire: {a: b}}", "api.wire: found keys with values; allowed are"),
        ("inboxes: &a {x: *a}", "inboxes.x.x: unknown key;"),
        ("separation: {stems: 2}\npresets: &a {x: *a}", "presets.x.x: unknown key;"),
        ("&a {inboxes: *a}", "inboxes.inboxes.inboxes: unknown key;"),
        ("? !!str [a]\n: b", "?: a key must be text;"),
        ("watch: !!bool x", "has a value that is not what its tag (!!) says."),
        ("log: {level: !!int ''}", "has a value that is not what its tag (!!) says."),
        ("log: {level: !!timestamp x}", "has a value that is not what its tag (!!) says."),
    ],
)
def test_yaml_that_nobody_thinks_of_is_a_fault_too(
    tmp_path: Path, env: dict[str, str], text: str, expected: str
) -> None:
    """A list in a word's place, a mapping inside itself, a tag that its value belies."""
    assert expected in "\n".join(faults_of(tmp_path, text, env))


@pytest.mark.parametrize("kind", ["missing", "folder"])
def test_a_file_that_cant_be_read_is_named(tmp_path: Path, env: dict[str, str], kind: str) -> None:
    """The sentence names the path, and who tried."""
    path = tmp_path / "nowhere.yaml" if kind == "missing" else tmp_path
    with pytest.raises(ConfigFault, match=f"{path}: can't be read by uid {os.geteuid()}"):
        load(str(path), env=env)


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        ("inbox", "outbox"), ("outbox", "inbox"), ("inbox", "archive"), ("inbox", "quarantine"),
        ("archive", "quarantine"), ("outbox", "archive"),
    ],
)  # fmt: skip
def test_folders_inside_each_other(
    tmp_path: Path, env: dict[str, str], outer: str, inner: str
) -> None:
    """No folder may be inside another, in either direction."""
    text = f"folders:\n  {outer}: a\n  {inner}: a/b\n"
    (fault,) = faults_of(tmp_path, text, env)
    assert fault.startswith(f"3: folders.{inner}: {tmp_path}/a/b is inside folders.{outer} (")


def test_the_same_folder_twice_is_one_fault(tmp_path: Path, env: dict[str, str]) -> None:
    """Two names of one folder, one of them a symbolic link, are reported once."""
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to("a")
    (fault,) = faults_of(tmp_path, "folders:\n  inbox: a\n  outbox: link\n", env)
    assert f"{tmp_path}/a is the same folder as folders.inbox" in fault


def test_state_in_a_folder_is_a_fault_and_above_them_is_not(
    tmp_path: Path, env: dict[str, str]
) -> None:
    """A journal in the inbox would be watched; one beside the folders is fine."""
    (fault,) = faults_of(tmp_path, "folders: {inbox: a}\nstate_dir: a/state\n", env)
    assert fault.startswith("2: state_dir: ")
    beside = "folders: {inbox: s/i, outbox: s/o, quarantine: s/q, archive: s/a}\nstate_dir: s\n"
    assert load(write(tmp_path, beside), env=env).state_dir == str(tmp_path / "s")
    neighbours = "folders: {inbox: a, outbox: ab}\n"
    assert load(write(tmp_path, neighbours), env=env).folders.outbox == str(tmp_path / "ab")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("local", "local"),
        ("https://api.example.com/v1/", "https://api.example.com/v1"),
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("http://192.168.1.5/v1", "http://192.168.1.5/v1"),
        ("http://gpubox:8000/v1", "http://gpubox:8000/v1"),
        ("http://gpubox.lan/v1", "http://gpubox.lan/v1"),
    ],
)
def test_base_urls_that_are_taken(
    tmp_path: Path, env: dict[str, str], url: str, expected: str
) -> None:
    """https anywhere, http within one's own network, without the last slash."""
    settings = load(write(tmp_path, f"api: {{base_url: '{url}'}}"), env=env)
    assert settings.api.base_url == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://api.example.com/v1", "would send the key to api.example.com unencrypted"),
        ("http://8.8.8.8/v1", "would send the key to 8.8.8.8 unencrypted"),
        ("http://127.0.0.1.evil.example/", "unencrypted"),
        ("http://127.0.0.1@evil.example/", "must not hold a user name"),
        ("https://me:hunter2@host/v1", "must not hold a user name"),
        ("https://host/v1?key=hunter2", "must not have a query"),
        ("https://host/v1#hunter2", "must not have a query"),
        ("ftp://host", "not an http or https URL"),
        ("https://", "not an http or https URL"),
        ("https://host:port/", "host or port"),
        ("https://ho st/hunter2", "is not a URL"),
        ("https://host\\n.example/", "is not a URL"),
        ("api.stemsplit.io", "not an http or https URL"),
    ],
)
def test_base_urls_that_are_refused(
    tmp_path: Path, env: dict[str, str], url: str, expected: str
) -> None:
    """A key never travels unencrypted; a password in a URL is never repeated."""
    (fault,) = faults_of(tmp_path, f'api: {{base_url: "{url}"}}', env)
    assert fault.startswith("1: api.base_url: ")
    assert expected in fault
    assert "hunter2" not in fault


def test_a_pasted_key_is_never_repeated(tmp_path: Path, env: dict[str, str]) -> None:
    """Wherever somebody writes the key into the file, the fault doesn't show it."""
    secret = "sk_live_0123456789abcdef"  # noqa: S105
    for text in (f"api_key: {secret}", f"api: {{key: {secret}}}", f"api: {{key_file: {secret}}}"):
        (fault,) = faults_of(tmp_path, text, env)
        assert secret not in fault
        assert "file" in fault


def test_presets_take_over_what_they_dont_say(tmp_path: Path, env: dict[str, str]) -> None:
    """Format and stems come from `separation`; mixes only with the same number of stems."""
    text = """\
separation: {stems: 6, format: flac, mixes: {band: [drums, bass]}}
presets:
  karaoke: {stems: 2}
  remix: {format: mp3}
  plain:
"""
    settings = load(write(tmp_path, text), env=env)
    options_for = settings.every_inbox[0].options_for
    band = {"band": ("drums", "bass")}
    assert options_for("song.mp3") == Options(6, "flac", band)
    assert options_for("karaoke/a/song.mp3") == Options(2, "flac", {})
    assert options_for("remix/song.mp3") == Options(6, "mp3", band)
    assert options_for("plain/song.mp3") == Options(6, "flac", band)
    # other capitals mean it as well; not so another folder, or a song of the preset's name
    assert options_for("other/karaoke/song.mp3") == Options(6, "flac", band)
    assert options_for("Karaoke/song.mp3") == Options(2, "flac", {})
    assert options_for("karaoke") == Options(6, "flac", band)


def test_what_a_preset_took_over_is_reported_once(tmp_path: Path, env: dict[str, str]) -> None:
    """A fault in `separation` is not repeated for each preset."""
    text = "separation: {format: ogg, stems: 4, mixes: {a: [piano, drums]}}\npresets: {x: {}}\n"
    assert [fault.split(":")[1] for fault in faults_of(tmp_path, text, env)] == [
        " separation.format",
        " separation.mixes.a",
    ]


def test_no_list_of_extensions_means_all(tmp_path: Path, env: dict[str, str]) -> None:
    for given in ("watch: {extensions: null}", "watch: {}"):
        assert load(write(tmp_path, given), env=env).watch.extensions == ALL


def test_extensions_in_any_spelling(tmp_path: Path, env: dict[str, str]) -> None:
    """Capitals and leading dots are taken, twice is once."""
    settings = load(write(tmp_path, "watch: {extensions: [.MP3, mp3, Wav]}"), env=env)
    assert settings.watch.extensions == ("mp3", "wav")


def test_local_takes_the_place_of_the_api(tmp_path: Path, env: dict[str, str]) -> None:
    """`--local` wins over the file's URL."""
    path = write(tmp_path, "api: {base_url: 'https://host/v1', max_concurrent: 2}")
    settings = load(path, env=env, local=True)
    assert (settings.local, settings.api.max_concurrent) == (True, 2)
    assert defaults(env=env, local=True).local


def test_settings_are_frozen(env: dict[str, str]) -> None:
    """Nothing changes under a running service."""
    settings = defaults(env=env)
    with pytest.raises(FrozenInstanceError):
        settings.watch.mode = "poll"  # type: ignore[misc]


def test_the_order_of_places(tmp_path: Path) -> None:
    """--config, the variable, the current folder, XDG, /etc: the first that exists."""
    xdg = tmp_path / "xdg" / "stemwatch" / "config.yaml"
    here = tmp_path / "cwd" / "stemwatch.yaml"
    for path in (xdg, here):
        path.parent.mkdir(parents=True)
        path.touch()
    cwd = str(here.parent)
    env = {"XDG_CONFIG_HOME": str(tmp_path / "xdg"), "HOME": "/h", "STEMWATCH_CONFIG": "~/v.yaml"}
    assert find("x.yaml", env, cwd) == f"{cwd}/x.yaml"
    assert find(None, env, cwd) == "/h/v.yaml"
    del env["STEMWATCH_CONFIG"]
    assert find(None, env, cwd) == str(here)
    here.unlink()
    assert find(None, env, cwd) == str(xdg)
    assert candidates({"HOME": "/h"}, "/c") == [
        "/c/stemwatch.yaml",
        "/h/.config/stemwatch/config.yaml",
        "/etc/stemwatch/config.yaml",
    ]
    assert "/h/.config/stemwatch/config.yaml" in not_found({"HOME": "/h"}, "/c").message


def test_the_example_is_the_defaults(env: dict[str, str]) -> None:
    """The shipped example, in both places, has every default."""
    top = ROOT / "config.example.yaml"
    assert top.read_text("utf-8") == example_text()
    assert load(str(top), env=env) == defaults(env=env)


def test_the_example_has_every_key() -> None:
    """No key is left unexplained: each stands in the example, under a comment."""
    lines = example_text().splitlines()
    for section, default in vars(Settings()).items():
        if section == "source":
            continue
        assert any(line.startswith(f"{section}:") for line in lines), section
        for key in vars(default) if is_dataclass(default) else ():
            start = lines.index(f"{section}:")
            below = next(n for n, t in enumerate(lines) if n > start and t.startswith(f"  {key}:"))
            # minutes_per_month shares the comment above minutes_per_day
            above = below - 2 if key == "minutes_per_month" else below - 1
            assert lines[above].lstrip().startswith("#"), dotted((section, key))


def test_only_what_can_change_under_way_is_taken_over() -> None:
    """Every key is either in force at once or named as waiting; nothing is lost in between."""
    old = Settings()
    new = Settings(
        folders=Folders(inbox="/new", after_success="keep"),
        state_dir="/elsewhere",
        watch=Watch(mode="poll", settle_seconds=9.0),
        separation=Separation(stems=6),
        presets={"dj": Separation(format="mp3")},
        api=Api(base_url="local", max_concurrent=9, upload_timeout=60.0),
        budget=Budget(minutes_per_day=5.0),
        source="/the/file",
    )
    effective, changed, waiting = merged(old, new)
    assert changed == [
        "watch.settle_seconds", "separation", "presets", "api.max_concurrent", "budget",
    ]  # fmt: skip
    assert waiting == [
        "folders.inbox", "folders.after_success", "state_dir", "watch.mode", "api.base_url",
        "api.upload_timeout",
    ]  # fmt: skip
    assert effective.folders == old.folders
    assert effective.state_dir == old.state_dir
    assert effective.watch == replace(old.watch, settle_seconds=9.0)
    assert effective.api == replace(old.api, max_concurrent=9)
    assert (effective.separation, effective.budget) == (new.separation, new.budget)


def test_the_page_of_the_configuration_names_what_a_reload_takes_over() -> None:
    """And every key of that list exists."""
    told = (ROOT / "docs/configuration.md").read_text("utf-8")
    told = told.split("## Changes without a restart\n\n")[1].split("\n\n")[0]
    for key in LIVE:
        section, _, field = key.partition(".")
        assert f"`{section}`" in told
        assert not field or section == "watch" or f"`{field}`" in told
        at = getattr(Settings(), section)
        assert not field or hasattr(at, field)
