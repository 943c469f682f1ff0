"""The local server's jobs on a real disk, and what cleans them up."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from stemwatch.errors import AlreadyRunning
from stemwatch.server.work.cleanup import Cleanup, expired
from stemwatch.server.work.record import Record, input_name
from stemwatch.server.work.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(str(tmp_path / "data"))
    yield store
    store.close()


def committed(store: Store, **changes: object) -> Record:
    job_id, folder = store.begin()
    Path(folder, "input.wav").write_bytes(b"audio")
    values = {
        "name": "a\udc80.wav",
        "input": "input.wav",
        "stems": 2,
        "format": "wav",
        "engine": "copy",
        "created_at": 1.0,
        **changes,
    }
    record = Record(id=job_id, **values)  # type: ignore[arg-type]
    store.commit(record)
    return record


def completed(store: Store, finished_at: float) -> Record:
    record = committed(store)
    work = store.work_folder(record)
    Path(work, "vocals.wav").write_bytes(b"stem")
    done = record.evolve(state="completed", finished_at=finished_at, files={"vocals": "vocals.wav"})
    store.complete(done, work)
    return done


def test_jobs_are_there_after_a_restart(store: Store) -> None:
    """Whatever was committed or saved is read back the same, with its idempotency key."""
    waiting = committed(store, idempotency_key="k")
    done = completed(store, 5.0)
    store.close()
    store.__init__(store.root)  # type: ignore[misc]
    assert {one.id: one for one in store.all()} == {waiting.id: waiting, done.id: done}
    assert store.by_key("k") == waiting
    assert (store.by_key(None), store.by_key("other"), store.get("job_x")) == (None, None, None)


def test_what_was_not_committed_is_not_there(store: Store) -> None:
    """A discarded upload, one that a kill left, and a folder of somebody else are no jobs."""
    job_id, folder = store.begin()
    store.discard(job_id)
    assert not os.path.exists(folder)
    _, left = store.begin()
    for name in ("job_" + "0" * 24, "lost+found"):
        Path(store.root, "jobs", name).mkdir()
    store.close()
    store.__init__(store.root)  # type: ignore[misc]
    assert (store.all(), os.path.exists(left)) == ([], False)


def test_another_attempt_starts_clean(store: Store) -> None:
    """What earlier attempts wrote is gone; a completed job has its stems and no input."""
    record = committed(store)
    first = store.work_folder(record)
    Path(first, "half.wav").write_bytes(b"half")
    second = store.work_folder(record)
    assert (os.path.exists(first), os.listdir(second)) == (False, [])
    done = completed(store, 5.0)
    assert sorted(os.listdir(store.folder(done.id))) == ["job.json", "stems"]


def test_only_what_the_record_lists_is_published(store: Store) -> None:
    """Other stems, and whatever an engine left beside them, are gone."""
    record = committed(store)
    work = store.work_folder(record)
    for name in ("vocals.wav", "drums.wav"):
        Path(work, name).write_bytes(b"stem")
    Path(work, "scratch").mkdir()
    store.complete(record.evolve(state="completed", files={"vocals": "vocals.wav"}), work)
    assert os.listdir(os.path.join(store.folder(record.id), "stems")) == ["vocals.wav"]


def test_an_expired_job_is_told_of_without_its_stems(store: Store) -> None:
    """After its time, and for as long again; its key is free at once."""
    done = completed(store, 100.0)
    store.save(done.evolve(idempotency_key="k", untold=("a", "b")))
    store.expire([done])
    store.told(done.id, "a")
    store.told("job_unknown", "a")
    store.close()
    store.__init__(store.root)  # type: ignore[misc]
    (left,) = store.all()
    assert (left.state, left.files, left.untold, store.by_key("k")) == ("expired", {}, ("b",), None)
    assert os.listdir(store.folder(done.id)) == ["job.json"]


def test_only_listed_stems_have_a_path(store: Store) -> None:
    """No name that a client can think of leads anywhere else."""
    done = completed(store, 5.0)
    expected = os.path.join(store.folder(done.id), "stems", "vocals.wav")
    assert store.stem_path(done, "vocals.wav") == expected
    for name in ("", ".", "..", "../job.json", "drums.wav", "/etc/passwd", "vocals.wav\0"):
        assert store.stem_path(done, name) is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Song.MP3", "input.mp3"),
        ("song", "input"),
        ("a.b/c", "input"),
        ("x.ü", "input"),
        ("x." + "a" * 9, "input"),
        (".wav", "input.wav"),
    ],
)
def test_an_input_keeps_only_a_plain_extension(name: str, expected: str) -> None:
    """Nothing of a client's file name reaches the disk but a short extension."""
    assert input_name(name) == expected


def test_one_server_for_a_folder(store: Store) -> None:
    """A second one is refused, by the folder's name."""
    with pytest.raises(AlreadyRunning, match="data"):
        Store(store.root)


def test_results_expire_after_they_ended(store: Store) -> None:
    """What still waits never expires, however old."""
    committed(store)
    old, new = completed(store, 100.0), completed(store, 200.0)
    assert expired(store.all(), now=250.0, keep=100.0) == [old]
    store.remove([old])
    assert store.get(old.id) is None
    assert not os.path.exists(store.folder(old.id))
    assert store.get(new.id) == new


def test_a_short_disk_gives_up_the_oldest(store: Store) -> None:
    """Old results go when room is needed, work that waits and new results never."""
    waiting, old = committed(store), completed(store, 100.0)
    new = completed(store, 1e12)
    lines: list[str] = []
    plenty = Cleanup(store, keep=1e9, min_free=0, report=lines.append)
    assert asyncio.run(plenty.has_room(0))
    assert len(store.all()) == 3
    free = shutil.disk_usage(store.root).free
    short = Cleanup(store, keep=1e9, min_free=free * 2, report=lines.append)
    assert not asyncio.run(short.has_room(0))
    assert {one.id for one in store.all()} == {waiting.id, new.id}
    assert not os.path.exists(store.folder(old.id))
