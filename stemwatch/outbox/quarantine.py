"""The quarantine: moves a file there with `<name>.reason.json` beside it, and back for `retry`."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

from stemwatch.codes import Code
from stemwatch.disks import durable
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
    """Move the file below `root`, its reason first; may be called again after a kill.

    `reason` has the keys of `<name>.reason.json` (missing ones become null; times in Unix
    seconds). `sha256` is None for what could not be hashed. Outcomes: `quarantined` with the new
    path; `kept` with a message if it can't leave its folder; `changed` or `gone`: nothing touched.
    Raises PauseService(code="disk") or RetryLater for the quarantine's faults.
    """
    durable.require_root(root)
    token = sha256 or _token(path, identity)

    def attempt(spot: Spot) -> Filed:
        # Where the name has to be another one, the reason keeps the real one.
        content = reason_bytes({**reason, "name": relpath} if spot.safe else reason)
        durable.make_dirs(spot.folder, root=root)
        # The lock keeps two files of one name from writing each other's reason.
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
            return False  # a person's own file of that name
        claimed.append(note)
        durable.write_file(note, content, replace=True)  # an orphan's: its file is not there
        return True

    earlier = moving.find_moved(spot.folder, spot.names(token), identity, sha256)
    try:
        moving.look(path, identity, sha256)
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
    """Moved by an earlier call, whose disk failed right after it: that one took its note back."""
    folder, name = os.path.split(path)
    note = os.path.join(folder, reason_file(name))
    if not os.path.lexists(note):
        durable.write_file(note, content)
    return Filed("quarantined", path)


def restore(path: str, inbox_root: str, relpath: str, sha256: str | None) -> str:
    """Put a quarantined file back into the inbox, for a retry; returns its path there.

    Its reason file goes. May be called again after a kill. Raises Reject(code=
    "not_in_quarantine") if the file is in neither place, PauseService(code="disk") for faults.
    """
    durable.require_root(inbox_root)
    folder, name = mirrored(inbox_root, relpath)[:2]
    if os.path.abspath(path) == os.path.join(os.path.abspath(folder), name):
        return path  # it never left: taken for its own copy, it would be removed
    with durable.disk_faults(folder):
        durable.make_dirs(folder, root=inbox_root)
        restored = _restore(path, folder, name, sha256)
        quarantined, final = os.path.split(path)
        note = os.path.join(quarantined, reason_file(final))
        if _is_reason(note):
            os.unlink(note)
            durable.fsync_path(quarantined)
    return restored


def find(path: str, inbox_root: str, relpath: str, sha256: str | None) -> str | None:
    """Where a quarantined file is: there, or back in the inbox already; None: in neither place.

    Raises PauseService(code="disk") where that can't be told.
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
    """`<name>.reason.json`; a name too long for that is cut, with a short hash of the whole."""
    raw = os.fsencode(name)
    if len(raw) + len(REASON_SUFFIX) <= naming.LIMIT:
        return name + REASON_SUFFIX
    tail = f"-{hashlib.sha256(raw).hexdigest()[:8]}{REASON_SUFFIX}"
    return os.fsdecode(naming.cut_bytes(raw, naming.LIMIT - len(tail))) + tail


def reason_bytes(reason: Mapping[str, Any]) -> bytes:
    """A reason file's content: missing keys become null, Unix seconds RFC 3339.

    With `name`, the file's path below the inbox, where it has another one here.
    """
    named = ("name",) if "name" in reason else ()
    content = {key: reason.get(key) for key in (*named, *_REASON)}
    for key in ("first_seen", "quarantined_at"):
        if isinstance(content[key], int | float):
            content[key] = rfc3339(content[key])
    text = json.dumps(content, ensure_ascii=False, indent=2)
    return naming.readable(text).encode() + b"\n"


def _is_reason(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            found = json.loads(file.read(1 << 20))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.keys() >= set(_REASON)


def _withdraw(claimed: list[str]) -> None:
    while claimed:
        with contextlib.suppress(OSError):  # what made it fail may make this fail as well
            os.unlink(claimed.pop())


def _token(path: str, identity: Identity) -> str:
    """Stands in for the content's hash where that is not known: the same at every call."""
    return hashlib.sha256(os.fsencode(path) + repr(tuple(identity)).encode()).hexdigest()
