"""Where the API key is found, and what is never taken for one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stemwatch.config import Settings, defaults, load
from stemwatch.config.api_key import find_key, load_key, no_key_fault
from stemwatch.errors import ConfigFault

KEY = "sk_live_canary-0123456789"


def put(path: Path, text: str, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def with_file(tmp_path: Path, **api: str) -> Settings:
    lines = [f"  {name}: {value}" for name, value in api.items()]
    config = put(tmp_path / "etc" / "c.yaml", "\n".join(["api:", *lines] if lines else []))
    return load(str(config), env={"HOME": str(tmp_path)})


def test_the_order_of_places(tmp_path: Path) -> None:
    """key_file, the service manager's credential, the variable, .env here, .env at the file."""
    put(tmp_path / "k", "from-file\n")
    put(tmp_path / "cred" / "api-key", " from-manager\r\n", 0o644)
    put(tmp_path / "cwd" / ".env", "export STEMSPLIT_API_KEY='from-cwd' # mine\n")
    put(tmp_path / "etc" / ".env", "A=1\nSTEMSPLIT_API_KEY=from-etc # mine\n")
    env = {"CREDENTIALS_DIRECTORY": str(tmp_path / "cred"), "STEMSPLIT_API_KEY": "from-env\n"}
    cwd = str(tmp_path / "cwd")
    named = with_file(tmp_path, key_file=str(tmp_path / "k"))
    assert load_key(named, env=env, cwd=cwd) == "from-file"
    plain = with_file(tmp_path)
    assert load_key(plain, env=env, cwd=cwd) == "from-manager"
    (tmp_path / "cred" / "api-key").unlink()
    assert load_key(plain, env=env, cwd=cwd) == "from-env"
    env["STEMSPLIT_API_KEY"] = " "
    assert load_key(plain, env=env, cwd=cwd) == "from-cwd"
    (tmp_path / "cwd" / ".env").unlink()
    assert load_key(plain, env=env, cwd=cwd) == "from-etc"
    (tmp_path / "etc" / ".env").unlink()
    assert load_key(plain, env=env, cwd=cwd) is None


def test_the_place_of_the_key_is_told(tmp_path: Path) -> None:
    """Of two `.env` files the one that has the line; a repr has no key."""
    put(tmp_path / "cwd" / ".env", "OTHER=x\n")
    beside = put(tmp_path / "etc" / ".env", f"STEMSPLIT_API_KEY={KEY}\n", 0o640)
    settings, cwd = with_file(tmp_path), str(tmp_path / "cwd")
    found = find_key(settings, env={}, cwd=cwd)
    assert found is not None
    assert found.place == f"{beside} (mode 0640)"
    assert KEY not in repr(found)
    found = find_key(settings, env={"STEMSPLIT_API_KEY": KEY}, cwd=cwd)
    assert found is not None
    assert found.place == "$STEMSPLIT_API_KEY"


def test_this_machine_needs_no_key(tmp_path: Path) -> None:
    """A real key never goes to a local server, and a bad one doesn't stop it."""
    settings = with_file(tmp_path, base_url="local", key_file="missing")
    assert load_key(settings, env={"STEMSPLIT_API_KEY": KEY}, cwd=str(tmp_path)) is None


@pytest.mark.parametrize("bad", [f"{KEY} {KEY}", f"{KEY}\n{KEY}", f"{KEY}\x1b", f"{KEY}ü", "\0"])
def test_what_is_no_key_is_refused_and_never_repeated(tmp_path: Path, bad: str) -> None:
    """One word of plain ASCII; the fault names the place and shows nothing of it."""
    path = put(tmp_path / "k", bad)
    with pytest.raises(ConfigFault) as caught:
        load_key(with_file(tmp_path, key_file=str(path)), env={}, cwd="/")
    assert str(path) in caught.value.message
    assert "canary" not in str(caught.value)
    with pytest.raises(ConfigFault, match=r"\$STEMSPLIT_API_KEY does not hold") as caught:
        load_key(defaults(env={"HOME": "/h"}), env={"STEMSPLIT_API_KEY": bad}, cwd="/")
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    """Both a key file and a .env; the hint is the command that mends it."""
    path = put(tmp_path / "k", KEY, mode)
    with pytest.raises(ConfigFault, match=f"mode 0{mode:o}") as caught:
        load_key(with_file(tmp_path, key_file=str(path)), env={}, cwd="/")
    assert caught.value.hint.startswith(f"`chmod 600 {path}`")
    dotenv = put(tmp_path / ".env", f"STEMSPLIT_API_KEY={KEY}\n", mode)
    with pytest.raises(ConfigFault) as caught:
        load_key(with_file(tmp_path), env={}, cwd=str(tmp_path))
    assert caught.value.hint.startswith(f"`chmod 600 {dotenv}`")
    path.chmod(0o640)
    assert load_key(with_file(tmp_path, key_file=str(path)), env={}, cwd="/") == KEY


def test_somebody_elses_dotenv_is_left_alone(tmp_path: Path) -> None:
    """Without our line, or with an empty one, its mode and content don't matter."""
    for text in ("OTHER=x\nSTEMSPLIT_API_KEY\n#STEMSPLIT_API_KEY=a\n", "STEMSPLIT_API_KEY=\n"):
        put(tmp_path / ".env", text, 0o666)
        assert load_key(with_file(tmp_path), env={}, cwd=str(tmp_path)) is None


def test_key_files_that_cant_be_used(tmp_path: Path) -> None:
    """Missing, a folder, a FIFO (which must not block), empty: one sentence with the path."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo", 0o600)
    put(tmp_path / "empty", "\n")
    said = {}
    for name in ("missing", "folder", "fifo", "empty"):
        settings = with_file(tmp_path, key_file=str(tmp_path / name))
        with pytest.raises(ConfigFault) as caught:
            load_key(settings, env={}, cwd="/")
        said[name] = caught.value.message.replace(str(tmp_path), "")
    assert said == {
        "missing": f"api.key_file: /missing can't be read by uid {os.geteuid()}, "
        f"gid {os.getegid()}: No such file or directory.",
        "folder": "api.key_file: /folder is not a regular file.",
        "fifo": "api.key_file: /fifo is not a regular file.",
        "empty": "api.key_file: /empty is empty; it must hold an API key.",
    }


def test_without_a_key_there_are_three_ways_on() -> None:
    """Set the key, separate here, look at the demo."""
    for way in ("$STEMSPLIT_API_KEY", "api.key_file", "--local", "stemwatch demo"):
        assert way in no_key_fault().hint


def test_a_key_saved_by_notepad(tmp_path: Path) -> None:
    """It puts a mark before UTF-8; what it calls Unicode is told by its name."""
    put(tmp_path / "cwd" / ".env", f"\ufeffSTEMSPLIT_API_KEY={KEY}\r\n")
    assert load_key(with_file(tmp_path), env={}, cwd=str(tmp_path / "cwd")) == KEY
    named = with_file(tmp_path, key_file=str(put(tmp_path / "k", f"\ufeff{KEY}\r\n")))
    assert load_key(named, env={}, cwd=str(tmp_path)) == KEY
    (tmp_path / "k").write_bytes(KEY.encode("utf-16"))
    with pytest.raises(ConfigFault, match="is written in UTF-16"):
        load_key(named, env={}, cwd=str(tmp_path))
