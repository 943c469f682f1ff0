"""Bad input: one clear sentence (what, where, what to do), the exit code, no file altered."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.harness import KEY, Home
from tests.acceptance.songs import drop, encode, large_wav, wav_bytes
from tests.faults.disks import Tmpfs, why_no_mounts
from tests.support.scenario.server import ScenarioServer
from tests.support.scenario.stems import wav_header
from tests.support.waiting import wait_for

NOWHERE = "http://127.0.0.1:9/v1"
CONFIGURATION, ALREADY_RUNNING = 78, 75


@dataclass(frozen=True)
class Fault:
    """How to make it, what the sentence says, and what the hint after it says ("" for none)."""

    make: Callable[[Home], None]
    says: tuple[str, ...]
    hint: tuple[str, ...] = ()
    key: str | None = KEY
    arguments: tuple[str, ...] = ("run",)


def _edit(old: str, new: str) -> Callable[[Home], None]:
    def make(home: Home) -> None:
        text = home.config.read_text()
        assert old in text
        home.config.write_text(text.replace(old, new))

    return make


def _no_configuration(home: Home) -> None:
    home.config.unlink()


def _no_inbox(home: Home) -> None:
    home.inbox.rmdir()


def _file_in_the_way(home: Home) -> None:
    home.outbox.write_text("somebody's notes")


def _public_key(home: Home) -> None:
    key = home.root / "key"
    key.write_text(KEY + "\n")
    key.chmod(0o644)
    _edit("base_url:", "key_file: key\n  base_url:")(home)


def _empty_key(home: Home) -> None:
    key = home.root / "key"
    key.write_text("\n")
    key.chmod(0o600)
    _edit("base_url:", "key_file: key\n  base_url:")(home)


def _nothing(home: Home) -> None:
    assert home.config.exists()


MEND = ("stemwatch check",)
FAULTS = {
    "no configuration": Fault(_no_configuration, ("configuration",), ("stemwatch init",)),
    "a named configuration that is not there": Fault(
        _nothing, ("missing.yaml",), arguments=("run", "-c", "missing.yaml")
    ),
    "a mistyped key": Fault(
        _edit("rescan_seconds", "rescan_second"), ("watch.rescan_second", "rescan_seconds"), MEND
    ),
    "a mistyped section": Fault(_edit("watch:", "wacth:"), ("wacth", "watch"), MEND),
    "a number out of range": Fault(
        _edit("requests_per_minute: 6000", "requests_per_minute: 0"),
        ("api.requests_per_minute", "found 0", "1 to"),
        MEND,
    ),
    "no YAML": Fault(_edit("api:", "api: ["), ("stemwatch.yaml",), MEND),
    "the inbox inside the outbox": Fault(
        _edit("inbox: inbox", "inbox: outbox/inbox"), ("folders.inbox", "outbox"), MEND
    ),
    "a missing inbox": Fault(_no_inbox, ("folders.inbox", "does not exist", "mkdir -p")),
    "a file where a folder should be": Fault(
        _file_in_the_way, ("folders.outbox", "can't be a folder")
    ),
    "no key": Fault(
        _nothing, ("no API key",), ("STEMSPLIT_API_KEY", "--local", "stemwatch demo"), key=None
    ),
    "a key that others can read": Fault(
        _public_key, ("api.key_file", "0644"), ("chmod 600",), key=None
    ),
    "an empty key file": Fault(_empty_key, ("empty",), key=None),
}


def snapshot(root: Path) -> dict[str, bytes | None]:
    """Every path below, with its content."""
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None
        for path in root.rglob("*")
    }


@pytest.mark.parametrize("name", FAULTS)
def test_a_wrong_set_up_ends_with_one_sentence_and_78(tmp_path: Path, name: str) -> None:
    """What is wrong, where, and what to do; no traceback, no folder made, no file touched."""
    fault = FAULTS[name]
    home = Home(tmp_path / "home", NOWHERE)
    drop(home.root / "song.wav")
    fault.make(home)
    before = snapshot(home.root)
    ended = home.command(*fault.arguments, key=fault.key)
    assert ended.returncode == CONFIGURATION, ended.stderr
    sentence, *hints = ended.stderr.splitlines()
    assert len(hints) <= 1, ended.stderr
    for words in fault.says:
        assert words in sentence
    for words in fault.hint:
        assert words in " ".join(hints)
    assert all(line.startswith("stemwatch: ") for line in ended.stderr.splitlines())
    assert sentence.endswith((".", "?"))
    assert "Traceback" not in ended.stderr + ended.stdout
    assert KEY not in ended.stderr + ended.stdout
    after = snapshot(home.root)
    made = {path for path in after.keys() - before.keys() if after[path] is not None}
    assert made == set()
    assert {path: after[path] for path in before} == before


def test_every_fault_is_told_in_one_run(tmp_path: Path) -> None:
    """Three mistakes give three sentences, each with its line."""
    home = Home(tmp_path, NOWHERE)
    _edit("rescan_seconds: 1.0", "rescan_seconds: soon\n  colour: red")(home)
    _edit("poll_interval: 0.1", "poll_interval: -1")(home)
    ended = home.command("run")
    assert ended.returncode == CONFIGURATION
    *faults, hint = ended.stderr.splitlines()
    assert len(faults) == 3
    assert all("stemwatch.yaml:" in fault for fault in faults)
    assert "stemwatch check" in hint


def test_a_read_only_folder_is_named_with_the_account(tmp_path: Path) -> None:
    """A folder that can't be written in: its key, its path, the uid, and exit 78."""
    home = Home(tmp_path, NOWHERE)
    home.archive.mkdir()
    if os.geteuid() != 0:
        home.archive.chmod(0o555)
        ended = home.command("run")
    else:  # root writes anywhere, except on what is mounted read-only
        if (why := why_no_mounts()) is not None:
            pytest.skip(why)
        with Tmpfs(home.archive) as disk:
            disk.read_only(True)
            ended = home.command("run")
    assert ended.returncode == CONFIGURATION
    (sentence,) = ended.stderr.splitlines()
    assert f"folders.archive: {home.archive} " in sentence
    assert f"uid {os.geteuid()}" in sentence


def test_a_second_instance_refuses_with_75(tmp_path: Path, wire: str) -> None:
    """It names the folder and the pid of the first, which goes on working."""
    with ScenarioServer(wire=wire, key=KEY, job_seconds=0.1) as server:
        home = Home(tmp_path, server.url)
        with home.service() as service:
            second = home.command("run")
            assert second.returncode == ALREADY_RUNNING
            assert str(home.state) in second.stderr
            assert f"pid {service.process.pid}" in second.stderr
            assert "state_dir" in second.stderr
            assert "Traceback" not in second.stderr
            drop(home.inbox / "song.wav")
            service.wait_for_event("job.done")


# -- files ----------------------------------------------------------------------------------


def _truncated_mp3(path: Path) -> None:
    encode(path, seconds=8.0)
    path.write_bytes(path.read_bytes()[:700])


def _truncated_wav(path: Path) -> None:
    path.write_bytes(wav_bytes(7, seconds=6.0)[:-9000])


FILES: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "empty.mp3": (lambda path: path.touch(), ("truncated",)),
    "text.mp3": (lambda path: path.write_text("not a song\n" * 50), ("not_audio", "corrupt")),
    "noise.flac": (lambda path: path.write_bytes(os.urandom(40_000)), ("not_audio", "corrupt")),
    "corrupt.wav": (
        lambda path: path.write_bytes(b"RIFF" + bytes(4) + os.urandom(9_000)),
        ("not_audio", "corrupt", "truncated"),
    ),
    "header only.wav": (lambda path: path.write_bytes(wav_header(0)), ("not_audio", "empty")),
    "truncated.mp3": (_truncated_mp3, ("not_audio", "corrupt", "truncated")),
    "truncated.wav": (_truncated_wav, ("truncated",)),
    "large.wav": (large_wav, ("too_large",)),
    "two samples.wav": (
        lambda path: path.write_bytes(wav_bytes(8, seconds=2 / 8000)),
        ("too_short",),
    ),
    "short.wav": (lambda path: path.write_bytes(wav_bytes(9, seconds=0.99)), ("too_short",)),
}


def test_what_is_no_song_is_quarantined_with_nothing_uploaded(tmp_path: Path, wire: str) -> None:
    """Empty, truncated, corrupt, text, 101 MB: each has its reason; a good song beside goes on."""
    with ScenarioServer(wire=wire, key=KEY, job_seconds=0.1) as server:
        # what lacks bytes is waited for, twenty quiet windows long
        watch = {"settle_seconds": 0.05}
        home = Home(tmp_path, server.url, watch=watch, prepare={"upload": "original"})
        files = dict(FILES)
        if wire == "presigned":  # which takes a large WAV as FLAC
            del files["large.wav"]
        for name, (make, _) in files.items():
            make(home.inbox / name)
        contents = {name: (home.inbox / name).read_bytes() for name in files if name != "large.wav"}
        drop(home.inbox / "good.wav")
        with home.service() as service:
            wait_for(lambda: len(home.reasons()) == len(files), what=f"reasons\n{service.text()}")
            service.wait_for_event("job.done")
            assert "Traceback" not in service.text()
        reasons = home.reasons()
        assert set(reasons) == set(files)
        for name, (_, codes) in files.items():
            reason = reasons[name]
            assert reason["code"] in codes, (name, reason)
            assert reason["message"].endswith(".")
            assert reason["hint"]
            assert (reason["attempts"], reason["job_id"]) == (0, None)
        if wire == "separate":
            assert "101.0 MB" in reasons["large.wav"]["message"]
        for name, content in contents.items():
            assert (home.quarantine / name).read_bytes() == content
        assert home.waiting() == []
        assert [post["filename"] for post in server.requests("post")] == ["good.wav"]


@pytest.mark.parametrize("fate", ["vanishes", "grows", "is replaced"])
def test_a_file_that_changes_during_its_upload_is_not_submitted(
    tmp_path: Path, fate: str, wire: str
) -> None:
    """Uploaded up to its last bytes it can still be taken back; what replaces it is a new song."""
    with ScenarioServer(wire=wire, key=KEY) as server:
        server.scenario(jobs=[{"seconds": 0.1}, {"seconds": 3600}, {"seconds": 0.1}])
        home = Home(tmp_path, server.url, api={"max_concurrent": 1}, watch={"settle_seconds": 0.05})
        with home.service() as service:
            drop(home.inbox / "first.wav", 1)  # teaches how long a job takes
            service.wait_for_event("job.done")
            drop(home.inbox / "second.wav", 2)
            wait_for(lambda: server.paid["total"] == 2)
            song = drop(home.inbox / "third.wav", 3, seconds=6.0)
            old = server_sha(song)
            sent = server.upload_route
            wait_for(lambda: len(server.requests(sent)) == 3)  # waits for the only slot
            if fate == "vanishes":
                song.unlink()
            elif fate == "grows":
                song.write_bytes(wav_bytes(4, seconds=6.5))
            else:
                fresh = drop(home.root / "fresh.wav", 5, seconds=5.5)
                fresh.replace(song)
            server.finish()
            service.wait_for_event("job.gone")
            ends = 2 if fate == "vanishes" else 3
            service.wait_for_event("job.done", count=ends)
        assert old not in server.paid["by_sha256"]
        assert server.paid["total"] == ends
        assert home.reasons() == {}
        assert home.waiting() == []


def server_sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
