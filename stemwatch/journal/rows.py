"""A Job as a row of the journal, and back."""

from __future__ import annotations

import functools
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any

from stemwatch.heard import Heard
from stemwatch.job import Identity, Job, JobState, Options, Unfiled

COLUMNS = tuple(f.name for f in fields(Job))
ALL = ", ".join(COLUMNS)
_PATHS = frozenset({"path", "relpath", "outbox", "delivered_to", "filed_to"})
# Texts that may hold a file's name, or whatever a server or a tag said.
_TEXTS = (
    *("codec", "uploaded_codec", "remote_id", "engine", "model", "model_sha256", "key"),
    *("code", "message", "hint", "request_id"),
)


def encode(values: Mapping[str, Any]) -> dict[str, Any]:
    """Column values for some of a Job's fields, in the same order.

    Paths become bytes: a name that is not UTF-8 makes sqlite3 raise on the `str`.
    """
    encoded = dict(values)
    for name, in_column in _IN_COLUMN.items():
        if encoded.get(name) is not None:
            encoded[name] = in_column(encoded[name])
    return encoded


def encode_path(path: str) -> bytes:
    return os.fsencode(path)


def encode_paths(paths: Iterable[str]) -> list[bytes]:
    return [encode_path(path) for path in paths]


def text(words: str) -> str:
    """`words` as SQLite takes them: lone surrogates, as in a name that is not UTF-8, are escaped.

    It never raises: it is used where a fault is recorded, and a second fault would end the pool.
    """
    return words.encode("utf-8", "backslashreplace").decode("utf-8")


def _encode_identity(identity: Identity) -> str:
    return ":".join(map(str, identity))


def _encode_unfiled(unfiled: Unfiled) -> str:
    return json.dumps(unfiled)


def _encode_heard(heard: Heard) -> str:
    return json.dumps(heard._asdict())


def _encode_options(options: Options) -> str:
    mixes = {mix: list(parts) for mix, parts in options.mixes.items()}
    told = {"stems": options.stems, "format": options.format, "mixes": mixes}
    return json.dumps(told | {"stem_file": options.stem_file})


_IN_COLUMN: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(_PATHS, encode_path),
    **dict.fromkeys(_TEXTS, text),
    "identity": _encode_identity,
    "unfiled": _encode_unfiled,
    "heard": _encode_heard,
    "options": _encode_options,
    "song_tags": json.dumps,
    "state": str,
}


def decode(row: sqlite3.Row) -> Job:
    """The Job of a row that holds all COLUMNS."""
    values = {name: row[name] for name in COLUMNS}
    for name in _PATHS:
        if values[name] is not None:
            values[name] = decode_path(values[name])
    values["state"] = JobState(values["state"])
    values["identity"] = decode_identity(values["identity"])
    values["options"] = decode_options(values["options"])
    if values["song_tags"] is not None:
        values["song_tags"] = json.loads(values["song_tags"])
    if values["heard"] is not None:
        values["heard"] = Heard.of(json.loads(values["heard"]))
    values["anew"] = bool(values["anew"])
    if values["unfiled"] is not None:
        values["unfiled"] = Unfiled(*json.loads(values["unfiled"]))
    return Job(**values)


def decode_path(stored: bytes) -> str:
    return os.fsdecode(stored)


def decode_identity(stored: str) -> Identity:
    return Identity(*map(int, stored.split(":")))


@functools.lru_cache(maxsize=64)
def decode_options(text: str) -> Options:
    data = json.loads(text)
    mixes = {mix: tuple(parts) for mix, parts in data["mixes"].items()}
    told = {"stem_file": data.get("stem_file")}  # unknown to an older stemwatch
    return Options(stems=data["stems"], format=data["format"], mixes=mixes, **told)
