"""Progress bars: what is printed where no terminal is, and no name that breaks them."""

import pytest

from stemwatch.ui.bars import Bars
from stemwatch.workers.progress import Running

ODD = "[bold]x{task.id}\x1b[2J\n\udcff%s :smile:.mp3"


def test_piped_bars_print_one_line_for_each_change(capsys: pytest.CaptureFixture[str]) -> None:
    """A stage is told once, however often the numbers change."""
    with Bars(terminal=False) as bars:
        for done in (0, 10, 20):
            bars.update([{"id": 1, "name": "a.mp3", "stage": "upload", "done": done}], 0, 2)
        bars.update([Running(1, "a.mp3", "separating", 0.0)], 0, 2)
        bars.tell("a.mp3: done")
    assert capsys.readouterr().out.splitlines() == [
        "a.mp3: upload",
        "a.mp3: separating",
        "a.mp3: done",
    ]


@pytest.mark.parametrize("terminal", [True, False])
def test_no_name_breaks_the_bars(terminal: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """Markup, format fields, escapes, newlines and bytes in a name are shown, never obeyed."""
    entry = {"id": 1, "name": ODD, "stage": "upload", "done": 5.0, "total": None, "since": 0}
    with Bars(terminal=terminal) as bars:
        bars.update([entry, {**entry, "id": 2, "stage": "separating", "total": 1.0}], 0, None)
        bars.update([], 1, 1)
        bars.tell(ODD, False)
    printed = capsys.readouterr().out
    assert "[bold]x{task.id}\\x1b[2J\\x0a\\xff%s :smile:.mp3" in printed
    assert "\x1b[2J" not in printed
