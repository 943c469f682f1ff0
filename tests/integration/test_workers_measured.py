"""Stems are paid for: they are delivered with what can be measured of them."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from pathlib import Path

import pytest

from stemwatch.codes import Code
from stemwatch.errors import PauseService, RetryLater
from stemwatch.job import Job, Options
from stemwatch.outbox import waveform_file
from stemwatch.outbox.staging import Staging
from stemwatch.workers.steps import deliver
from stemwatch.workers.steps.finishing.measured import add_measures
from tests.acceptance.harness import Home
from tests.support.audio_samples import write
from tests.support.broken import MEASURE_CRASH, MEASURE_DISK, Broken
from tests.support.context import context_of
from tests.support.journal import new_job


def staged(outbox: str) -> Staging:
    """One good stem, and one that no decoder opens, as if it had crashed at it."""
    staging = Staging(outbox, "1-x", "wav")
    write(Path(staging.part("vocals")), format="wav")
    Path(staging.part("instrumental")).write_bytes(b"what is no sound" * 100)
    for stem in ("vocals", "instrumental"):
        staging.commit_part(stem)
    return staging


def delivered(home: Home, staging: Staging) -> Path:
    """The song's folder, by the steps that `fetch` and `reuse` share."""
    path, outbox = f"{home.inbox}/song.wav", os.fspath(home.outbox)
    job = new_job(path=path, relpath="song.wav", outbox=outbox, options=Options(2, "wav"))

    async def scenario() -> Job:
        async with context_of(home) as ctx, asyncio.timeout(60):
            added = await ctx.journal.add(job)
            await add_measures(ctx, added, staging)
            return await deliver.publish(ctx, added, staging, cost_minutes=0.0)

    folder = asyncio.run(scenario()).delivered_to
    assert folder is not None
    return Path(folder)


@pytest.mark.parametrize("killed", [False, True])
def test_what_cannot_be_measured_is_null(tmp_path: Path, killed: bool) -> None:
    """A stem that was staged before a kill is measured like any other."""
    home = Home(tmp_path, "http://127.0.0.1:9/v1")
    home.outbox.mkdir(exist_ok=True)
    staging = staged(os.fspath(home.outbox))
    if killed:
        staging = Staging(os.fspath(home.outbox), "1-x", "wav")
        assert all(staging.recover(stem) for stem in ("vocals", "instrumental"))
    folder = delivered(home, staging)
    good, odd = home.sidecars()["song"]["stems"]
    assert good["loudness_lufs"] == pytest.approx(-15.8, abs=0.2)
    assert good["active_share"] == 1.0
    assert odd["file"] == "song (Instrumental).wav"
    assert [odd[name] for name in ("loudness_lufs", "true_peak_dbtp", "active_share")] == [None] * 3
    assert len(list(folder.iterdir())) == 3  # nobody has asked for waveforms


def test_a_helper_that_crashes_at_each_stem_holds_up_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process ends, two times for each; what is delivered lacks the measures only."""
    broken = Broken(tmp_path)
    broken.by(MEASURE_CRASH)
    monkeypatch.setenv("PYTHONPATH", broken.env["PYTHONPATH"])
    home = Home(tmp_path, "http://127.0.0.1:9/v1")
    home.outbox.mkdir(exist_ok=True)
    delivered(home, staged(os.fspath(home.outbox)))
    assert [stem["active_share"] for stem in home.sidecars()["song"]["stems"]] == [None, None]


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [(errno.EIO, PauseService, Code.DISK), (errno.EMFILE, RetryLater, Code.DISK_ERROR)],
)
def test_a_disk_that_fails_under_the_stems_is_waited_for(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    kind: type[PauseService | RetryLater],
    code: str,
) -> None:
    """Their sidecar is written once: without measures they would stay so for good."""
    broken = Broken(tmp_path)
    broken.by(MEASURE_DISK.format(errno=number))
    monkeypatch.setenv("PYTHONPATH", broken.env["PYTHONPATH"])
    home = Home(tmp_path, "http://127.0.0.1:9/v1")
    home.outbox.mkdir(exist_ok=True)
    staging, outbox = staged(os.fspath(home.outbox)), os.fspath(home.outbox)
    job = new_job(path=f"{home.inbox}/a.wav", relpath="a.wav", outbox=outbox)

    async def scenario() -> None:
        async with context_of(home) as ctx, asyncio.timeout(60):
            with pytest.raises(kind) as raised:
                await add_measures(ctx, job, staging)
            assert raised.value.code == code
            if kind is RetryLater:  # at its last try the song goes on without them
                await add_measures(ctx, job.evolve(attempts=4), staging)

    asyncio.run(scenario())


def test_a_disk_that_is_slow_under_the_stems_holds_them_up_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers, and would be as slow at each other try: the song was never delivered."""
    broken = Broken(tmp_path)
    broken.by(MEASURE_DISK.format(errno=errno.ETIMEDOUT))
    monkeypatch.setenv("PYTHONPATH", broken.env["PYTHONPATH"])
    home = Home(tmp_path, "http://127.0.0.1:9/v1")
    home.outbox.mkdir(exist_ok=True)
    delivered(home, staged(os.fspath(home.outbox)))
    assert [stem["active_share"] for stem in home.sidecars()["song"]["stems"]] == [None, None]


def test_waveforms_are_kept_for_the_page_only(tmp_path: Path) -> None:
    """In a hidden file of the folder, which anybody may damage."""
    home = Home(tmp_path, "http://127.0.0.1:9/v1", web={"listen": "127.0.0.1:0", "page": True})
    home.outbox.mkdir(exist_ok=True)
    folder = delivered(home, staged(os.fspath(home.outbox)))
    fd = os.open(folder, os.O_RDONLY)
    try:
        ((stem, waveform),) = waveform_file.read(fd).items()
        assert (stem, len(waveform)) == ("vocals", 2000)
        kept = folder / waveform_file.NAME
        whole = kept.read_text()
        stems = json.loads(whole)["stems"]
        for damaged in (
            *("", "[]", "[" * 100_000, whole[:-9], whole.replace("waveforms/1", "waveforms/2")),
            *(json.dumps({"schema": "stemwatch.waveforms/1", "stems": odd}) for odd in odds(stems)),
        ):
            kept.write_text(damaged)
            assert waveform_file.read(fd) == {}
        kept.unlink()
        assert waveform_file.read(fd) == {}
        kept.symlink_to("/etc/passwd")
        assert waveform_file.read(fd) == {}
        kept.unlink()
        os.mkfifo(kept)  # whoever waits for it hangs
        assert waveform_file.read(fd) == {}
    finally:
        os.close(fd)


def odds(stems: dict[str, str]) -> list[object]:
    """What may stand where the waveforms are meant to be."""
    text = stems["vocals"]
    return [None, [text], {"vocals": None}, {"vocals": text[4:]}, {"vocals": "ä" + text}]
