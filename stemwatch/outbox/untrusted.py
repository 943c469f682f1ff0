"""Validates a sidecar before stemwatch relies on it: anybody may have written it."""

from __future__ import annotations

import re
from typing import Any

from stemwatch.job import FORMATS
from stemwatch.outbox.naming import readable

SCHEMA = "stemwatch.sidecar/2"
_READ = ("stemwatch.sidecar/1", SCHEMA)  # the first lacks what its stems measure
_WORDS = ("job_id", "engine", "model", "model_sha256")  # of the separation, or null
_SHA256 = re.compile(r"[0-9a-f]{64}")


def fault_of(sidecar: object) -> str | None:
    """What is wrong with the sidecar, or None. Only the fields that stemwatch uses are checked."""
    if not isinstance(sidecar, dict):
        return "is no JSON object"
    if sidecar.get("schema") not in _READ:
        return f"has a schema other than {' and '.join(_READ)}"
    source, separation = sidecar.get("source"), sidecar.get("separation")
    if not isinstance(source, dict) or not isinstance(separation, dict):
        return "has no `source` or no `separation`"
    if not _is_hash(source.get("sha256")) or not isinstance(source.get("relpath"), str):
        return "has no valid `source.sha256` or `source.relpath`"
    if not _is_hash_or_null(source.get("audio_sha256")):
        return "has an `audio_sha256` that is no SHA-256"
    if separation.get("stems") not in (2, 4, 6) or separation.get("format") not in FORMATS:
        return "has no valid `separation.stems` or `separation.format`"
    if any(not isinstance(separation.get(k), str | None) for k in _WORDS):
        return "has a `separation` that can't be read"
    if not _is_upload(separation.get("uploaded")):
        return "has a `separation.uploaded` that can't be read"
    if not all(_is_number(value) for value in _numbers(sidecar)):
        return "has a tempo, duration, size or cost that is no number"
    if not isinstance(sidecar.get("key"), dict | None):
        return "has a `key` that is no object"
    stems = sidecar.get("stems")
    if not isinstance(stems, list) or not stems or not all(_is_stem(s) for s in stems):
        return "has no valid list of `stems`"
    if not _is_stem_file(sidecar.get("stem_file")):
        return "has a `stem_file` that can't be read"
    return None


def _numbers(sidecar: dict[str, Any]) -> list[object]:
    source = sidecar["source"]
    return [
        sidecar.get("bpm"),
        sidecar.get("duration_seconds"),
        sidecar["separation"].get("cost_minutes"),
        *(source.get(key) for key in ("bytes", "sample_rate", "channels")),
    ]


def _is_upload(value: object) -> bool:
    if value is None:
        return True
    return (
        isinstance(value, dict)
        and isinstance(value.get("codec"), str | None)
        and _is_number(value.get("bytes"))
    )


def _is_number(value: object) -> bool:
    """Whether it is None or a number of a sensible size: "1e999" and 400 digits are JSON too."""
    return value is None or (
        isinstance(value, int | float) and not isinstance(value, bool) and -1e15 < value < 1e15
    )


def _is_stem(stem: object) -> bool:
    if not isinstance(stem, dict) or not isinstance(stem.get("id"), str):
        return False
    derived = stem.get("derived_from")
    return (
        _is_file(stem)
        and _is_hash_or_null(stem.get("audio_sha256"))
        and (derived is None or _is_words(derived))
        and _is_number(stem.get("gain_db"))
    )


def _is_stem_file(value: object) -> bool:
    if value is None:
        return True
    return isinstance(value, dict) and isinstance(value.get("codec"), str) and _is_file(value)


def _is_file(told: dict[str, Any]) -> bool:
    name = told.get("file")
    return (
        isinstance(name, str)
        # A plain name only: a reuse would copy "../../etc/shadow" into the outbox.
        and name not in ("", ".", "..")
        and not any(c in name for c in "/\0")
        and readable(name) == name
        and _is_hash(told.get("sha256"))
        and type(told.get("bytes")) is int
        and _is_number(told["bytes"])
    )


def _is_words(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


def _is_hash(value: object) -> bool:
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


def _is_hash_or_null(value: object) -> bool:
    return value is None or _is_hash(value)
