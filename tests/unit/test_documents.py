"""README, docs/ and what names them: links lead somewhere, and every key stands there once."""

from __future__ import annotations

import os
import re
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from stemwatch.config.settings import Settings
from stemwatch.song_kinds import ALL

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("findings/*.md")],
    key=lambda page: page.relative_to(ROOT),
)
_CODE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_PAGE = re.compile(r"(?:[\w-]+/)*[\w-]+\.md\b")


def _anchors(page: Path) -> set[str]:
    """Those of its headings, as GitHub makes them."""
    text = _CODE.sub("", page.read_text("utf-8"))
    headings = re.findall(r"^#+ +(.+)$", text, re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    """A relative link to a file of the checkout, an anchor to a heading of its page."""
    broken = []
    for link in _LINK.findall(_CODE.sub("", page.read_text("utf-8"))):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            broken.append(link)
    assert broken == []


def test_every_path_that_contributing_names_is_there() -> None:
    """Below the checkout or the package, or beside a path that was named before it."""
    text = _CODE.sub("", (ROOT / "CONTRIBUTING.md").read_text("utf-8"))
    above = {ROOT, ROOT / "stemwatch", ROOT / "stemwatch/workers"}
    missing = []
    for name in re.findall(r"`([\w./-]+(?:\.py|\.md|/))`", text):
        found = [folder / name for folder in above if (folder / name).exists()]
        above |= {path.parent for path in found}
        if not found and "NAME" not in name:
            missing.append(name)
    assert missing == []


def test_every_page_that_the_code_names_is_there() -> None:
    """In a docstring, a comment or a message: a table that nobody has proves nothing."""
    missing = {
        f"{path.relative_to(ROOT)}: {name}"
        for folder in ("stemwatch", "tests")
        for path in (ROOT / folder).rglob("*.py")
        for name in _PAGE.findall(path.read_text("utf-8"))
        if name != "table.md"  # what `tests.faults.all` writes
        if not (ROOT / name).exists() and not (ROOT / "docs" / name).exists()
    }
    assert missing == set()


def test_every_page_is_reached_from_the_readme() -> None:
    """Nobody finds a page that nothing leads to."""
    linked = {(ROOT / link.partition("#")[0]).resolve() for link in _links("README.md")}
    assert set((ROOT / "docs").glob("*.md")) <= linked


def test_the_first_screen_has_two_commands() -> None:
    """Set up, and tested: one command each, before the first heading of the second rank."""
    first = (ROOT / "README.md").read_text("utf-8").partition("\n## ")[0]
    blocks = re.findall(r"^```sh\n(.*?)^```", first, re.DOTALL | re.MULTILINE)
    assert blocks == ["./quickstart demo\n", "./quickstart test\n"]


def test_the_page_of_the_configuration_has_every_key_once_with_its_default() -> None:
    """What is written there is what happens without the key."""
    page = (ROOT / "docs/configuration.md").read_text("utf-8")
    rows = re.findall(r"^\| `([a-z_.]+)` \| `([^`]*)` \|", page, re.MULTILINE)
    assert [key for key, _ in rows] == list(dict.fromkeys(key for key, _ in rows))
    told = {key: yaml.safe_load(default) for key, default in rows}
    assert told["watch.extensions"] is None
    told["watch.extensions"] = list(ALL)  # what null means
    assert told == dict(_defaults(Settings(), ""))


def test_every_finding_is_listed_once_by_its_own_words() -> None:
    """Its name, and the first line of its script: nobody has to open them all."""
    page = (ROOT / "findings/README.md").read_text("utf-8")
    listed = re.findall(r"^\| \[([\w-]+)\]\(\1\.sh\) \| (.+) \| .+ \|$", page, re.MULTILINE)
    scripts = sorted((ROOT / "findings").glob("*.sh"))
    first = {path.stem: path.read_text("utf-8").splitlines()[1] for path in scripts}
    assert dict(listed) == {name: line.removeprefix("# ") for name, line in first.items()}
    assert len(listed) == len(scripts)
    assert [path.name for path in scripts if not os.access(path, os.X_OK)] == []


def _defaults(settings: Any, above: str) -> list[tuple[str, Any]]:
    """Each key as the file names it, and its default as the file would say it."""
    found: list[tuple[str, Any]] = []
    for field in fields(settings):
        if "shape" not in field.metadata:
            continue
        value = getattr(settings, field.name)
        if is_dataclass(value):
            found += _defaults(value, f"{above}{field.name}.")
        else:
            assert field.default is not MISSING or value == {}
            plain = list(value) if isinstance(value, tuple) else value
            found.append((f"{above}{field.name}", None if plain == "" else plain))
    return found


def _links(name: str) -> list[str]:
    text = _CODE.sub("", (ROOT / name).read_text("utf-8"))
    return [link for link in _LINK.findall(text) if not link.startswith("https://")]
