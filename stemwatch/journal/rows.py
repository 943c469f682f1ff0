"""A Job as a row of the journal, and back."""

from __future__ import annotations

import functools
import json
import os
import sqlite3
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from stemwatch.job import Identity, Job, JobState, Options

COLUMNS = tuple(f.name for f in fields(Job))
_PATHS = frozenset({"path", "relpath", "outbox", "delivered_to", "filed_to"})


def encode(values: Mapping[str, Any]) -> dict[str, Any]:
    """Column values for some of a Job's fields.

    Paths become bytes: a name that is not UTF-8 makes sqlite3 raise on the `str`.
    """
    return {name: _encode_one(name, value) for name, value in values.items()}


def _encode_one(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in _PATHS:
        return os.fsencode(value)
    if name == "identity":
        return ":".join(map(str, value))
    if name == "options":
        mixes = {mix: list(parts) for mix, parts in value.mixes.items()}
        return json.dumps({"stems": value.stems, "format": value.format, "mixes": mixes})
    if name == "state":
        return str(value)
    return value


def decode(row: sqlite3.Row) -> Job:
    """The Job of a row that holds all COLUMNS."""
    values = {name: row[name] for name in COLUMNS}
    for name in _PATHS:
        if values[name] is not None:
            values[name] = decode_path(values[name])
    values["state"] = JobState(values["state"])
    values["identity"] = decode_identity(values["identity"])
    values["options"] = _options(values["options"])
    return Job(**values)


def decode_path(stored: bytes) -> str:
    return os.fsdecode(stored)


def decode_identity(stored: str) -> Identity:
    return Identity(*map(int, stored.split(":")))


@functools.lru_cache(maxsize=64)
def _options(text: str) -> Options:
    data = json.loads(text)
    mixes = {mix: tuple(parts) for mix, parts in data["mixes"].items()}
    return Options(stems=data["stems"], format=data["format"], mixes=mixes)
