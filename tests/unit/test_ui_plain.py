"""`status` where no screen is: one line, which changes with what matters."""

from stemwatch.ui import plain
from tests.support.standing import document


def test_the_brief_line_changes_with_what_matters_only() -> None:
    """Bytes that went through are no news, a stage is."""
    entry = {"name": "a", "stage": "upload", "done": 1}
    before = plain.brief(document(running=[entry]))
    assert before == plain.brief(document(running=[{**entry, "done": 2}]))
    assert before != plain.brief(document(running=[{**entry, "stage": "download"}]))
