"""The codes of faults: every one is in the one table, and no bare string takes its place."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import stemwatch
from stemwatch.codes import PAUSES, Code, rule_of
from stemwatch.web.health import PAUSE_WORDS

ROOT = Path(stemwatch.__file__).parent
TROUBLESHOOTING = Path(__file__).parents[2] / "docs/troubleshooting.md"

# Words that mean something else in these modules (or rooms) of the package: a key, a state, a kind.
OTHER_WORDS: dict[str, tuple[str, ...]] = {
    "budget": ("config/", "operations/", "ui/", "workers/pacing/budget.py"),
    "changed": (
        "operations/ended/putting_aside.py",
        "outbox/",
        "stemsplit/line/source.py",
        "workers/steps/filing.py",
    ),
    "credit": ("operations/", "service/app.py", "ui/", "web/live/"),
    "configuration": ("operations/status.py", "ui/standing.py"),
    "disk": ("audio/tagging/", "server/work/"),
    "failed": ("notices/", "server/", "stemsplit/"),
    "gone": ("inbox/settle.py", "job.py", "outbox/", "web/live/", "workers/steps/filing.py"),
    "held": ("operations/standing/not_taken.py", "service/report.py", "web/live/"),
    "inbox": (
        "commands/control/first.py",
        "config/",
        "inbox/intake.py",
        "inbox/taking/known_jobs.py",
        "job.py",
        "log/sentences.py",
        "notices/",
        "operations/",
        "service/report.py",
        "ui/",
        "web/api/",
        "web/live/",
        "workers/context.py",
    ),
    "internal": ("server/work/",),
    "journal": ("journal/writer.py", "operations/", "ui/"),
    "listen": ("config/",),
    "rate_limited": ("web/metrics.py",),
    "refused": ("commands/", "operations/"),
    "retry": ("cli.py", "commands/", "operations/"),
    "server": ("web/guard/",),
    "sidecar": ("web/api/",),
    "unreadable": ("operations/", "ui/", "web/live/"),
}


@cache
def _trees() -> dict[str, ast.Module]:
    paths = sorted(ROOT.rglob("*.py"))
    return {str(p.relative_to(ROOT)): ast.parse(p.read_text(encoding="utf-8")) for p in paths}


def _nodes() -> Iterator[tuple[str, ast.AST]]:
    for name, tree in _trees().items():
        if name != "codes.py":
            yield from ((name, node) for node in ast.walk(tree))


def test_no_code_is_a_bare_string() -> None:
    """A string would pass by the table, and a misspelt one would be nobody's."""
    words = {str(code) for code in Code}
    bare = [
        f"{name}:{node.lineno}: {node.value!r}"
        for name, node in _nodes()
        if isinstance(node, ast.Constant)
        and node.value in words
        and not name.startswith(OTHER_WORDS.get(node.value, ()) or ("-",))
    ]
    assert bare == []


def test_what_a_fault_is_raised_with_is_in_the_table() -> None:
    """Also a word that the table does not know. A server's own words are in capitals."""
    strange = []
    for name, node in _nodes():
        if isinstance(node, ast.keyword) and node.arg == "code":
            value = node.value
            if isinstance(value, ast.Constant) and str(value.value).islower():
                strange.append(f"{name}:{value.lineno}: {value.value!r}")
    assert strange == []


def test_the_list_of_other_words_is_no_longer_than_it_has_to_be() -> None:
    used = {
        (node.value, room)
        for name, node in _nodes()
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for room in OTHER_WORDS.get(node.value, ())
        if name.startswith(room)
    }
    listed = {(word, room) for word, rooms in OTHER_WORDS.items() for room in rooms}
    assert listed - used == set()


def test_every_code_is_used() -> None:
    """In code: a member that nobody raises or asks for is a row about nothing."""
    used = {
        node.attr
        for _, node in _nodes()
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "Code"
    }
    assert {code.name for code in Code} - used == set()


def test_whoever_pauses_holds_something() -> None:
    """A pause of a code without a rule for it would hold nothing back, and nobody would see it."""
    raised = {
        keyword.value.attr
        for _, node in _nodes()
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "PauseService"
        for keyword in node.keywords
        if keyword.arg == "code" and isinstance(keyword.value, ast.Attribute)
    }
    assert {"DISK", "INBOX", "ROOM", "STORAGE", "RATE_LIMITED"} <= raised
    assert {name for name in raised if not Code[name].rule.holds} == set()


def test_a_word_of_an_engine_of_somebody_elses_has_a_rule() -> None:
    assert rule_of("not to my taste").tries == 5
    assert rule_of("rate_limited") is Code.RATE_LIMITED.rule


@pytest.mark.parametrize("code", [code for code in Code if code.rule.shown])
def test_the_page_on_troubles_knows_every_code_that_is_shown(code: Code) -> None:
    """In the first column of one of its tables."""
    page = TROUBLESHOOTING.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[^|]+`) \|", page, re.MULTILINE)
    assert code in {word for row in rows for word in re.findall(r"`([^`]+)`", row)}


def test_every_pause_has_words_for_those_who_watch_from_outside() -> None:
    """Two had none: `/readyz` said only that it can't work."""
    assert set(PAUSE_WORDS) == set(PAUSES)
