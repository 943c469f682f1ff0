"""The form of a song's upload: what it needs, what becomes of faults, and that nothing is left."""

from __future__ import annotations

import asyncio
import errno
import os
import wave
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from stemwatch.audio.arrays import native
from stemwatch.audio.frames import Source
from stemwatch.audio.preparing.exact_flac import prepare
from stemwatch.errors import PauseService, Reject, RetryLater
from stemwatch.job import Identity, Job
from stemwatch.stemsplit.interface import TooLarge, Upload
from stemwatch.workers.context import Context
from stemwatch.workers.preparing.choice import choice
from stemwatch.workers.preparing.encoding import make
from stemwatch.workers.preparing.form import prepared
from tests.acceptance.harness import Home
from tests.acceptance.songs import loud_wav
from tests.support.context import context_of
from tests.support.journal import new_job
from tests.support.waiting import wait_for_async

Case = tuple[Context, Job, Upload]


@asynccontextmanager
async def opened(root: Path) -> AsyncIterator[Case]:
    """A working set, and a queued song of 2 MB with its open file."""
    home = Home(root, "http://127.0.0.1:9/v1")
    song = home.inbox / "song.wav"
    song.write_bytes(loud_wav(1))
    async with context_of(home) as context:
        stat = song.stat()
        job = new_job(path=str(song), relpath="song.wav", identity=Identity.of(stat))
        job = job.evolve(codec="pcm_s16le", duration=12.0, outbox=str(home.outbox))
        job = await context.journal.add(job)
        fd = os.open(song, os.O_RDONLY)
        try:
            yield context, job, Upload(fd, stat.st_size, "song.wav", codec=job.codec)
        finally:
            os.close(fd)


def run(root: Path, scenario: Callable[[Context, Job, Upload], object]) -> None:
    async def main() -> None:
        async with opened(root) as case:
            await scenario(*case)  # type: ignore[misc]
            folder = Path(case[0].journal.path).parent
            assert not list(folder.glob("upload-*"))
            assert not list(case[0].space)
            assert _scratch_files() == []

    asyncio.run(main())


def _scratch_files() -> list[str]:
    """Prepared songs that this process has open."""
    paths = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            paths.append(os.readlink(f"/proc/self/fd/{fd}"))
        except OSError:  # that of the listing itself
            continue
    return [path for path in paths if "/upload-" in path]


def test_the_same_bytes_are_made_again(tmp_path: Path) -> None:
    """So wire B's storage still has them, and a server that compares bodies sees the same."""

    async def scenario(context: Context, job: Job, original: Upload) -> None:
        made = []
        for _ in range(2):
            async with prepared(context, job, original) as upload:
                made.append((os.pread(upload.fd, upload.size, 0), upload.content))
        assert made[0] == made[1]
        assert upload.filename == "song.flac"
        assert upload.size < 0.7 * original.size

    run(tmp_path, scenario)


def test_without_room_the_original_goes_or_the_pause_names_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(context: Context, job: Job, original: Upload) -> None:
        folder = os.path.dirname(context.journal.path)
        statvfs = os.statvfs

        def full(path: str) -> os.statvfs_result:
            found = statvfs(path)
            return os.statvfs_result((*found[:4], 0, *found[5:])) if path == folder else found

        monkeypatch.setattr(os, "statvfs", full)
        async with prepared(context, job, original) as upload:
            assert upload is original
        assert context.space.awaited(job.inbox) is None
        with pytest.raises(PauseService) as fault:
            async with prepared(context, job, original, TooLarge(original.size - 1)):
                pass
        assert fault.value.code == "room"
        assert folder in fault.value.message
        assert not context.space.is_there(job.inbox)
        monkeypatch.undo()
        assert context.space.is_there(job.inbox)

    run(tmp_path, scenario)


def test_a_song_that_can_not_be_encoded_goes_as_it_is(tmp_path: Path) -> None:
    """Where the API takes it; else the song waits, and no other does."""

    async def scenario(context: Context, job: Job, original: Upload) -> None:
        os.unlink(job.path)
        async with prepared(context, job, original) as upload:
            assert upload is original
        with pytest.raises(RetryLater):
            async with prepared(context, job, original, TooLarge(original.size - 1)):
                pass
        assert context.gate.pauses == []

    run(tmp_path, scenario)


@pytest.mark.parametrize("ahead", [False, True])
def test_a_cancel_while_a_song_is_encoded_frees_all(tmp_path: Path, ahead: bool) -> None:
    async def scenario(context: Context, job: Job, original: Upload) -> None:
        async def submit() -> None:
            async with prepared(context, job, original):
                raise AssertionError("it was to be cancelled before")

        folder = Path(context.journal.path).parent
        if ahead:
            chosen = choice(context, job)
            context.preparing.begin(job, make(context, job, chosen))
        task = asyncio.create_task(submit())
        await wait_for_async(lambda: list(folder.glob("upload-*")), every=0.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not context.preparing.encoder.locked()
        assert context.preparing.ahead is None
        assert not context.progress.running

    run(tmp_path, scenario)


def test_what_is_ahead_is_taken_by_its_own_song_only(tmp_path: Path) -> None:
    """And dropped, whether it is ready or in the making, when the pool stops."""

    async def scenario(context: Context, job: Job, original: Upload) -> None:
        chosen = choice(context, job)
        context.preparing.begin(job, make(context, job, chosen))
        assert await context.preparing.take(job.evolve(id=99)) is None
        await wait_for_async(_scratch_files)
        async with prepared(context, job, original) as upload:
            assert upload is not original
        context.preparing.begin(job, make(context, job, chosen))
        await wait_for_async(lambda: not context.preparing.encoder.locked() and _scratch_files())
        await context.preparing.drop()

    run(tmp_path, scenario)


def test_a_flac_that_was_sent_once_is_sent_again(tmp_path: Path) -> None:
    """It may be paid; a new song of that length is refused before it is encoded."""

    async def scenario(context: Context, job: Job, _: Upload) -> None:
        long = job.evolve(codec="aac", duration=36_000.0, sample_rate=48_000, channels=2)
        long = long.evolve(relpath="song.mkv")
        with pytest.raises(Reject, match="as FLAC"):
            choice(context, long)
        sent = long.evolve(idempotency_key="k", uploaded_codec="flac")
        assert choice(context, sent).needed

    run(tmp_path, scenario)


def test_samples_at_full_scale_and_of_many_channels_are_kept(tmp_path: Path) -> None:
    """Bit for bit, in 16 and 24 bits: the loudest sample of all has no counterpart above zero."""
    for width, channels, rate in ((2, 2, 44_100), (2, 1, 8_000), (3, 2, 96_000), (3, 6, 48_000)):
        full = 1 << (8 * width - 1)
        samples = np.random.default_rng(1).integers(-full, full, (rate + 17, channels))
        samples[:4] = -full
        song, flac = tmp_path / "song.wav", tmp_path / "song.flac"
        with wave.open(str(song), "wb") as file:
            file.setnchannels(channels)
            file.setsampwidth(width)
            file.setframerate(rate)
            bytes_ = samples.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :width]
            file.writeframes(bytes_.tobytes())
        made = prepare(str(song), str(flac))
        assert made.exact
        with Source(str(flac)) as found:
            kept = np.concatenate([*native(found.frames())]).astype("i8")
        assert (kept == samples << (8 if width == 3 else 0)).all()


def test_a_full_disk_after_the_paid_call_is_no_fault_of_the_preparation(tmp_path: Path) -> None:
    """It would be taken for one, and the song would be sent, and paid for, again."""

    async def scenario(context: Context, job: Job, original: Upload) -> None:
        calls = 0
        with pytest.raises(OSError, match="No space"):
            async with prepared(context, job, original):
                calls += 1
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        assert calls == 1

    run(tmp_path, scenario)
