"""The quarantine: moves a file there with `<name>.reason.json` beside it, and back for `retry`."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from stemwatch.codes import Code
from stemwatch.disks import durable, opening
from stemwatch.errors import PauseService, Reject
from stemwatch.job import Identity
from stemwatch.outbox import mirroring, moving, naming
from stemwatch.outbox.mirroring import Spot, mirrored
from stemwatch.outbox.moving import Filed, NotMoved
from stemwatch.outbox.sidecar import rfc3339

REASON_SUFFIX = ".reason.json"
_REASON = (
    "code",
    "message",
    "hint",
    "http_status",
    "attempts",
    "job_id",
    "request_id",
    "first_seen",
    "quarantined_at",
)


def quarantine(
    path: str,
    identity: Identity,
    *,
    root: str,
    relpath: str,
    sha256: str | None,
    reason: Mapping[str, Any],
) -> Filed:
    """Write the reason file below `root`, then move the file there. Safe to repeat after a kill.

    `reason` has the keys of `<name>.reason.json`, with times in Unix seconds; missing keys become
    null. `sha256` is None for a file that could not be hashed. The outcome is `quarantined` with
    the new path; `kept` with a message if the file can't leave its folder; `changed` or `gone`, and
    then nothing was touched. Raises PauseService(code="disk") or RetryLater for faults of the
    quarantine.
    """
    durable.require_root(root)
    token = sha256 or _token(path, identity)

    def attempt(spot: Spot) -> Filed:
        # If the name had to be made safe, the reason file holds the original one.
        content = reason_bytes({**reason, "name": relpath} if spot.safe else reason)
        durable.make_dirs(spot.folder, root=root)
        # Without the lock, two files of the same name could overwrite each other's reason.
        with durable.locked(spot.folder):
            return _quarantine(path, identity, spot, sha256, token, content)

    with durable.disk_faults(root):
        return mirroring.put(root, relpath, attempt)


def _quarantine(
    path: str, identity: Identity, spot: Spot, sha256: str | None, token: str, content: bytes
) -> Filed:
    claimed: list[str] = []

    def claim(candidate: str) -> bool:
        _withdraw(claimed)
        note = os.path.join(spot.folder, reason_file(candidate))
        if os.path.lexists(note) and not _is_reason(note):
            return False  # a person's own file has that name
        claimed.append(note)
        durable.write_file(note, content, replace=True)  # an old reason without its file
        return True

    earlier = moving.find_moved(spot.folder, spot.names(token), identity, sha256)
    try:
        identity = moving.look(path, identity, sha256)
        if earlier is not None and moving.finish_copy(path, earlier, identity, sha256):
            return _found(earlier, content)
        names = spot.names(token)
        target = moving.move(path, identity, spot.folder, names, sha256=sha256, claim=claim)
        return Filed("quarantined", target)
    except NotMoved as stays:
        _withdraw(claimed)
        if stays.filed.outcome in ("gone", "changed") and earlier is not None:
            return _found(earlier, content)
        return stays.filed
    except OSError:
        _withdraw(claimed)
        raise


def _found(path: str, content: bytes) -> Filed:
    """An earlier call moved the file, and withdrew its reason when the disk failed: rewrite it."""
    folder, name = os.path.split(path)
    note = os.path.join(folder, reason_file(name))
    if not os.path.lexists(note):
        durable.write_file(note, content)
    return Filed("quarantined", path)


def restore(path: str, inbox_root: str, relpath: str, sha256: str | None) -> str:
    """Put a quarantined file back into the inbox, for a retry; returns its path there.

    Removes its reason file. May be called again after a kill. Raises
    Reject(code="not_in_quarantine") if the file is in neither place; PauseService(code="disk") or
    RetryLater for faults of the disks.
    """
    durable.require_root(inbox_root)
    folder, name = mirrored(inbox_root, relpath)[:2]
    if os.path.abspath(path) == os.path.join(os.path.abspath(folder), name):
        return path  # it never left the inbox: as its own copy it would be removed
    with durable.disk_faults(folder):
        durable.make_dirs(folder, root=inbox_root)
        restored = _restore(path, folder, name, sha256)
        remove_reason(path)
    return restored


def remove_reason(path: str) -> None:
    """Remove that of a file that was at `path`. Raises what `durable.disk_faults` does."""
    folder, name = os.path.split(path)
    note = os.path.join(folder, reason_file(name))
    with durable.disk_faults(folder):
        if _is_reason(note):
            os.unlink(note)
            durable.fsync_path(folder)


def stale_reasons(root: str) -> Iterator[str]:
    """Yield the path of each file that is gone while its reason file, surely one of ours, is left.

    Raises PauseService or RetryLater for a folder that can't be read.
    """
    with durable.disk_faults(root):
        for folder, _, names in os.walk(root, onerror=_raise):
            files = {reason_file(name) for name in names}
            for note in names:
                if note.endswith(REASON_SUFFIX) and note not in files:
                    path = os.path.join(folder, note.removesuffix(REASON_SUFFIX))
                    # A name that was cut does not tell which file it was for.
                    if reason_file(os.path.basename(path)) == note and _is_own(path):
                        yield path


def remove_stale_reason(path: str) -> None:
    """Remove the reason file of `path`, unless a file is there by now.

    A reason file is written just before its file comes, under the lock that is taken here.
    """
    folder, name = os.path.split(path)
    note = os.path.join(folder, reason_file(name))
    with (
        durable.disk_faults(folder),
        contextlib.suppress(FileNotFoundError),
        durable.locked(folder),
    ):
        if not os.path.lexists(path) and _is_reason(note):
            os.unlink(note)


def find(path: str, inbox_root: str, relpath: str, sha256: str | None) -> str | None:
    """The path of a quarantined file, in quarantine or already back in the inbox; None: in neither.

    Raises PauseService(code="disk") where a disk can't tell.
    """
    durable.require_root(inbox_root)
    folder, name = mirrored(inbox_root, relpath)[:2]
    with durable.disk_faults(os.path.dirname(path)):
        try:
            os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return _already_back(folder, name, sha256)
    return path


def _restore(path: str, folder: str, name: str, sha256: str | None) -> str:
    try:
        identity = Identity.of(os.lstat(path))
    except (FileNotFoundError, NotADirectoryError) as fault:
        found = _already_back(folder, name, sha256)
        if found is None:
            raise Reject(
                f"{path} is no longer in the quarantine.",
                code=Code.NOT_IN_QUARANTINE,
                hint=f"Put the file into {folder} yourself.",
            ) from fault
        return found
    token = sha256 or _token(path, identity)
    try:
        names = naming.file_candidates(name, token)
        earlier = moving.find_moved(folder, names, identity, sha256)
        if moving.finish_copy(path, earlier, identity, sha256):
            assert earlier is not None
            return earlier
        names = naming.file_candidates(name, token)
        return moving.move(path, identity, folder, names, sha256=sha256)
    except NotMoved as stays:
        raise PauseService(
            str(stays), code=Code.DISK, hint=f"Move the file into {folder} yourself."
        ) from stays


def _already_back(folder: str, name: str, sha256: str | None) -> str | None:
    if sha256 is None:
        return None
    for candidate, _ in zip(naming.file_candidates(name, sha256), range(9), strict=False):
        path = os.path.join(folder, candidate)
        with contextlib.suppress(OSError):
            if durable.sha256_of(path)[0] == sha256:
                return path
    return None


def reason_file(name: str) -> str:
    """`<name>.reason.json`; a name that is too long for it is cut and given a short hash."""
    raw = os.fsencode(name)
    if len(raw) + len(REASON_SUFFIX) <= naming.LIMIT:
        return name + REASON_SUFFIX
    tail = f"-{hashlib.sha256(raw).hexdigest()[:8]}{REASON_SUFFIX}"
    return os.fsdecode(naming.cut_bytes(raw, naming.LIMIT - len(tail))) + tail


def reason_bytes(reason: Mapping[str, Any]) -> bytes:
    """A reason file's content: missing keys become null, times RFC 3339.

    `reason` may have `name`, the file's path below the inbox, where it has another name here.
    """
    named = ("name",) if "name" in reason else ()
    content = {key: reason.get(key) for key in (*named, *_REASON)}
    for key in ("first_seen", "quarantined_at"):
        if isinstance(content[key], int | float):
            content[key] = rfc3339(content[key])
    text = json.dumps(content, ensure_ascii=False, indent=2)
    return naming.readable(text).encode() + b"\n"


def _is_reason(path: str) -> bool:
    return _read(path).keys() >= set(_REASON)


def _is_own(path: str) -> bool:
    """Whether the reason file of `path` has exactly what we write, so that nobody edited it."""
    return _read(path + REASON_SUFFIX).keys() - {"name"} == set(_REASON)


def _read(note: str) -> dict[str, Any]:
    """What a reason file says; empty where it is none. A FIFO of that name must not hang us."""
    try:
        with open(opening.open_regular(note), "rb") as file:
            found = json.loads(file.read(1 << 20))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _raise(fault: OSError) -> None:
    raise fault


def _withdraw(claimed: list[str]) -> None:
    while claimed:
        with contextlib.suppress(OSError):  # the disk's fault may prevent this as well
            os.unlink(claimed.pop())


def _token(path: str, identity: Identity) -> str:
    """A stand-in for the content's unknown hash, which is the same at every call."""
    return hashlib.sha256(os.fsencode(path) + repr(tuple(identity)).encode()).hexdigest()
