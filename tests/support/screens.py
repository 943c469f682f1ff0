"""Screens as they look, kept as text files that anybody can read and compare.

A screen that was meant to change is written anew, and `git diff` shows what changed:

    RENEW_SCREENS=1 .venv/bin/python -m pytest tests/unit -k screen
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.text import Text

FOLDER = Path(__file__).parent / "screens"


def assert_screen(name: str, lines: Iterable[Text | str], width: int) -> None:
    """Compare what a terminal of `width` cells shows with `screens/NAME-WIDTH.txt`."""
    seen = _shown(lines, width)
    path = FOLDER / f"{name}-{width}.txt"
    if os.environ.get("RENEW_SCREENS"):
        path.write_text(seen, encoding="utf-8")
    assert seen == path.read_text(encoding="utf-8")


def _shown(lines: Iterable[Text | str], width: int) -> str:
    out = io.StringIO()
    console = Console(
        file=out, width=width, markup=False, emoji=False, highlight=False, color_system=None
    )
    for line in lines:
        console.print(line, soft_wrap=True)
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())
