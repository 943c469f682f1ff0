"""The server's worker processes, and the disk below them, where the machine fails."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import signal
from asyncio.subprocess import PIPE
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from stemwatch.audio.codec import Encoder
from stemwatch.server.engines import ENGINES, Placed
from stemwatch.server.engines.song import separate_song
from stemwatch.server.engines.spectral.stft import Array
from stemwatch.server.engines.spectral.stream import separate_stream
from stemwatch.server.offer import Offer
from stemwatch.server.work.attempt import Attempts, Pace
from stemwatch.server.work.job_files import Files
from stemwatch.server.work.json_records import JsonRecords
from stemwatch.server.work.process import Worker, WorkerDied
from stemwatch.server.work.queue import Queue
from stemwatch.server.work.record import Record
from stemwatch.server.work.trial import Trial


def test_a_process_that_no_kill_ends_takes_no_seat_along() -> None:
    """It waits for a dead disk: its seat waited for it, for good."""

    async def main() -> None:
        process = await asyncio.create_subprocess_exec("sleep", "600", stdin=PIPE, stdout=PIPE)
        # A process in an uninterruptible wait can't be made; a kill does as little to this one.
        process.kill = lambda: None  # type: ignore[method-assign]
        worker = Worker(process, patience=0.1)
        try:
            assert worker.alive
            with pytest.raises(WorkerDied, match="no progress"):
                await asyncio.wait_for(worker.call({}, silence=0.1), 20)
            assert (worker.alive, process.returncode) == (False, None)
        finally:
            os.kill(process.pid, signal.SIGKILL)
            await process.wait()

    asyncio.run(main())


def song(path: Path, seconds: float = 4.0) -> str:
    noise = np.random.default_rng(0).normal(size=(int(seconds * 44_100), 2)) * 0.1
    with Encoder(str(path), "wav") as encoder:
        encoder.write(noise.astype(np.float32))
    return str(path)


def test_a_decoding_that_ends_early_makes_no_short_stems(tmp_path: Path) -> None:
    """A read that failed looked like the song's end: half a song was delivered as done."""
    source, out = song(tmp_path / "song.wav"), tmp_path / "out"
    out.mkdir()

    def half(mix: Iterable[Array]) -> Iterator[Array]:
        return separate_stream(itertools.islice(mix, 1), 2)

    def make(stream: object) -> None:
        separate_song(source, str(out), stems=2, format="wav", progress=lambda _: None,
                      stream=stream)  # type: ignore[arg-type] # fmt: skip

    with pytest.raises(OSError, match="end was not read"):
        make(half)
    assert list(out.iterdir()) == []
    make(lambda mix: separate_stream(mix, 2))
    assert len(list(out.iterdir())) == 2


def test_a_disk_that_stays_away_is_told_of_once(tmp_path: Path) -> None:
    """It was a line a second, for as long as it lasted; another reason is told of, too."""
    lines: list[str] = []
    files = Files(str(tmp_path / "data"))
    faults = iter((errno.EIO, errno.EIO, errno.ENOSPC, errno.ENOSPC, errno.EIO))

    async def main() -> None:
        over = asyncio.Event()

        async def room(needed: int) -> None:
            for number in faults:
                raise OSError(number, os.strerror(number), str(needed))
            over.set()
            await asyncio.Event().wait()

        records = JsonRecords(files)
        offer = Offer(ENGINES["spectral"], Placed("m:f"), 1)
        attempts = Attempts(files=files, records=records, offer=offer, room=room,
                            trial=Trial(None, files, lines.append), report=lines.append,
                            pace=Pace(pause=0.0))  # fmt: skip
        job_id, _ = files.begin()
        await records.add(Record(job_id, "a.wav", "input.wav", 2, "wav", "copy", 1.0))
        queue = Queue(records, attempts, offer=offer, broken=print)
        queue.start()
        await asyncio.wait_for(over.wait(), 20)
        await queue.stop()
        records.close()

    asyncio.run(main())
    assert [line.partition("] ")[2].partition(":")[0] for line in lines] == [
        os.strerror(one) for one in (errno.EIO, errno.ENOSPC, errno.EIO)
    ]


def test_a_disk_that_ends_the_trial_blames_no_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was told to install the engine's libraries again."""
    monkeypatch.setenv("LOCAL_ENGINE_ROOM", str(tmp_path))
    (tmp_path / "mood").write_text("broken by its disk")
    lines: list[str] = []
    placed = Placed("tests.support.server_engines:moody")
    trial = Trial(placed, Files(str(tmp_path / "data")), lines.append)
    with pytest.raises(OSError, match="Input/output error"):
        asyncio.run(trial.passes())
    assert (trial.why, lines) == (None, [])
