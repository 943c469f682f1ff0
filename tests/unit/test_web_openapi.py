"""The API's document against what the code says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

from stemwatch.workers import progress
from tests.support.page import openapi


def enums(part: Any, name: str) -> Iterator[set[Any]]:
    """Of each property of that name, wherever it is."""
    if isinstance(part, list):
        part = dict(enumerate(part))
    if isinstance(part, dict):
        for key, below in part.items():
            if key == name and "enum" in below:
                yield set(below["enum"])
            yield from enums(below, name)


def test_each_stage_has_its_name_in_the_document_and_on_the_page() -> None:
    stages = {text for name, text in vars(progress).items() if name.isupper()}
    stages -= {progress.FILE_NAME}
    found = list(enums(openapi(), "stage"))
    assert found
    assert all(one == {*stages, None} for one in found)
    words = files("stemwatch.web").joinpath("static/words.js").read_text(encoding="utf-8")
    shown = re.search(r"STAGES = \{(.+)\}", words)
    assert shown is not None
    assert set(re.findall(r"(\w+): '", shown[1])) == stages
