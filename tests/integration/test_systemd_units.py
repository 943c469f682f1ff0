"""The units, judged by systemd's own tools."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.faults.soak import UNIT, assignments

UNITS = Path(__file__).resolve().parents[2] / "systemd"
SYSTEM = ("stemwatch.service", "stemwatch@.service")
ALL = (*SYSTEM, "user/stemwatch.service")
SERVE = "stemwatch-serve.service"
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


def placed(unit: str, tmp_path: Path) -> Path:
    """A copy whose program exists here; the template as one of its instances."""
    text = (UNITS / unit).read_text("utf-8")
    path = tmp_path / Path(unit).name.replace("@.", "@karaoke.")
    path.write_text(re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", text), "utf-8")
    return path


def analyze(*arguments: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "SYSTEMD_PAGER": "cat"}
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, env=env, timeout=60
    )


def verify(path: Path, *, user: bool) -> subprocess.CompletedProcess[str]:
    # Without these two options a misspelt key passes.
    options = ["--recursive-errors=yes", "--man=no", "--user" if user else "--system"]
    return analyze("verify", *options, str(path), tmp_path=path.parent)


@needs_systemd
@pytest.mark.parametrize("unit", [*ALL, SERVE])
def test_every_line_is_understood(unit: str, tmp_path: Path) -> None:
    """systemd knows each key and takes each value; a slip of the pen would be told."""
    user = unit.startswith("user/")
    path = placed(unit, tmp_path)
    good = verify(path, user=user)
    assert (good.returncode, good.stdout + good.stderr) == (0, "")
    path.write_text(path.read_text("utf-8").replace("KillMode=", "KilMode="), "utf-8")
    assert verify(path, user=user).returncode != 0


@needs_systemd
@pytest.mark.parametrize("unit", SYSTEM)
def test_the_exposure_stays_low(unit: str, tmp_path: Path) -> None:
    """At most 1.5 of 10; a unit without the hardening is near 9.5."""
    path = placed(unit, tmp_path)
    options = ("security", "--offline=true", "--threshold=15", "--no-pager")
    judged = analyze(*options, str(path), tmp_path=tmp_path)
    assert judged.returncode == 0, judged.stdout[-2000:]
    bare = "[Service]\nExecStart=/bin/true\n"
    path.write_text(bare, "utf-8")
    assert analyze(*options, str(path), tmp_path=tmp_path).returncode != 0


@needs_systemd
def test_the_separation_server_is_exposed_a_little_more(tmp_path: Path) -> None:
    """At most 2.5 of 10: its runtime writes machine code, and a GPU is a device."""
    path = placed(SERVE, tmp_path)
    options = ("security", "--offline=true", "--threshold=25", "--no-pager")
    judged = analyze(*options, str(path), tmp_path=tmp_path)
    assert judged.returncode == 0, judged.stdout[-2000:]


def test_the_separation_server_knows_its_models() -> None:
    """Below the state directory, where the unit may write; exit 78 ends its restarts, too."""
    lines = (UNITS / SERVE).read_text("utf-8").splitlines()
    assert "Environment=STEMWATCH_MODELS=/var/lib/stemwatch/models" in lines
    assert {"StateDirectory=stemwatch", "RestartPreventExitStatus=78"} <= set(lines)


@pytest.mark.parametrize("unit", ALL)
def test_what_the_program_counts_on(unit: str) -> None:
    """Exit 78 ends the restarts, stopping leaves time for a paid upload, helpers end last."""
    lines = (UNITS / unit).read_text("utf-8").splitlines()
    for line in (
        "Type=notify", "NotifyAccess=main", "WatchdogSec=60", "Restart=on-failure",
        "RestartPreventExitStatus=78", "KillMode=mixed", "TimeoutStopSec=90", "UMask=0027",
    ):  # fmt: skip
        assert lines.count(line) == 1, line


@pytest.mark.parametrize("unit", ALL)
def test_each_has_the_settings_of_memory_that_the_soak_measures(unit: str) -> None:
    """Flat memory is promised for services by these files; the container is started likewise."""
    measured = assignments(UNIT)
    assert [name.partition("=")[0] for name in measured] == ["GLIBC_TUNABLES"]
    assert assignments(UNITS / unit) == measured
    image = (UNITS.parent / "container/Containerfile").read_text("utf-8").splitlines()
    assert f"ENV {measured[0]}" in image


@pytest.mark.parametrize("unit", SYSTEM)
def test_one_parent_can_be_written(unit: str) -> None:
    """Several paths would each be a mount: every rename between them would be a copy."""
    text = (UNITS / unit).read_text("utf-8")
    (written,) = re.findall(r"(?m)^ReadWritePaths=(.*)$", text)
    (mounts,) = re.findall(r"(?m)^RequiresMountsFor=(.*)$", text)
    assert len(written.split()) == 1
    assert written == mounts
