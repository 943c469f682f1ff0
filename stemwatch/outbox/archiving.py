"""Files the original of a delivered song: moves it to the archive, deletes it, or keeps it."""

from __future__ import annotations

import os

from stemwatch.disks import durable
from stemwatch.job import Identity
from stemwatch.outbox import mirroring, moving
from stemwatch.outbox.mirroring import Spot
from stemwatch.outbox.moving import Filed, NotMoved


def file_original(
    path: str,
    identity: Identity,
    *,
    how: str,
    archive_root: str | None,
    relpath: str,
    sha256: str,
) -> Filed:
    """File the original as `how` (archive | delete | keep) says; may be called again after a kill.

    The outcome is `archived` with the new path, or `deleted`; `kept` if `how` says so or, with a
    message, if the file can't be moved; `changed` or `gone` if the path is no longer this job's
    file, and then nothing was touched. Raises PauseService(code="disk") or RetryLater for faults of
    the archive.

    The caller has to check that the inbox is mounted: without its mount the file seems `gone`.
    """
    if how == "keep":
        return Filed("kept", path)
    if how == "delete":
        return _delete(path, identity, sha256)
    if archive_root is None:
        raise ValueError("an archive needs a folder")
    durable.require_root(archive_root)
    with durable.disk_faults(archive_root):
        return mirroring.put(
            archive_root, relpath, lambda spot: _archive(path, identity, archive_root, spot, sha256)
        )


def finish_delete(path: str, identity: Identity, sha256: str) -> bool:
    """Finish a deletion of the file at `path` that was killed in the middle; False: there was none.

    A file that is at `path` by now is left alone. Raises as `file_original` does.
    """
    folder, hidden = os.path.dirname(path), moving.hidden_name(identity)
    with durable.disk_faults(path):
        found = moving.find_moved(folder, iter((hidden,)), identity, sha256)
        if found is not None:
            os.unlink(found)
            durable.fsync_path(folder)
    return found is not None


def _archive(path: str, identity: Identity, root: str, spot: Spot, sha256: str) -> Filed:
    earlier = moving.find_moved(spot.folder, spot.names(sha256), identity, sha256)
    try:
        identity = moving.look(path, identity, sha256)
        if moving.finish_copy(path, earlier, identity, sha256):
            return Filed("archived", earlier)
        durable.make_dirs(spot.folder, root=root)
        names = spot.names(sha256)
        return Filed("archived", moving.move(path, identity, spot.folder, names, sha256=sha256))
    except NotMoved as stays:
        if stays.filed.outcome in ("gone", "changed") and earlier is not None:
            return Filed("archived", earlier)
        return stays.filed


def _delete(path: str, identity: Identity, sha256: str) -> Filed:
    try:
        with durable.disk_faults(path):
            moving.remove(path, identity, sha256)
    except NotMoved as stays:
        return stays.filed
    return Filed("deleted")
