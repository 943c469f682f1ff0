"""Publishes a song's folder in the outbox whole: flushed, one rename, nothing replaced.

The order of the flushes: files, sidecar, the folder, one rename that replaces nothing, the parent
folder. After a kill before the rename, nothing is visible; after one behind it, `find_published`
finds the folder again.
"""

from __future__ import annotations

import errno
import os
from typing import Any

from stemwatch.codes import Code
from stemwatch.disks import durable
from stemwatch.disks.renaming import rename_noreplace
from stemwatch.errors import Reject, RetryLater, StemwatchError
from stemwatch.job import Job
from stemwatch.outbox import naming, sidecar
from stemwatch.outbox.measuring import measure
from stemwatch.outbox.naming import StemNames
from stemwatch.outbox.staging import Describe, Staging
from stemwatch.outbox.unread import Unreadable

_USUAL = StemNames()


def publish(
    staging: Staging,
    parent: str,
    song: str,
    sha256: str,
    describe: Describe,
    by: StemNames = _USUAL,
) -> str:
    """Publish the staged stems as a folder in `parent`; returns its path.

    `by` is how the stems' files are called.

    `describe(stems)` gives the sidecar for the stems with their final names; it is called again if
    a name was taken at the last moment. `parent` is made if it is missing. Raises
    PauseService(code="disk") or RetryLater, with everything still staged.
    """
    durable.require_root(staging.outbox)
    with durable.disk_faults(parent):
        _make_parent(staging.outbox, parent)
        song = naming.fit_song(song, limit=durable.name_max(parent))
        try:
            for name in naming.candidates(song, sha256):
                if not naming.taken(parent, name) and _show(staging, parent, name, describe, by):
                    staging.remove()
                    return os.path.join(parent, name)
        except (OSError, StemwatchError):
            staging.take_back()
            raise
    raise AssertionError("candidates never end")


def _show(staging: Staging, parent: str, name: str, describe: Describe, by: StemNames) -> bool:
    """Publish the folder as `name`; False if that name was taken meanwhile."""
    staging.arrange(name, describe, by)
    target = os.path.join(parent, name)
    try:
        shown = _rename(staging.folder, target)
    except OSError as fault:
        if fault.errno != errno.EXDEV:
            raise
        staging.move_beside(parent)  # `parent`, or the staging's folder, is a mount of its own
        shown = _rename(staging.folder, target)
    return shown


def _rename(folder: str, target: str) -> bool:
    parent, name = os.path.split(target)
    # Of two songs whose names differ in case only, just one may find its name free.
    with durable.locked(parent):
        if naming.taken(parent, name):
            return False
        try:
            rename_noreplace(folder, target)
        except FileExistsError:
            return False
    durable.fsync_path(parent)
    return True


def _make_parent(outbox: str, parent: str) -> None:
    try:
        durable.make_dirs(parent, root=outbox)
    except (FileExistsError, NotADirectoryError) as fault:
        raise RetryLater(
            f"{fault.filename}: a file is where a folder is needed.",
            code=Code.OUTBOX_BLOCKED,
            hint="Move that file away; nothing is overwritten.",
            counts=False,
        ) from fault


def find_published(parent: str, song: str, job: Job) -> str | None:
    """The folder that `job` published as `song` in `parent` before a crash, or None.

    The crash came between the rename and the journal's commit, so the staging is gone. The folder
    is this job's if content, path and remote id (where there is one) are the same, and it was made
    after the job was added to the journal. Call it before `publish` for a job that may have been
    published already. Raises PauseService(code="disk").
    """
    song = naming.fit_song(song, limit=durable.name_max(parent))
    suffixed = f"{song} [{job.sha256[:8]}"
    if not os.path.isdir(parent):
        return None
    with durable.disk_faults(parent), os.scandir(parent) as entries:  # there may be very many
        names = sorted(e.name for e in entries if e.name == song or e.name.startswith(suffixed))
    for name in names:
        folder = os.path.join(parent, name)
        try:
            path = sidecar.locate(folder)
            found = sidecar.read(path) if path else None
        except (Reject, Unreadable):
            continue  # a person's folder, or a damaged one: not taken for the job's
        if found and _is_of(found, job):
            with durable.disk_faults(parent):
                durable.fsync_path(parent)  # the kill may have come before this flush
            return folder
    return None


def _is_of(found: dict[str, Any], job: Job) -> bool:
    made, source = sidecar.unix(found.get("created_at")), found["source"]
    # The song may have got new tags since.
    sound = job.audio_sha256
    retagged = sound is not None and source.get("audio_sha256") == sound
    return (
        (source["sha256"] == job.sha256 or retagged)
        and source["relpath"] == naming.readable(job.relpath)
        and (job.remote_id is None or found["separation"].get("job_id") == job.remote_id)
        and made is not None
        and made >= job.created_at - 1  # the sidecar's times are whole seconds
    )


def verify_folder(folder: str) -> dict[str, Any]:
    """Check that every stem of a delivered folder sounds as its sidecar says; its tags may change.

    The stem file is left out: DJ programs write into it, and it can be made of the stems again.
    Returns the sidecar. Raises Reject(code="delivery_damaged" or "sidecar") with the file's name,
    Unreadable, PauseService for a disk that can't be read.
    """
    path = sidecar.locate(folder)
    if path is None:
        raise _damaged(folder, "has no sidecar")
    found = sidecar.read(path)
    for stem in sidecar.result_files(found):
        file = os.path.join(folder, stem.file)
        try:
            have = measure(file)
        except OSError as fault:
            if fault.errno in (errno.ENOENT, errno.ELOOP, errno.EINVAL, errno.ENXIO):
                raise _damaged(file, "is missing or no regular file") from fault
            with durable.disk_faults(folder):
                raise
        if not have.has(stem.sha256, stem.bytes, stem.audio_sha256):
            raise _damaged(file, "is not what its sidecar says")
    return found


def _damaged(path: str, what: str) -> Reject:
    return Reject(
        f"{path} {what}.",
        code=Code.DELIVERY_DAMAGED,
        hint="Restore the folder from a backup, or delete it and drop the song again.",
    )
