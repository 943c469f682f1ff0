"""What is sent of a song: the original, or its FLAC, made before its turn; nothing stays behind."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from tests.acceptance.harness import SEPARATE, Home, Service
from tests.acceptance.songs import loud_wav
from tests.support.broken import TYPE_ERROR, Broken
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for

MB = 1_000_000
LARGE = 160 * MB
WATCH = {"settle_seconds": 0.05}
SMALL = {"format": "flac"}  # stems of a long song: the server makes MP3 at 40 x realtime only


def large_wav(path: Path, size: int = LARGE) -> None:
    """Silence of that many bytes, in 24 bits at 192 kHz; no disk space is taken for it."""
    form = struct.pack("<HHIIHH", 1, 2, 192_000, 192_000 * 6, 6, 24)
    data = (size - 44) // 6 * 6
    head = b"RIFF" + struct.pack("<I", 36 + data) + b"WAVEfmt " + struct.pack("<I", 16) + form
    with path.open("wb") as file:
        file.write(head + b"data" + struct.pack("<I", data))
        file.truncate(44 + data)


def named(home: Home) -> list[str]:
    """Files of prepared songs that have a name in the state folder."""
    return [path.name for path in home.state.glob("upload-*")]


def held(service: Service) -> int:
    """How many prepared songs the service holds open: ready ones, which have no name any more."""
    count = 0
    folder = f"/proc/{service.process.pid}/fd"
    for fd in os.listdir(folder):
        try:
            path = os.readlink(f"{folder}/{fd}")
            count += "/upload-" in path and path.endswith(" (deleted)")
        except OSError:  # closed meanwhile
            continue
    return count


@pytest.mark.timeout(400)
def test_lossless_songs_go_as_flac_and_so_a_wav_of_160_megabytes_is_delivered(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """Of the original are name, digest and length; what is sent has its own codec and size.

    The API takes 100 MB; on wire B it says so only when it is asked for a ticket.
    """
    server.scenario(max_bytes=100 * 2**20)
    home = Home(tmp_path, server.url, watch=WATCH, separation=SMALL)
    data = loud_wav(1)
    with home.service() as service:
        (home.inbox / "Loud Song.wav").write_bytes(data)
        service.wait_for_event("job.done")
        large_wav(home.inbox / "Whole Set.wav")
        service.wait_for_event("job.done", count=2, timeout=150)
        assert (held(service), named(home)) == (0, [])
    assert [job["filename"] for job in server.paid["jobs"]] == ["Loud Song.flac", "Whole Set.flac"]
    sidecar, large = home.sidecars()["Loud Song"], home.sidecars()["Whole Set"]
    uploaded = sidecar["separation"]["uploaded"]
    assert uploaded["codec"] == "flac"
    assert uploaded["bytes"] == _sent(server)[0] < 0.7 * len(data)
    assert (sidecar["source"]["name"], sidecar["source"]["bytes"]) == ("Loud Song.wav", len(data))
    assert sidecar["source"]["codec"] == "pcm_s16le"
    assert large["source"]["bytes"] > 159 * MB
    assert large["separation"]["uploaded"]["bytes"] == _sent(server)[-1] < 10 * MB


def _sent(server: ScenarioServer) -> list[int]:
    return [entry["size"] for entry in server.requests(server.upload_route)]


def test_the_original_is_never_changed_where_that_is_asked_for(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """Then a song that is too large stays so, and the hint names the key that mends it."""
    server.scenario(max_bytes=100 * 2**20)
    home = Home(tmp_path, server.url, watch=WATCH, prepare={"upload": "original"})
    data = loud_wav(1)
    with home.service() as service:
        (home.inbox / "song.wav").write_bytes(data)
        service.wait_for_event("job.done")
        large_wav(home.inbox / "large.wav")
        wait_for(home.reasons, timeout=60)
    assert _sent(server) == [len(data)]
    reason = home.reasons()["large.wav"]
    assert reason["code"] == "too_large"
    assert "prepare.upload" in reason["hint"]
    ((_, sidecar),) = home.sidecars().items()
    assert sidecar["separation"]["uploaded"] == {"codec": "pcm_s16le", "bytes": len(data)}


@SEPARATE
def test_the_next_song_is_ready_before_the_line_is(tmp_path: Path, server: ScenarioServer) -> None:
    """One song is prepared while another uploads, and not one more; taken back, it frees its space.

    The line carries nearly nothing: whatever is seen here is seen during the first upload.
    """
    server.scenario(up_rate=50_000.0)
    home = Home(tmp_path, server.url, watch=WATCH, api={"max_concurrent": 1})
    for number in range(4):
        (home.inbox / f"song {number}.wav").write_bytes(loud_wav(number, seconds=6.0))
    with home.service() as service:
        service.wait_for_event("job.queued", count=4)
        wait_for(lambda: held(service) == 2)
        assert len(service.events("job.prepared")) == 1
        assert named(home) == []  # and no other is begun
        server.routes.uplink.rate = None  # for this upload: the next request brings the line back
        service.wait_for_event("job.prepared", count=2)
        wait_for(lambda: held(service) == 2)
        assert len(service.events("job.prepared")) == 2
        sent = {event["name"] for event in service.events("job.prepared")}
        for path in home.inbox.iterdir():
            if path.name not in sent:
                path.unlink()
        server.scenario(up_rate=None)
        server.routes.uplink.rate = None
        service.wait_for_event("job.gone", count=2)
        service.wait_for_event("job.done", count=2)
        wait_for(lambda: held(service) == 0)
    assert server.paid["total"] == 2


@SEPARATE
def test_a_kill_while_a_song_is_encoded_leaves_nothing(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """The next start delivers it, and it is paid for once."""
    home = Home(tmp_path, server.url, watch=WATCH, separation=SMALL)
    with home.service() as service:
        large_wav(home.inbox / "large.wav", 60 * MB)
        wait_for(lambda: named(home), timeout=60, every=0.002)
        service.kill()
    assert named(home)  # else the kill came too late to show anything
    with home.service() as service:
        service.wait_for_event("job.done", timeout=60)
    assert (named(home), server.paid["total"]) == ([], 1)


@SEPARATE
def test_a_repeated_submission_sends_the_same_bytes_under_the_same_key(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """Whatever `prepare` says by then: a server that compares them sees the same submission."""
    server.scenario(post=[{"close": "end", "accept": True}], honour_idempotency=True)
    home = Home(tmp_path, server.url, watch=WATCH)
    with home.service() as service:
        (home.inbox / "song.wav").write_bytes(loud_wav(1))
        service.wait_for_event("job.quarantined")
        wait_for(home.reasons)
    home.configure(server.url, watch=WATCH, prepare={"upload": "original"})
    assert home.command("retry", "--all", "--yes", "-c", str(home.config)).returncode == 0
    with home.service() as service:
        service.wait_for_event("job.done")
    first, second = server.requests("post")
    assert first["sha256"] == second["sha256"]
    assert first["headers"]["idempotency-key"] == second["headers"]["idempotency-key"]
    assert server.paid["total"] == 1


@SEPARATE
def test_what_was_sent_is_known_after_a_kill(tmp_path: Path, server: ScenarioServer) -> None:
    """It is in the journal before the last bytes go out, and so in the sidecar of a later run."""
    server.scenario(job_seconds=3600)
    home = Home(tmp_path, server.url, watch=WATCH)
    with home.service() as service:
        (home.inbox / "song.wav").write_bytes(loud_wav(1))
        wait_for(lambda: home.journal_count("separating") if _journal(home) else 0)
        service.kill()
    assert not home.sidecars()
    server.finish()
    with home.service() as service:
        service.wait_for_event("job.done")
    ((_, sidecar),) = home.sidecars().items()
    assert sidecar["separation"]["uploaded"] == {"codec": "flac", "bytes": _sent(server)[0]}


def _journal(home: Home) -> bool:
    return (home.state / "journal.sqlite3").exists()


@SEPARATE
def test_a_fault_of_the_encoder_costs_no_delivery(tmp_path: Path, server: ScenarioServer) -> None:
    """The original goes, as it did before anything was prepared."""
    broken = Broken(tmp_path)
    home = Home(tmp_path, server.url, watch=WATCH)
    home.extra_env |= broken.env
    broken.by(TYPE_ERROR.format(of="/upload-"))
    data = loud_wav(1)
    with home.service() as service:
        (home.inbox / "song.wav").write_bytes(data)
        service.wait_for_event("job.done")
        service.wait_for_event("job.sent_as_it_is")
        assert (named(home), held(service)) == ([], 0)
    assert (_sent(server), home.reasons()) == ([len(data)], {})


@SEPARATE
def test_an_installation_that_makes_no_flac_pauses_until_it_is_mended(
    tmp_path: Path, server: ScenarioServer
) -> None:
    broken = Broken(tmp_path)
    home = Home(tmp_path, server.url, watch=WATCH)
    home.extra_env |= broken.env
    broken.by(TYPE_ERROR.format(of=".flac"))
    with home.scaled_service(0.01, "account_first=0.3") as service:
        (home.inbox / "song.wav").write_bytes(loud_wav(1))
        assert service.wait_for_event("service.paused")["reason"] == "audio_helper"
        assert (server.requests("post"), home.reasons()) == ([], {})
        broken.mend()
        service.wait_for_event("job.done")
    assert [job["filename"] for job in server.paid["jobs"]] == ["song.flac"]
