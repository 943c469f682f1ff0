"""The container's files: what can be known without an engine, and its first process for real."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml

from stemwatch import cli
from stemwatch.config import load
from stemwatch.disks.lock import InstanceLock
from tests.container.containerfile import read
from tests.support.commands import Home
from tests.support.waiting import namespaces, wait_for

REPO = Path(__file__).resolve().parents[2]
FOLDER = REPO / "container"
ENTRY = FOLDER / "entry.py"
needs_root = pytest.mark.skipif(
    not namespaces() or not Path("/usr/bin/python3").exists(),
    reason="process 1 and another account need root, namespaces and a Python for all",
)
# Stands in for stemwatch: leaves a process without a parent behind, and waits to be stopped.
PROGRAM = """#!/bin/sh
cd "$HOME"
trap 'echo HUP >> told' HUP
trap 'echo TERM >> told; exit 7' TERM
sh -c 'sleep 0.3 & echo $! > orphan'
echo "$(id -u) $(id -g) $(id -G) $(umask) $*" > who
orphan=$(cat orphan)
while kill -0 "$orphan" 2>/dev/null; do sleep 0.05; done
echo collected >> told
while :; do sleep 0.05; done
"""


def test_what_is_copied_exists_and_every_step_is_known() -> None:
    """Two stages on one base; the sources are in the checkout and pass .dockerignore."""
    build, final = read(FOLDER / "Containerfile")
    assert build.base == final.base
    lines = (REPO / ".dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in lines if line.startswith("!")}
    for text in build.all("COPY") + final.all("COPY"):
        *names, _target = text.split()
        if names[0] == f"--from={build.name}":
            continue
        for name in names:
            assert (REPO / name).exists(), name
            assert name in allowed
    env = final.env()
    assert final.words("ENTRYPOINT") == ["/opt/stemwatch/bin/python", "/opt/stemwatch/entry.py"]
    assert final.words("HEALTHCHECK") == [*final.words("ENTRYPOINT"), "health"]
    assert {env["STATE_DIRECTORY"], env["STEMWATCH_CONFIG"]} == {
        "/data/state",
        "/data/stemwatch.yaml",
    }
    # Built with one Python and run with the same: the venv only points to it.
    assert "python3 " in build.all("RUN")[0]
    assert "python3 " in final.all("RUN")[0]


def test_compose_gives_one_mount_time_to_stop_and_little_power() -> None:
    """Separate volumes would make each move a copy; ten seconds would cut off a paid upload."""
    (service,) = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"].values()
    (mount,) = service["volumes"]
    assert mount.endswith(":/data")
    assert service["stop_grace_period"] == "90s"
    assert (service["cap_drop"], service["cap_add"]) == (["ALL"], ["SETUID", "SETGID"])
    assert "no-new-privileges:true" in service["security_opt"]
    assert (
        REPO / "container" / service["build"]["context"] / service["build"]["dockerfile"]
    ).is_file()


@pytest.fixture
def image() -> Iterator[Path]:
    """A folder that other accounts can enter (pytest's can't), with the entry in its place."""
    folder = Path(tempfile.mkdtemp(prefix="stemwatch-entry-"))
    folder.chmod(0o755)
    shutil.copy(ENTRY, folder / "entry.py")
    (folder / "bin").mkdir()
    (folder / "bin/stemwatch").write_text(PROGRAM)
    (folder / "bin/stemwatch").chmod(0o755)
    data = folder / "data"
    data.mkdir()
    (data / "stemwatch.yaml").touch()
    yield folder
    shutil.rmtree(folder)


def start(image: Path, **env: str) -> subprocess.Popen[str]:
    given = {
        "PATH": os.environ["PATH"],
        "HOME": str(image / "data"),
        "STEMWATCH_CONFIG": str(image / "data/stemwatch.yaml"),
        **env,
    }
    space = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    return subprocess.Popen(
        [*space, "/usr/bin/python3", str(image / "entry.py"), "run", "--once"],
        env=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def first(process: subprocess.Popen[str]) -> int:
    """The number, out here, of what is process 1 in there."""
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return int(wait_for(lambda: path.read_text().split())[0])


@needs_root
def test_process_one_is_puid_collects_orphans_and_passes_signals_on(image: Path) -> None:
    """As number 1 of a world of its own: no zombie stays, HUP and TERM arrive, the code returns."""
    data = image / "data"
    os.chown(data, 1234, 4321)
    process = start(image, PUID="1234", PGID="4321", UMASK="002")
    one = first(process)
    try:
        wait_for(lambda: (data / "told").exists() and "collected" in (data / "told").read_text())
        assert (data / "who").read_text().split() == [
            "1234",
            "4321",
            "4321",
            "0002",
            "run",
            "--once",
        ]
        os.kill(one, signal.SIGHUP)
        wait_for(lambda: "HUP" in (data / "told").read_text())
        os.kill(one, signal.SIGTERM)
        assert process.wait(60) == 7
        assert (data / "told").read_text().split() == ["collected", "HUP", "TERM"]
    finally:
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)
        process.kill()
        process.communicate()


@needs_root
@pytest.mark.parametrize(
    ("env", "told"),
    [
        ({"PUID": "1234", "PGID": "4321"}, "on the host: `chown 1234:4321` its folder"),
        ({"PUID": "0"}, "must not be root's"),
        ({"PUID": "me"}, "PUID and PGID must be numbers"),
    ],
)
def test_what_can_t_work_is_said(image: Path, env: dict[str, str], told: str) -> None:
    """Exit 78, before anything is written."""
    process = start(image, **env)
    assert told in process.communicate(timeout=60)[0]
    assert process.returncode == 78
    assert not (image / "data/who").exists()


def health(config: Path) -> int:
    """Only Python: there is no curl in the image. As an ordinary account, nothing is given up."""
    env = {"PATH": os.environ["PATH"], "STEMWATCH_CONFIG": str(config), "HOME": str(config.parent)}
    script = (
        "import os, runpy, sys; os.geteuid = lambda: 1000; "
        "runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    )
    command = [sys.executable, "-c", script, str(ENTRY), "health"]
    return subprocess.run(command, env=env, timeout=60).returncode


def test_health_without_a_listener_is_the_lock(tmp_path: Path) -> None:
    """Held by a running service, free without one."""
    home = Home(tmp_path)
    assert health(home.config) == 1
    lock = InstanceLock(str(home.state / "lock"))
    try:
        assert health(home.config) == 0
    finally:
        lock.release()


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_health_is_what_healthz_answers(tmp_path: Path, status: int, code: int) -> None:
    """200 is healthy, anything else is not, nobody there is not."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        listen = f"127.0.0.1:{server.server_port}"
        home = Home(tmp_path, f"api: {{base_url: local}}\nweb: {{listen: '{listen}'}}")
        assert health(home.config) == code
        server.shutdown()
    assert health(home.config) == 1


def test_what_the_first_start_writes_is_a_whole_configuration(tmp_path: Path) -> None:
    """The folders beside it, a listener for the health check that nobody else reaches."""
    path = tmp_path / "stemwatch.yaml"
    env = {"STEMWATCH_CONFIG": str(path), "STATE_DIRECTORY": str(tmp_path / "state")}
    script = (
        "import os, runpy, sys; sys.argv[:] = sys.argv[1:]; "
        "runpy.run_path(sys.argv[0])['prepare'](os.environ['STEMWATCH_CONFIG'])"
    )
    command = [sys.executable, "-c", script, str(ENTRY)]
    for _ in range(2):  # the second start changes nothing
        subprocess.run(command, env={**os.environ, **env}, check=True, timeout=60)
    settings = load(str(path), env=env)
    assert settings.web.listen == "127.0.0.1:8080"
    assert settings.folders.inbox == str(tmp_path / "inbox")
    assert settings.state_dir == str(tmp_path / "state")
    assert {"inbox", "outbox", "quarantine", "archive", "state", "stemwatch.yaml"} == {
        entry.name for entry in tmp_path.iterdir()
    }


def test_the_cluster_s_services_are_commands_that_exist() -> None:
    """Two front ends, two workers, one folder; each has a command line that is understood."""
    services = yaml.safe_load((FOLDER / "compose.cluster.yaml").read_text())["services"]
    ours = {name: one for name, one in services.items() if one["image"] == "stemwatch"}
    assert sorted(ours) == ["front-1", "front-2", "tables", "worker-1", "worker-2"]
    assert {tuple(one["volumes"]) for one in ours.values()} == {("./cluster/songs:/data",)}
    group = cli.stemwatch
    for one in ours.values():
        with group.make_context("stemwatch", list(one["command"])) as context:
            name, command, rest = group.resolve_command(context, list(one["command"]))
            assert command is not None
            with command.make_context(name, rest, parent=context):
                pass  # an unknown option, or a wrong value, would have raised
