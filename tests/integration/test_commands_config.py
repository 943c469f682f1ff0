"""`config` as a process: each key with its value and its source, and no secret."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import environment, run

TEXT = """\
folders: {inbox: in, after_success: keep}
separation:
  stems: 4
presets: {karaoke: {format: mp3}}
api: {wire: presigned}
notify: {urls: ["tgram://123456:canary-token/chat"]}
hooks: {delivered: [/bin/true, canary-argument]}
state_dir: null
"""
INBOXES = """\
separation: {stems: 4, stem_file: alac}
presets: {karaoke: {format: mp3}, duo: {stems: 2}}
inboxes:
  dj: {folders: {inbox: dj}}
  me: {separation: {format: flac}, presets: {karaoke: {}}}
outbox: {name: "{title}"}
schedule: {submit: "22:00-07:00"}
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "stemwatch.yaml").write_text(TEXT)
    return tmp_path


def keys(home: Path, **env: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("config", "--json", cwd=home, env=env).stdout)
    return found["keys"]


def test_each_key_has_its_value_and_what_decides_it(home: Path) -> None:
    """A line of the file, another key, a variable, or the default."""
    found = keys(home, STATE_DIRECTORY="/var/lib/stemwatch")
    assert found["folders.inbox"] == {"value": f"{home}/in", "line": 1, "by": None}
    assert found["folders.after_success"] == {"value": "keep", "line": 1, "by": None}
    assert found["folders.archive"]["by"] == "default"
    assert found["separation.stems"] == {"value": 4, "line": 3, "by": None}
    assert found["presets.karaoke.stems"] == {"value": 4, "line": None, "by": "separation.stems"}
    assert found["presets.karaoke.format"] == {"value": "mp3", "line": 4, "by": None}
    assert found["api.base_url"]["value"] == "https://stemsplit.io/api/v1"
    assert found["api.base_url"]["by"] == "api.wire"
    state = {"value": "/var/lib/stemwatch", "line": None, "by": "$STATE_DIRECTORY"}
    assert found["state_dir"] == state
    told = run("config", cwd=home).stdout.splitlines()
    assert told[0] == f"# {home}/stemwatch.yaml"
    assert f"{'separation.stems: 4':<48}  # line 3" in told
    assert f"{'watch.mode: ' + json.dumps('auto'):<48}  # default" in told


def test_what_an_inbox_takes_over_is_told_by_its_key(home: Path) -> None:
    """Presets as a whole, or key by key from its own separation; no `folders` beside them."""
    (home / "stemwatch.yaml").write_text(INBOXES)
    found = keys(home)
    assert "folders.inbox" not in found
    assert found["inboxes.dj.folders.inbox"]["line"] == 4
    assert found["inboxes.dj.separation.stems"]["by"] == "separation.stems"
    assert found["inboxes.dj.presets.karaoke.format"]["by"] == "presets.karaoke.format"
    assert found["inboxes.me.presets.karaoke.format"]["by"] == "inboxes.me.separation.format"
    assert found["inboxes.me.presets.karaoke.stems"]["by"] == "separation.stems"
    assert found["inboxes.dj.outbox.name"]["by"] == "outbox.name"
    assert found["inboxes.me.schedule.submit"]["by"] == "schedule.submit"
    assert found["inboxes.dj.presets.duo.stem_file"]["by"] == "default"  # none for two stems
    assert found["inboxes.dj.presets.karaoke.stem_file"]["by"] == "separation.stem_file"


def test_no_secret_is_told(home: Path) -> None:
    """It is what people paste for others: URLs, arguments and keys are left out."""
    for options in ((), ("--json",)):
        told = run("config", *options, cwd=home, env={"STEMSPLIT_API_KEY": "canary-key-0123"})
        assert told.returncode == 0, told.stderr
        assert "canary" not in told.stdout + told.stderr
        assert "tgram://[redacted]" in told.stdout
        assert "$STEMSPLIT_API_KEY" in told.stdout


def test_the_env_file_that_has_the_key_is_named(home: Path) -> None:
    """Not one that belongs to another project, and was looked at before it."""
    (home / "here").mkdir()
    (home / "here" / ".env").write_text("OTHER=x\n")
    (home / ".env").write_text("STEMSPLIT_API_KEY=canary-key-0123\n")
    (home / ".env").chmod(0o600)
    told = run("config", "-c", f"{home}/stemwatch.yaml", "--json", cwd=home / "here")
    assert json.loads(told.stdout)["api_key"] == f"in {home}/.env (mode 0600)"


def test_defaults_and_faults(tmp_path: Path) -> None:
    """Without a file all is defaults, and said to be so; a faulty file has its faults, exit 78."""
    told = run("config", cwd=tmp_path)
    assert told.stdout.startswith("# No file was found: all of this is defaults.\n")
    assert told.returncode == 0
    (tmp_path / "stemwatch.yaml").write_text("watch: {mode: 3}\n")
    told = run("config", cwd=tmp_path)
    assert told.returncode == 78
    assert "watch.mode: found 3" in told.stderr


@pytest.mark.parametrize("command", ["status", "config", "serve"])
def test_a_folder_that_was_deleted_meanwhile_is_named(tmp_path: Path, command: str) -> None:
    """Where a command looks there; each of these ended with a traceback."""
    gone = tmp_path / "gone"
    gone.mkdir()
    there = ["sh", "-c", f'rmdir "$PWD" && exec "$0" -m stemwatch.cli {command}', sys.executable]
    found = subprocess.run(
        there, cwd=gone, env=environment(tmp_path), capture_output=True, text=True, check=False
    )
    assert found.returncode == 78
    assert found.stderr.startswith("stemwatch: The folder that you are in was deleted.\n")
