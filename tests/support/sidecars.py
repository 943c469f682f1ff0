"""Sidecars held against the published JSON Schema, and one that an earlier version wrote."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

OLD = Path(__file__).with_name("sidecar-1.json")  # of `songs.wav_bytes` 900; stems are 901 and 902


@cache
def schema() -> dict[str, Any]:
    """The one in the package."""
    text = files("stemwatch.outbox").joinpath("sidecar-2.schema.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def faults_of(sidecar: object) -> list[str]:
    """What the schema has against it."""
    found = Draft202012Validator(schema()).iter_errors(sidecar)
    return [f"{fault.json_path}: {fault.message}" for fault in found]


@cache
def check(text: str) -> None:
    """Fail unless a delivered sidecar is as the schema says; those of earlier schemas pass."""
    sidecar = json.loads(text)
    if sidecar.get("schema") == "stemwatch.sidecar/2":
        faults = faults_of(sidecar)
        assert not faults, faults
