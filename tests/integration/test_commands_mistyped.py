"""A mistyped command, as a process: exit 2, and the one that was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.commands import run


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("statsu", "Did you mean status?"),
        ("Estimat", "Did you mean estimate?"),
        ("my song.mp3", "To separate it: `stemwatch split 'my song.mp3'`."),
        ("frobnicate", "There are run, split, demo, status"),
        ("\x1b[2Jrun", "'\\x1b[2Jrun'"),
    ],
)
def test_a_slip_of_the_pen_is_answered_with_what_was_meant(
    tmp_path: Path, typed: str, told: str
) -> None:
    """The nearest command, or what to do with a song that was named without one."""
    (tmp_path / "my song.mp3").touch()
    found = run(typed, cwd=tmp_path)
    assert found.returncode == 2
    assert told in found.stderr
    assert "\x1b" not in found.stderr


def test_an_unknown_option_of_the_group_is_still_click_s(tmp_path: Path) -> None:
    """Only commands are ours to guess."""
    found = run("--verion", cwd=tmp_path)
    assert found.returncode == 2
    assert "No such option" in found.stderr
