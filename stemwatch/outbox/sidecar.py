"""The sidecar `<Song>.stemwatch.json`: what was separated, from what, into which files."""

from __future__ import annotations

import errno
import json
import math
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from stemwatch.audio.results import Measures
from stemwatch.codes import Code
from stemwatch.disks import durable
from stemwatch.errors import Reject, StemwatchError
from stemwatch.heard import Heard
from stemwatch.job import Job
from stemwatch.musical_keys import parse_key
from stemwatch.outbox.naming import SIDECAR_SUFFIX, readable
from stemwatch.outbox.unread import Unreadable, unreadable
from stemwatch.outbox.untrusted import SCHEMA, fault_of

LIMIT = 1 << 20  # bytes; a usual sidecar has one or two kilobytes
_UNKNOWN = Measures()
# What says that there is no sidecar, or none of ours. All else, such as no free descriptor, is over
# one day, and the stems beside it must not be paid for again meanwhile.
_NONE = frozenset(
    {
        errno.ENOENT,  # it was removed
        errno.ENOTDIR,  # its folder was, and a file has that name
        errno.EISDIR,  # a folder has its name
        errno.ELOOP,  # a link, which is not followed
        errno.ENXIO,  # a socket
        errno.EINVAL,  # a pipe or a device: `_bytes_of`
        errno.EFBIG,  # too long to be one: `_bytes_of`
    }
)
_OF_FSCK = "lost+found"  # a folder of root's at the top of most disks: nothing is delivered there


@dataclass(frozen=True, slots=True)
class ResultFile:
    """The file of one stem or mix. `derived_from` and `gain_db` are set for mixes only.

    The stem file, which holds all stems, is none of these: see `staged_stem_file`.
    """

    id: str
    file: str  # name inside the song's folder
    sha256: str
    bytes: int
    derived_from: tuple[str, ...] | None = None
    gain_db: float | None = None
    audio_sha256: str | None = None  # of its sound alone; None: not told apart from tags
    measures: Measures = _UNKNOWN  # of a staged file; not read back from a sidecar


def rfc3339(seconds: float | None) -> str | None:
    """Unix seconds as "2026-01-01T00:00:00Z", whole seconds, UTC."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(math.floor(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def unix(text: object) -> float | None:
    """Unix seconds of an ISO 8601 time; None if `text` is no such time."""
    if not isinstance(text, str):
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return None


def build(
    job: Job,
    stems: Sequence[ResultFile],
    *,
    own: Mapping[str, Any] | None = None,
    version: str,
    now: float,
    reused_from: str | None = None,
    cost_minutes: float | None = None,
    stem_file: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The sidecar's content, with every key; unknown values are null.

    `own` is what the song's tags say (`bpm`, and `key` as `parse_own_key` gives it), `now` is in
    Unix seconds. `reused_from` is the earlier folder, relative to the outbox; `cost_minutes` are
    the minutes paid for this delivery; `stem_file` is as `staged_stem_file` describes it.
    """
    return {
        "schema": SCHEMA,
        "bpm": _finite(job.bpm),
        "key": parse_key(None if job.key is None else readable(job.key)),
        "own": {"bpm": None, "key": None} if own is None else dict(own),
        **(job.heard or Heard())._asdict(),
        "duration_seconds": _finite(job.duration),
        "source": {
            "name": readable(job.name),
            "relpath": readable(job.relpath),
            "sha256": job.sha256,
            "audio_sha256": job.audio_sha256,
            "bytes": job.identity.size,
            "codec": job.codec,
            "sample_rate": job.sample_rate,
            "channels": job.channels,
        },
        "separation": {
            "engine": job.engine or "stemsplit",
            "model": job.model,
            "model_sha256": job.model_sha256,
            "job_id": job.remote_id,
            "stems": job.options.stems,
            "format": job.options.format,
            "uploaded": _uploaded(job),
            "submitted_at": rfc3339(job.submitted_at),
            "completed_at": rfc3339(job.completed_at),
            "cost_minutes": _finite(cost_minutes),
            "credits_charged": _finite(job.credits),
        },
        "stems": [_stem(stem) for stem in stems],
        "stem_file": stem_file,
        "reused_from": None if reused_from is None else readable(reused_from),
        "created_at": rfc3339(now),
        "stemwatch": version,
    }


def _uploaded(job: Job) -> dict[str, Any] | None:
    """What was sent; None for a song that was submitted before this was noted."""
    if job.uploaded_codec is None:
        return None
    return {"codec": job.uploaded_codec, "bytes": job.uploaded_bytes}


def _stem(stem: ResultFile) -> dict[str, Any]:
    return {
        "id": readable(stem.id),
        "file": stem.file,
        "sha256": stem.sha256,
        "audio_sha256": stem.audio_sha256,
        "bytes": stem.bytes,
        "derived_from": None if stem.derived_from is None else list(stem.derived_from),
        "gain_db": _finite(stem.gain_db),
        "loudness_lufs": _finite(stem.measures.loudness_lufs),
        "true_peak_dbtp": _finite(stem.measures.true_peak_dbtp),
        "active_share": _finite(stem.measures.active_share),
    }


def result_files(sidecar: dict[str, Any]) -> list[ResultFile]:
    """The `stems` of a sidecar that `read` returned."""
    return [
        ResultFile(
            id=stem["id"],
            file=stem["file"],
            sha256=stem["sha256"],
            bytes=stem["bytes"],
            derived_from=None if stem.get("derived_from") is None else tuple(stem["derived_from"]),
            gain_db=stem.get("gain_db"),
            audio_sha256=stem.get("audio_sha256"),
        )
        for stem in sidecar["stems"]
    ]


def write(path: str, sidecar: dict[str, Any]) -> None:
    """Write a sidecar durably. It may replace one, since its folder is not published yet."""
    text = json.dumps(sidecar, ensure_ascii=False, indent=2, allow_nan=False)
    durable.write_file(path, readable(text).encode() + b"\n", replace=True)


def read(path: str) -> dict[str, Any]:
    """Read and check a sidecar, which a user or another program may have written.

    Raises Reject(code="sidecar") with the reason if it is not valid or not there, Unreadable if it
    can't be read now, PauseService(code="disk") if the disk is unreachable.
    """
    try:
        sidecar = json.loads(_bytes_of(path), parse_constant=_no_constant)
        json.dumps(sidecar, ensure_ascii=False).encode()  # "\\ud800" is JSON, but no text
    except (ValueError, RecursionError) as fault:  # UnicodeDecodeError is a ValueError
        raise _invalid(path, "is no JSON document") from fault
    except OSError as fault:
        if fault.errno in _NONE:
            raise _invalid(path, f"can't be read: {fault.strerror}") from fault
        if fault.errno in durable.UNREACHABLE:  # the disk is at fault, not this file
            with durable.disk_faults(path):
                raise
        raise Unreadable(path, fault) from fault
    wrong = fault_of(sidecar)
    if wrong:
        raise _invalid(path, wrong)
    checked: dict[str, Any] = sidecar
    return checked


def locate(folder: str) -> str | None:
    """Path of the sidecar in `folder`, whatever it is called; None: there is none, or no folder.

    A folder that a person renamed is not there by its old path: only `find` finds it. Raises
    Unreadable if the folder can't be listed, PauseService(code="disk") if its disk is away.
    """
    own = os.path.join(folder, os.path.basename(folder) + SIDECAR_SUFFIX)
    if os.path.lexists(own):
        return own
    try:
        with unreadable(folder):
            names = sorted(n for n in os.listdir(folder) if _is_sidecar(n))
    except (FileNotFoundError, NotADirectoryError):
        return None
    return os.path.join(folder, names[0]) if names else None


def find(
    outbox: str, *, on_fault: Callable[[StemwatchError], None] | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every delivered folder below `outbox` with its sidecar, to rebuild a lost journal.

    Skips hidden folders and symbolic links. `on_fault` is called with the fault of each sidecar
    that is not valid, or may not be read. Raises PauseService for a folder that can't be listed,
    and Unreadable for a sidecar that can be read later: its song would be paid for again.
    """
    waiting = [outbox]
    while waiting:
        folder = waiting.pop()
        folders, sidecars = _entries(folder)
        waiting += folders
        for path in sorted(sidecars):
            try:
                yield folder, read(path)
            except (Reject, Unreadable) as fault:
                if isinstance(fault, Unreadable) and not fault.refused:
                    raise  # a fault of the moment
                if on_fault is not None:
                    on_fault(fault)


def _entries(folder: str) -> tuple[list[str], list[str]]:
    """Visible subfolders and sidecars in `folder`."""
    folders: list[str] = []
    sidecars: list[str] = []
    with durable.disk_faults(folder), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.name == _OF_FSCK:
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            elif _is_sidecar(entry.name):
                sidecars.append(entry.path)
    return folders, sidecars


def _is_sidecar(name: str) -> bool:
    return name.endswith(SIDECAR_SUFFIX) and not name.startswith(".")


def _bytes_of(path: str) -> bytes:
    # O_NONBLOCK and the fstat: a FIFO of this name must not block, and a device is not read.
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        data = file.read(LIMIT + 1)
    if len(data) > LIMIT:
        raise OSError(errno.EFBIG, f"longer than {LIMIT} bytes")
    return data


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _no_constant(word: str) -> float:
    raise ValueError(f"{word} is no JSON")


def _invalid(path: str, what: str) -> Reject:
    return Reject(
        f"{path} {what}.",
        code=Code.SIDECAR,
        hint="Move that folder out of the outbox; the song can then be dropped again.",
    )
