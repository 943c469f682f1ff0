"""A built wheel in an empty environment: everything is inside, and the commands work from there."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from stemwatch.web.assets import FILES
from tests.support import wheel as wheels

REPO = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.xdist_group("wheel"),
    pytest.mark.timeout(400),  # the first one waits for the wheel and its environment as well
    pytest.mark.skipif(
        importlib.util.find_spec("setuptools") is None, reason="builds with setuptools"
    ),
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheels.build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def bin(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheels.install(wheel, tmp_path_factory.mktemp("installed") / "venv")


def run(bin: Path, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Outside the checkout, with nothing of this process's environment but the way to a shell."""
    env = {"PATH": f"{bin}:{os.environ['PATH']}", "HOME": str(home)}
    return subprocess.run(
        [*arguments], cwd=home, env=env, capture_output=True, text=True, timeout=150
    )


def test_everything_is_inside(wheel: Path) -> None:
    """Each file of the package that git knows: schema, weights, example, units, pages."""
    if shutil.which("git") is None or not (REPO / ".git").exists():
        pytest.skip("not a checkout")
    listed = ["git", "-C", str(REPO), "ls-files", "-z", "stemwatch"]
    tracked = subprocess.run(listed, capture_output=True, text=True, check=True).stdout
    expected = {name for name in tracked.split("\0") if name and (REPO / name).is_file()}
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    assert expected - inside == set()
    assert "stemwatch/journal/schema.sql" in inside
    assert "stemwatch/systemd/stemwatch.service" in inside


def test_the_demo_runs_from_it(bin: Path, tmp_path: Path) -> None:
    """A song goes through the whole service, and the modules are the wheel's own."""
    where = run(bin, tmp_path, "python", "-c", "import stemwatch; print(stemwatch.__file__)")
    assert where.stdout.startswith(str(bin.parent)), where
    shown = run(bin, tmp_path, "stemwatch", "demo", "--dir", str(tmp_path / "demo"))
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert (tmp_path / "demo/outbox/Demo Song/Demo Song.stemwatch.json").is_file()


def test_it_writes_a_configuration_and_its_folders_where_it_is_told(
    bin: Path, tmp_path: Path
) -> None:
    """`init --folders`, also below a name that YAML has to quote."""
    parent = tmp_path / "o'clock: songs #1"
    told = run(bin, tmp_path, "stemwatch", "init", "--folders", str(parent), "made.yaml")
    assert told.returncode == 0, told.stderr
    assert sorted(path.name for path in parent.iterdir()) == [
        "archive", "inbox", "outbox", "quarantine",
    ]  # fmt: skip
    assert not (tmp_path / ".local").exists()  # the journal's folder is the service's to make
    assert str(parent / "inbox") in told.stdout


def test_the_commands_for_systemd_are_those_of_this_machine(bin: Path, tmp_path: Path) -> None:
    """Each file that is to be copied exists, in the wheel; and it says so where a home hides it."""
    system = run(bin, tmp_path, "stemwatch", "init", "--systemd")
    user = run(bin, tmp_path, "stemwatch", "init", "--systemd", "--user")
    assert (system.returncode, user.returncode) == (0, 0)
    copied = [
        Path(words[-2])
        for line in (system.stdout + user.stdout).splitlines()
        if "install" in (words := shlex.split(line, comments=True)) and words[-2] != "/dev/stdin"
        if words[-1].endswith((".conf", ".service"))
    ]
    assert len(copied) == 4
    assert all(path.is_file() and str(path).startswith(str(bin.parent)) for path in copied)
    # tmp_path is in /tmp, which the unit's PrivateTmp hides: it is installed anew for all.
    assert "-m venv /opt/stemwatch" in system.stdout
    assert f"ExecStart={bin}/stemwatch run" in user.stdout
    assert list(tmp_path.iterdir()) == []  # printed, nothing done
    for script in (system.stdout, user.stdout):
        subprocess.run(["sh", "-n"], input=script, text=True, check=True)


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_with_the_printed_script(bin: Path, tmp_path: Path) -> None:
    """Commands and options, through the function that a Tab calls."""
    script = (
        'source <(stemwatch completion bash)\nCOMP_WORDS=(stemwatch "$@"); COMP_CWORD=$#\n'
        '_stemwatch_completion stemwatch; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    commands = run(bin, tmp_path, "bash", "-c", script, "bash", "s")
    assert commands.stdout.split() == ["split", "status", "serve"], commands.stderr
    options = run(bin, tmp_path, "bash", "-c", script, "bash", "init", "--sys")
    assert options.stdout.split() == ["--systemd"]


@pytest.mark.parametrize(("shell", "word"), [("zsh", "#compdef stemwatch"), ("fish", "complete ")])
def test_zsh_and_fish_get_their_scripts(bin: Path, tmp_path: Path, shell: str, word: str) -> None:
    """And what the script asks for is answered in that shell's form."""
    told = run(bin, tmp_path, "stemwatch", "completion", shell)
    assert word in told.stdout
    ask = f"_STEMWATCH_COMPLETE={shell}_complete COMP_WORDS='stemwatch che' COMP_CWORD="
    answer = run(bin, tmp_path, "sh", "-c", f"{ask}{'1' if shell == 'zsh' else 'che'} stemwatch")
    assert "check" in answer.stdout
    assert "demo" not in answer.stdout


def test_the_page_and_the_schema_come_along(wheel: Path) -> None:
    """Their files are no modules: a wheel has only those that are named to it."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {f"stemwatch/web/static/{name}" for name in FILES} <= names
    assert "stemwatch/web/api/openapi.json" in names
    assert "stemwatch/outbox/sidecar-2.schema.json" in names


def test_a_missing_extra_is_installed_from_where_it_came(bin: Path, wheel: Path) -> None:
    """By the pip of the environment that runs, from the wheel: no index has the package."""
    code = "from stemwatch.extras import Extra; Extra('web', 'it', ('no_such_package',)).require()"
    told = run(bin, bin.parent, "python", "-c", code)
    assert f"{bin}/python -m pip install '{wheel}[web]'" in told.stderr
