"""A wheel of this checkout, built without the network and without a trace in the checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]


def build(folder: Path) -> Path:
    """Built from a copy: setuptools leaves a `build/` that later builds would take files from."""
    source = folder / "source"
    unwanted = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPO / "stemwatch", source / "stemwatch", ignore=unwanted)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPO / name, source)
    options = ["--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(source)], check=True)
    (wheel,) = folder.glob("stemwatch-*.whl")
    return wheel


def install(wheel: Path, folder: Path) -> Path:
    """Into an environment of its own, with this one's libraries in reach; returns its `bin`.

    Libraries only: an editable stemwatch among them is found by a .pth file, and those are read in
    an environment's own site-packages, not in the folders that such files add.
    """
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin/python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", str(wheel)], check=True)
    (packages,) = folder.glob("lib/python3.*/site-packages")
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"
