"""What other libraries read of our stems is what docs/other-programs.md says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.readers import page
from tests.readers.libraries import LIBRARIES
from tests.readers.table import asked


@pytest.mark.parametrize("name", ["mutagen", "PyAV", "TagLib"])
def test_the_table_is_true(tmp_path: Path, name: str) -> None:
    """Those that the tests have anyway; `python -m tests.readers.table` asks all."""
    (reader,) = (one for one in LIBRARIES if one.name == name)
    found = asked(reader, tmp_path)
    assert {kind for kind, _ in found} == set(page.HEADINGS)
    assert [*page.differences(page.committed(page.PAGE.read_text("utf-8")), found)] == []


def test_the_page_is_written_as_it_is_read() -> None:
    text = page.PAGE.read_text("utf-8")
    assert page.with_table(text, page.committed(text)) == text
