"""The file of API keys: who is known by it, what is refused, and how it changes."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from stemwatch.errors import ConfigFault
from stemwatch.server.http.keyholders import ANYBODY, Caller, Callers


def line(name: str, key: str, more: str = "") -> str:
    return f"{name} {sha256(key.encode()).hexdigest()} {more}\n"


def test_a_caller_is_known_by_his_key(tmp_path: Path) -> None:
    """With his limits; nobody by a hash, a name, or another scheme."""
    file = tmp_path / "keys"
    file.write_text("# ours\n\n" + line("ann", "k1") + line("bob", "k2", "credits=60 rate=5"))
    callers = Callers(None, str(file))
    assert callers.caller("Bearer k1") == Caller("ann")
    assert callers.caller("Bearer k2") == Caller("bob", 60, 5)
    for given in ("", "Bearer", "Bearer ", "Bearer k3", "k1", "Basic k1", "Bearer ann",
                  f"Bearer {sha256(b'k1').hexdigest()}", "Bearer k1\udc80"):  # fmt: skip
        assert callers.caller(given) is None


def test_one_key_or_none_is_everybody() -> None:
    """As it always was."""
    assert Callers(None, None).caller("") == ANYBODY
    assert Callers("k", None).caller("Bearer k") == ANYBODY
    assert Callers("k", None).caller("Bearer K") is None


def test_a_change_counts_at_once_and_a_broken_one_not(tmp_path: Path) -> None:
    """A key is taken back without a restart; a slip of the pen locks nobody out."""
    file, lines = tmp_path / "keys", list[str]()
    file.write_text(line("ann", "k1"))
    callers = Callers(None, str(file), lines.append)
    file.write_text(line("ann", "new-key") + line("bob", "k2"))
    assert (callers.caller("Bearer k1"), callers.caller("Bearer k2")) == (None, Caller("bob"))
    file.write_text("oops\n")
    for _ in range(3):
        assert callers.caller("Bearer k2") == Caller("bob")
    assert len(lines) == 1
    assert "line 1" in lines[0]
    file.unlink()
    for _ in range(3):
        assert callers.caller("Bearer k2") == Caller("bob")
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "holds no key"),
        ("ann secret\n", "line 1"),
        (line("ann", "k", "credits=x"), "'credits=x'"),
        (line("ann", "k", "colour=3"), "'colour=3'"),
        (line("ann", "k1") + line("ann", "k2"), "line 2"),
        (line("ann", "k") + line("bob", "k"), "line 2"),
        (None, "No such file"),
    ],
)
def test_a_bad_file_is_refused_by_its_line(tmp_path: Path, content: str | None, words: str) -> None:
    """And by its name; a key that stands there by mistake is not repeated."""
    file = tmp_path / "keys"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigFault) as fault:
        Callers(None, str(file))
    assert words in str(fault.value)
    assert str(file) in str(fault.value)
    assert "secret" not in str(fault.value)
