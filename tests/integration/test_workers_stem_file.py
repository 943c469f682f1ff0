"""A song's stem file on its way: made, copied, left out; staged and shown with the stems."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import resource
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import mutagen.mp4
import pytest

from stemwatch.audio.stem_file.making import make
from stemwatch.disks import space
from stemwatch.disks.places import Place
from stemwatch.errors import PauseService
from stemwatch.job import STEMS, Job, Options
from stemwatch.outbox import delivery, sidecar
from stemwatch.outbox.staging import Staging
from stemwatch.workers.context import Context
from stemwatch.workers.steps.finishing import add_stem_file
from tests.acceptance.harness import Home
from tests.support.audio_samples import tone, write
from tests.support.context import context_of
from tests.support.journal import new_job
from tests.support.mp4_boxes import stem_json

CODEC = "alac"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path, "http://127.0.0.1:9/v1")
    home.outbox.mkdir()
    return home


def a_job(home: Home, **fields: Any) -> Job:
    options = Options(4, "wav", stem_file=CODEC)
    told = {"path": f"{home.inbox}/song.wav", "relpath": "song.wav", "outbox": str(home.outbox)}
    return new_job(**{**told, "options": options, "bpm": 124.57, "key": "A minor", **fields})


def staged(home: Home, *, seconds: float = 0.3) -> Staging:
    """A staging with four stems."""
    staging = Staging(os.fspath(home.outbox), "1-x", "wav")
    for seed, stem in enumerate(STEMS[4]):
        write(Path(staging.part(stem)), tone(seconds, seed=seed) * 0.3, format="wav")
        staging.commit_part(stem)
    return staging


def run(home: Home, scenario: Callable[[Context], Awaitable[None]]) -> None:
    async def main() -> None:
        place = Place(outbox=os.fspath(home.outbox), inbox=os.fspath(home.inbox))
        async with context_of(home, place=place) as ctx, asyncio.timeout(60):
            await scenario(ctx)

    asyncio.run(main())


async def delivered(ctx: Context, job: Job, staging: Staging) -> Path:
    """The folder of a job with a stem file, where that can be made."""
    await add_stem_file.add(ctx, job, staging)
    song = os.path.splitext(job.name)[0]
    describe = _describe(job, staging)
    return Path(delivery.publish(staging, job.outbox, song, job.sha256, describe))


def _describe(job: Job, staging: Staging) -> Callable[[Any], dict[str, Any]]:
    def describe(stems: Any) -> dict[str, Any]:
        one = staging.stem_file.told()
        return sidecar.build(job, stems, stem_file=one, version="0", now=0.0)

    return describe


def told(folder: Path) -> dict[str, Any]:
    """The sidecar; its stem file is there, as it says."""
    found: dict[str, Any] = json.loads((folder / f"{folder.name}.stemwatch.json").read_text())
    if one := found["stem_file"]:
        data = (folder / one["file"]).read_bytes()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (one["sha256"], one["bytes"])
    return found


def test_it_is_made_once_tagged_and_named_after_the_folder(home: Home) -> None:
    """A restart finds it in the staging; a name that was taken is not the file's either."""
    (home.outbox / "song").mkdir()
    job = a_job(home)

    async def scenario(ctx: Context) -> None:
        await add_stem_file.add(ctx, job, staged(home))
        place = home.outbox / ".stemwatch" / "1-x" / f"all.{CODEC}.m4a"
        made = place.stat()
        again = Staging(os.fspath(home.outbox), "1-x", "wav")
        assert all(again.recover(stem) for stem in STEMS[4])
        folder = await delivered(ctx, job, again)
        assert folder.name == f"song [{job.sha256[:8]}]"
        shown = folder / f"{folder.name}.stem.m4a"
        assert told(folder)["stem_file"]["file"] == shown.name
        assert (shown.stat().st_ino, shown.stat().st_mtime_ns) == (made.st_ino, made.st_mtime_ns)
        assert len(list(folder.iterdir())) == 4 + 2
        tags = mutagen.mp4.MP4(shown).tags or {}
        found = tags["©nam"], tags["tmpo"], tags["----:com.apple.iTunes:KEY"]
        assert found == (["song"], [125], [b"Am"])

    run(home, scenario)


def test_what_can_not_be_made_is_left_out_and_told(
    home: Home, capfd: pytest.CaptureFixture[str]
) -> None:
    """The stems are paid for: they are delivered without it, and nothing half made stays."""

    async def scenario(ctx: Context) -> None:
        staging = staged(home)
        Path(staging.file_of("drums")).write_bytes(b"no sound at all")
        folder = await delivered(ctx, a_job(home), staging)
        assert told(folder)["stem_file"] is None
        assert len(list(folder.iterdir())) == 4 + 1

    run(home, scenario)
    assert re.search("job.stem_file.*without its stem file", capfd.readouterr().err)


@pytest.fixture
def limit() -> Iterator[Callable[[int], None]]:
    """Set the largest file that this process and its helpers may write, in bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda most: resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_for_small_files_costs_the_stem_file_only(
    home: Home, limit: Callable[[int], None]
) -> None:
    """A FAT's 4 GB never become more, and a stem is smaller."""

    async def scenario(ctx: Context) -> None:
        staging = staged(home, seconds=1.0)
        limit(400_000)
        await add_stem_file.add(ctx, a_job(home), staging)
        limit(resource.RLIM_INFINITY)
        assert staging.stem_file.told() is None
        assert len(os.listdir(staging.path)) == 4

    run(home, scenario)


def test_a_full_disk_holds_it_up(home: Home) -> None:
    """It concerns the stems as well; they stay staged."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", os.fspath(home.outbox)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small tmpfs needs root")

    async def scenario(ctx: Context) -> None:
        staging = staged(home)
        with pytest.raises(PauseService) as raised:
            await add_stem_file.add(ctx, a_job(home), staging)
        assert raised.value.code == "disk"
        again = Staging(os.fspath(home.outbox), "1-x", "wav")
        assert all(again.recover(stem) for stem in STEMS[4])

    try:
        run(home, scenario)
    finally:
        subprocess.run(["umount", os.fspath(home.outbox)], check=True)


def test_an_earlier_one_is_copied_while_nobody_wrote_into_it(home: Home) -> None:
    """With the tags of the new song; what a DJ program has changed is made anew, from the stems."""

    async def scenario(ctx: Context) -> None:
        earlier = await delivered(ctx, a_job(home), staged(home))
        shown = earlier / "song.stem.m4a"
        file = mutagen.mp4.MP4(shown)
        job = a_job(home, relpath="other.wav", path=f"{home.inbox}/other.wav", key="C")
        copied = Staging(os.fspath(home.outbox), "2-x", "wav")
        await add_stem_file.copy(ctx, job, copied, os.fspath(earlier))
        assert copied.stem_file.told() is not None
        tags = mutagen.mp4.MP4(f"{copied.path}/all.{CODEC}.m4a").tags or {}
        assert (tags["©nam"], tags["----:com.apple.iTunes:KEY"]) == (["other"], [b"C"])
        assert len(stem_json(Path(f"{copied.path}/all.{CODEC}.m4a"))["stems"]) == 4
        for options in (Options(4, "wav"), Options(4, "wav", stem_file="aac")):
            other = Staging(os.fspath(home.outbox), "3-x", "wav")
            await add_stem_file.copy(ctx, job.evolve(options=options), other, os.fspath(earlier))
            assert other.stem_file.told() is None
        file["----:com.native:cues"] = [mutagen.mp4.MP4FreeForm(b"1")]
        file.save()
        changed = Staging(os.fspath(home.outbox), "4-x", "wav")
        await add_stem_file.copy(ctx, job, changed, os.fspath(earlier))
        assert changed.stem_file.told() is None
        assert os.listdir(changed.path) == []

    run(home, scenario)


def test_it_goes_with_the_stems_to_another_mount_and_back(home: Home) -> None:
    """What could not be shown is staged as before, and shown the next time."""
    other = home.outbox / "other"
    other.mkdir()

    async def scenario(ctx: Context) -> None:
        staging, job = staged(home), a_job(home)
        await add_stem_file.add(ctx, job, staging)
        staging.arrange("song", _describe(job, staging))
        staging.move_beside(os.fspath(other))
        staging.take_back()
        folder = delivery.publish(
            staging, os.fspath(other), "song", job.sha256, _describe(job, staging)
        )
        assert told(Path(folder))["stem_file"]["file"] == "song.stem.m4a"

    run(home, scenario)
    assert sorted(path.name for path in home.outbox.iterdir()) == [".stemwatch", "other"]


@pytest.mark.parametrize("codec", ["alac", "aac"])
def test_its_space_is_reserved(tmp_path: Path, codec: str) -> None:
    """As much as five tracks of noise take, which no codec packs."""
    path = write(tmp_path / "noise.wav", tone(1, seed=5) * 20)  # mostly beyond full scale
    out = tmp_path / "out.m4a"
    make(dict.fromkeys(STEMS[4], os.fspath(path)), os.fspath(out), codec)
    plain, more = Options(4, "wav"), Options(4, "wav", stem_file=codec)
    assert out.stat().st_size < space.needed_bytes(1.0, more) - space.needed_bytes(1.0, plain)
