"""A configuration as a test writes it, and the faults that are found in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemwatch.config import load
from stemwatch.errors import ConfigFault


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "stemwatch.yaml"
    path.write_text(text, "utf-8")
    return str(path)


def faults_of(tmp_path: Path, text: str, env: dict[str, str]) -> tuple[str, ...]:
    """The sentences, without the path of the file."""
    path = write(tmp_path, text)
    with pytest.raises(ConfigFault) as caught:
        load(path, env=env)
    assert all(fault.startswith(path) for fault in caught.value.faults)
    return tuple(fault.removeprefix(f"{path}:").strip() for fault in caught.value.faults)
