"""What is said of a data directory that can't be used."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from stemwatch.errors import ConfigFault
from stemwatch.server.data_directory import usable
from stemwatch.server.options import Options
from stemwatch.server.work.folder_lock import hold


def test_a_file_in_it_is_named(tmp_path: Path) -> None:
    """The directory itself may be as it should be."""
    (tmp_path / "lock").mkdir()
    with pytest.raises(ConfigFault) as caught, usable(Options(data_dir=str(tmp_path))):
        hold(str(tmp_path))
    assert f"uid {os.getuid()}: {tmp_path}/lock: Is a directory." in str(caught.value)
    assert "chown" not in caught.value.hint


@pytest.mark.parametrize(
    ("name", "words", "mend"),
    [("job's", "job's: Permission denied", "chown -R"), ("", "Permission denied", "--data-dir")],
)
def test_what_another_account_owns_is_to_be_given_to_ours(
    tmp_path: Path, name: str, words: str, mend: str
) -> None:
    """As after a start by root; the directory itself may be the wrong one."""
    with pytest.raises(ConfigFault) as caught, usable(Options(data_dir=str(tmp_path))):
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / name))
    assert words in str(caught.value)
    assert mend in caught.value.hint
