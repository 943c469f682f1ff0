"""Model files: nothing in them runs, and what doesn't add up is refused with a sentence."""

from __future__ import annotations

import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stemwatch.errors import ConfigFault
from stemwatch.models import checkpoints, tensors
from stemwatch.models.bringing import bring, digest
from stemwatch.models.catalogue import MODELS
from stemwatch.models.folder import folder_of, look, require
from stemwatch.models.unpickling import Inert, Unreadable, read_archive
from tests.support.models import REFERENCE, small_file
from tests.support.weights import random_state, torch_file

STATE = {"a.weight": np.arange(6, dtype=np.float16).reshape(2, 3)}
SETTINGS = {"sources": ["drums", "bass", "other", "vocals"], "channels": 16}


class Evil:
    """Would make a file where a careless reader loads it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self._path),)


def archive(path: Path, package: Any, **entries: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a/data.pkl", pickle.dumps(package, protocol=2))
        for name, content in entries.items():
            file.writestr(f"a/data/{name}", content)
    return path


def test_weights_come_out_of_a_file_bit_by_bit(tmp_path: Path) -> None:
    """All of them, with the settings, by way of the reader and of the file that is kept."""
    known = REFERENCE["htdemucs"]
    state = random_state(known["shapes"], 7)
    held = checkpoints.read(str(small_file(tmp_path)))
    assert (held.name, held.settings["segment"]) == ("htdemucs", known["settings"]["segment"])
    tensors.write(str(tmp_path / "kept"), held.tensors, held.notes())
    kept = tensors.read(str(tmp_path / "kept"))
    assert list(kept) == list(state)
    assert all(np.array_equal(kept[name], state[name]) for name in state)
    assert all(kept[name].dtype == np.float16 for name in state)


def test_a_class_that_nobody_knows_is_inert(tmp_path: Path) -> None:
    """It is never imported, and its weights are read all the same."""
    trap = tmp_path / "made"
    file = torch_file(tmp_path / "evil.th", STATE, SETTINGS, more=Evil(trap))
    with zipfile.ZipFile(file) as opened:
        package = read_archive(opened)
    assert isinstance(package["more"], Inert)
    assert np.array_equal(package["state"]["a.weight"], STATE["a.weight"])
    assert not trap.exists()


def _tensor_of(*, offset: int = 0, size: Any = (2, 3), stride: Any = (3, 1)) -> bytes:
    """A pickle of one tensor over six numbers, by hand."""
    out = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(("
    out += b"X\x07\x00\x00\x00storagectorch\nHalfStorage\n"
    out += b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06tQ"
    for value in (offset, size, stride):
        out += pickle.dumps(value, protocol=2)[2:-1]
    return out + b"\x89Ntq\x00R."


@pytest.mark.parametrize(
    "given",
    [{"size": (2, 4)}, {"offset": 1}, {"stride": (3, 2)}, {"offset": -1}, {"size": (2,)},
     {"stride": (-3, 1)}, {"size": (10**12, 1), "stride": (0, 0)}, {"size": None}],
    ids=str,
)  # fmt: skip
def test_a_tensor_never_reaches_beyond_its_numbers(tmp_path: Path, given: Any) -> None:
    """Whatever a file claims of shape and strides: that memory belongs to others."""
    path = tmp_path / "file.th"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a/data.pkl", _tensor_of(**given))
        file.writestr("a/data/0", np.arange(6, dtype=np.float16).tobytes())
    with zipfile.ZipFile(path) as opened:
        if given == {"size": (10**12, 1), "stride": (0, 0)}:  # one number, seen often: no memory
            assert read_archive(opened).nbytes == 2 * 10**12
            return
        with pytest.raises(Unreadable):
            read_archive(opened)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4000])


def _compressed(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a/data.pkl", pickle.dumps({}))


@pytest.mark.parametrize(
    "spoil",
    [
        _cut,
        _compressed,
        lambda path: path.write_bytes(b"PK\x03\x04 no archive"),
        lambda path: path.write_bytes(b""),
        lambda path: archive(path, {"state": {}, "kwargs": {}}),
        lambda path: archive(path, ["no", "package"]),
        lambda path: torch_file(path, STATE, {"sources": ["a", "b"]}),
        lambda path: torch_file(path, {"a": np.array([np.nan], np.float16)}, SETTINGS),
        lambda path: archive(path, {"state": {"a": 3}, "kwargs": SETTINGS}),
    ],
    ids=[
        "cut",
        "compressed",
        "garbage",
        "empty",
        "nothing",
        "a list",
        "sources",
        "nan",
        "a number",
    ],
)
def test_what_is_no_model_is_refused(tmp_path: Path, spoil: Any) -> None:
    """With a sentence that names the file; nothing is left in the folder."""
    path = small_file(tmp_path)
    spoil(path)
    with pytest.raises(ConfigFault, match=r"htdemucs\.th is no model that stemwatch knows"):
        bring(str(path), str(tmp_path / "models"), sha256=digest(str(path)))
    assert not (tmp_path / "models").exists()


def test_only_a_known_digest_is_brought_unasked(tmp_path: Path) -> None:
    """Another one is named, with the option that says it is meant; a wrong one is told apart."""
    path = small_file(tmp_path)
    found = digest(str(path))
    with pytest.raises(ConfigFault, match="none that stemwatch knows") as caught:
        bring(str(path), str(tmp_path / "models"))
    assert f"--sha256 {found}" in caught.value.hint
    with pytest.raises(ConfigFault, match=f"has the SHA-256 {found}, not"):
        bring(str(path), str(tmp_path / "models"), sha256="0" * 64)
    brought = bring(str(path), str(tmp_path / "models"), sha256=found.upper())
    assert (brought.name, brought.sha256, brought.official) == ("htdemucs", found, False)


@pytest.mark.parametrize("place", ["length", "head", "numbers", "end"])
def test_a_damaged_model_is_a_fault_that_says_how_to_mend_it(tmp_path: Path, place: str) -> None:
    """A bit anywhere in it, or its end missing."""
    path = small_file(tmp_path)
    kept = Path(bring(str(path), str(tmp_path), sha256=digest(str(path))).path)
    content = bytearray(kept.read_bytes())
    if place == "end":
        del content[-2:]
    else:
        (head,) = struct.unpack("<Q", content[:8])
        content[{"length": 5, "head": 20, "numbers": 8 + head + 999}[place]] ^= 0x80
    kept.write_bytes(content)
    with pytest.raises(ConfigFault, match="is damaged") as caught:
        tensors.read(str(kept))
    assert "stemwatch models fetch htdemucs" in caught.value.hint


def test_a_missing_model_names_both_commands(tmp_path: Path) -> None:
    """One with the network and one without."""
    assert look(str(tmp_path), "htdemucs") is None
    with pytest.raises(ConfigFault) as caught:
        require(str(tmp_path), "htdemucs")
    assert f"stemwatch models fetch htdemucs --model-dir {tmp_path}" in caught.value.hint
    assert "stemwatch models import FILE" in caught.value.hint


@pytest.mark.parametrize(
    ("given", "env", "folder"),
    [
        ("/m", {"STEMWATCH_MODELS": "/n"}, "/m"),
        (None, {"STEMWATCH_MODELS": "/n", "HOME": "/h"}, "/n"),
        (None, {"XDG_DATA_HOME": "/d", "HOME": "/h"}, "/d/stemwatch/models"),
        (None, {"XDG_DATA_HOME": "relative", "HOME": "/h"}, "/h/.local/share/stemwatch/models"),
    ],
)
def test_the_folder_of_models(given: str | None, env: dict[str, str], folder: str) -> None:
    """The option, the variable, the user's data folder; without any, a fault."""
    assert folder_of(given, env) == folder
    with pytest.raises(ConfigFault, match="no home"):
        folder_of(None, {})


def test_every_model_is_pinned_and_says_its_terms() -> None:
    """A digest, one way to get it, and whose it is."""
    for model in MODELS.values():
        assert len(bytes.fromhex(model.sha256)) == 32
        assert (model.url is None) != (model.requirement is None)
        assert "licence" in model.licence
