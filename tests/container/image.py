"""Builds and runs container/Containerfile without an engine: `python -m tests.container.image`.

Each FROM is a copy of a Debian made by debootstrap (what debian:bookworm-slim is made of), each
RUN, COPY and ENV is carried out in it, and the result runs under systemd-nspawn with the limits of
compose.yaml: read-only, two capabilities, no new privileges, process 1 in a world of its own.
Needs root, systemd-container, debootstrap and the network; about five minutes the first time. The
Debian is kept in $STEMWATCH_TEST_CACHE.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from tests.container.containerfile import Stage, read
from tests.support.scenario.caller import make_song
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for
from tests.systemd.machine import REPO, debian_tree, within

KEY = "sk-container-canary-0123456789"
UID, GID = 1234, 4321
# What nspawn leaves to process 1 otherwise; of an engine's ALL, there is no word for it in nspawn.
# fmt: off
DROPPED = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "IPC_OWNER", "KILL", "LEASE",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_RAW", "SETFCAP", "SETPCAP",
    "SYS_ADMIN", "SYS_BOOT", "SYS_CHROOT", "SYS_NICE", "SYS_PTRACE", "SYS_TTY_CONFIG",
    "SYS_RESOURCE", "AUDIT_WRITE", "AUDIT_CONTROL", "MKNOD",
)
# fmt: on
SET_IDS = 1 << 6 | 1 << 7  # CAP_SETGID, CAP_SETUID


def build(cache: Path, folder: Path) -> tuple[Path, Stage]:
    """Carry out every step; returns the last stage's file system and what it says of running."""
    roots: dict[str, Path] = {}
    stages = read(REPO / "container/Containerfile")
    for number, stage in enumerate(stages):
        assert stage.base == "debian:bookworm-slim", stage.base
        root = roots[stage.name] = folder / f"stage{number}"
        root.mkdir()
        tree = debian_tree(cache, packages="")
        subprocess.run(["cp", "-a", "--reflink=auto", f"{tree}/.", str(root)], check=True)
        where = "/"
        for instruction, text in stage.steps:
            print(f"{instruction} {text}", flush=True)
            if instruction == "WORKDIR":
                where = text
                (root / text.lstrip("/")).mkdir(parents=True, exist_ok=True)
            elif instruction == "COPY":
                _copy(text.split(), roots, root, where)
            elif instruction == "RUN":
                env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
                within(root, ["sh", "-c", text], f"--chdir={where}", **{**env, **stage.env()})
    return roots[stages[-1].name], stages[-1]


def _copy(words: list[str], roots: dict[str, Path], root: Path, where: str) -> None:
    source = REPO
    if words[0].startswith("--from="):
        source = roots[words.pop(0).removeprefix("--from=")]
    *names, target = words
    to = root / os.path.join(where, target).lstrip("/")
    for name in names:
        path = source / name.lstrip("/")
        if path.is_dir():
            unwanted = shutil.ignore_patterns("__pycache__") if source == REPO else None
            shutil.copytree(path, to, symlinks=True, ignore=unwanted)
        else:
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, to / path.name if target.endswith("/") else to)


class Container:
    """One that runs, with compose.yaml's limits in nspawn's words."""

    def __init__(self, root: Path, stage: Stage, data: Path, log: Path) -> None:
        (service,) = yaml.safe_load((REPO / "container/compose.yaml").read_text())[
            "services"
        ].values()
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["tmpfs"] == ["/tmp"]  # noqa: S108
        (root / "data").mkdir(exist_ok=True)
        (root / "machine").mkdir(exist_ok=True)
        assert sorted(service["cap_add"]) == ["SETGID", "SETUID"]
        dropped = ",".join(f"CAP_{name}" for name in DROPPED)
        env = {**stage.env(), "PUID": str(UID), "PGID": str(GID), "STEMSPLIT_API_KEY": KEY}
        command = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--pipe"]
        command += [f"--directory={root}", "--read-only", "--tmpfs=/tmp", f"--bind={data}:/data"]
        command += [f"--drop-capability={dropped}", "--no-new-privileges=yes"]
        command += [f"--chdir={stage.all('WORKDIR')[-1]}"]
        command += [f"--setenv={name}={value}" for name, value in env.items()]
        self._env, self._log, self._stage = env, log, stage
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [*command, *stage.words("ENTRYPOINT"), *stage.words("CMD")],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            )  # fmt: skip

    def first(self) -> int:
        """The process that is number 1 inside, by its number out here."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return int(path.read_text().split()[0])

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def health(self) -> subprocess.CompletedProcess[str]:
        enter = ["nsenter", "-t", str(self.first()), "-m", "-u", "-i", "-p", "--", "env", "-i"]
        env = [f"{name}={value}" for name, value in self._env.items()]
        command = [*enter, *env, *self._stage.words("HEALTHCHECK")]
        return subprocess.run(command, capture_output=True, text=True, timeout=30)


def main() -> int:
    cache = Path(os.environ.get("STEMWATCH_TEST_CACHE", "/var/cache/stemwatch-test"))
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="image-") as folder:
        root, stage = build(cache, Path(folder))
        size = subprocess.run(["du", "-sm", str(root)], capture_output=True, text=True).stdout
        print(f"the image: {size.split()[0]} MB", flush=True)
        data = Path(folder, "data")
        data.mkdir()
        with ScenarioServer(key=KEY, job_seconds=0.2) as server:
            refused = Container(root, stage, data, Path(folder, "refused.log"))
            assert refused.process.wait(60) == 78, refused.log()
            assert f"chown {UID}:{GID}" in refused.log()
            print("a folder that is not PUID's is refused: 78, with the command", flush=True)
            os.chown(data, UID, GID)
            container = Container(root, stage, data, Path(folder, "first.log"))
            config = data / "stemwatch.yaml"
            wait_for(lambda: config.exists() and (data / "inbox").is_dir(), what=container.log())
            _stop(container)
            config.write_text(re.sub("base_url: .*", f"base_url: {server.url}", config.read_text()))
            _go_through(root, stage, data, Path(folder, "second.log"))
    return 0


def _go_through(root: Path, stage: Stage, data: Path, log: Path) -> None:
    container = Container(root, stage, data, log)
    try:
        wait_for(lambda: "service.started" in container.log(), what=container.log())
        status = Path(f"/proc/{container.first()}/status").read_text()
        numbers = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert numbers["Uid"].split() == [str(UID)] * 4
        assert numbers["Gid"].split() == [str(GID)] * 4
        assert int(numbers["CapEff"], 16) == 0
        assert int(numbers["CapBnd"], 16) == SET_IDS
        assert numbers["NoNewPrivs"].strip() == "1"
        wait_for(lambda: container.health().returncode == 0, what=container.health().stdout)
        print(f"healthy: {container.health().stdout.strip()}", flush=True)
        assert "null" not in container.health().stdout  # it was /healthz that answered
        make_song(data / "inbox/song.wav")
        wait_for(lambda: (data / "archive/song.wav").exists(), what=container.log())
        sidecar = json.loads((data / "outbox/song/song.stemwatch.json").read_text())
        made = {path.stat().st_uid for path in (data / "outbox/song").iterdir()}
        assert made == {UID}, made
        print(f"a song came out with {len(sidecar['stems'])} stems, all {UID}'s", flush=True)
        assert "separate_mounts" not in container.log()
    finally:
        began = time.monotonic()
        code = _stop(container)
    print(f"stopped in {time.monotonic() - began:.1f} s with {code}", flush=True)
    assert code == 0, container.log()
    assert "service.stopped" in container.log()


def _stop(container: Container) -> int:
    """As an engine does: SIGTERM for process 1."""
    if container.process.poll() is None:
        os.kill(container.first(), signal.SIGTERM)
    try:
        return container.process.wait(60)
    finally:
        container.process.kill()


if __name__ == "__main__":
    sys.exit(main())
