"""A small Linux system in a folder, booted by systemd-nspawn with systemd as its first process.

Two kinds: `borrowed` takes /usr (and so systemd) from this machine, read-only, and starts within a
second; `debian` is a Debian of its own, made by debootstrap once into a cache.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from tests.support.waiting import namespaces, wait_for

REPO = Path(__file__).resolve().parents[2]
VERSION = f"python{sys.version_info[0]}.{sys.version_info[1]}"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Hangs the event loop for real when it is told to: a Python signal handler runs in the main thread,
# between two steps of the loop, and this one does not come back. All other threads go on.
HANG = "import signal; signal.signal(signal.SIGUSR1, lambda *_: __import__('time').sleep(3600))\n"
_USERS = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"
_GROUPS = "root:x:0:\nnogroup:x:65534:\n"


def why_not() -> str:
    """Why no machine can be booted here; "" if it can be tried."""
    if not namespaces():
        return "needs root that may make namespaces"
    for tool in ("systemd-nspawn", "nsenter"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    if not Path("/usr/lib/systemd/systemd").exists():
        return "there is no systemd here"
    if _system_python() is None:
        return f"there is no {VERSION} in /usr"
    return ""


def borrowed(root: Path) -> list[str]:
    """Lay out a system on this machine's /usr, with stemwatch in /opt; returns nspawn's options."""
    for folder in ("usr", "etc", "opt/stemwatch/bin", "var", "srv", "run", "tmp", "root"):
        (root / folder).mkdir(parents=True)
    for link in ("bin", "sbin", "lib", "lib64"):
        if Path("/", link).is_symlink():
            (root / link).symlink_to(f"usr/{link}")
    etc = root / "etc"
    (etc / "passwd").write_text(_USERS)
    (etc / "group").write_text(_GROUPS)
    (etc / "machine-id").write_text("5" * 32 + "\n")  # not a first boot: nothing else is enabled
    shutil.copy("/usr/lib/os-release", etc)  # nspawn looks for it before /usr is there
    options = ["--bind-ro=/usr"]
    python = _system_python()
    assert python is not None
    venv = root / "opt/stemwatch"
    (venv / "bin/python").symlink_to(python)
    (venv / "pyvenv.cfg").write_text(f"home = {python.parent}\n")
    packages = venv / "lib" / VERSION / "site-packages"
    packages.mkdir(parents=True)
    (root / "opt/deps").mkdir()
    options.append(f"--bind-ro={sysconfig.get_path('purelib')}:/opt/deps")
    (packages / "deps.pth").write_text("/opt/deps\n")
    unwanted = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPO / "stemwatch", packages / "stemwatch", ignore=unwanted)
    _script(venv / "bin/stemwatch")
    (packages / "hang.pth").write_text(HANG)
    return options


def _system_python() -> Path | None:
    """One in /usr that this environment's compiled packages fit; others are hidden in homes."""
    found = (Path(folder, VERSION) for folder in ("/usr/local/bin", "/usr/bin"))
    return next((path for path in found if path.exists()), None)


def _script(path: Path) -> None:
    """What pip would make of the console script."""
    path.write_text("#!/opt/stemwatch/bin/python\nfrom stemwatch.cli import main\nmain()\n")
    path.chmod(0o755)


def debian(cache: Path, root: Path) -> list[str]:
    """A Debian 12 with stemwatch installed by pip from this checkout; needs the network."""
    tree = debian_tree(cache)
    subprocess.run(["cp", "-a", "--reflink=auto", f"{tree}/.", str(root)], check=True)
    source = root / "opt/source"
    unwanted = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPO / "stemwatch", source / "stemwatch", ignore=unwanted)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPO / name, source)
    command = (
        "python3 -m venv /opt/stemwatch && "
        "/opt/stemwatch/bin/pip install -q --no-cache-dir '/opt/source[local,web]'"
    )
    within(root, ["sh", "-c", command])
    (packages,) = (root / "opt/stemwatch/lib").glob("python3.*/site-packages")
    (packages / "hang.pth").write_text(HANG)
    return []


_FOR_BOOT = "systemd,systemd-sysv,dbus,procps,python3,python3-venv,ca-certificates"


def debian_tree(cache: Path, packages: str = _FOR_BOOT) -> Path:
    """The same for everybody who asks with this cache; made once, in a minute or two.

    Without `packages` it is what the image debian:bookworm-slim is made of.
    """
    tree = cache / ("bookworm-boot" if packages else "bookworm-slim")
    if not tree.exists():
        half = cache / f"{tree.name}.{os.getpid()}"
        command = ["debootstrap", "--variant=minbase"]
        command += [f"--include={packages}"] if packages else []
        mirror = "http://deb.debian.org/debian"
        made = [*command, "bookworm", str(half), mirror]
        subprocess.run(made, check=True, stdout=subprocess.DEVNULL)
        half.rename(tree)
    return tree


def within(root: Path, command: Sequence[str], *more: str, **environment: str) -> None:
    """Run one command in the folder as if it were /, with this machine's network and pip's ways.

    `more`: options of systemd-nspawn.
    """
    options = ["--quiet", "--register=no", "--keep-unit", "--pipe", f"--directory={root}"]
    passed = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    # A machine behind a proxy has certificates of its own; not in their usual place, which
    # packages that are installed here write to.
    for name, path in (("PIP_CERT", passed.get("PIP_CERT")), ("PIP_CONFIG_FILE", "/etc/pip.conf")):
        if path and os.path.exists(path):
            passed[name] = f"/mnt/{name}"
            options.append(f"--bind-ro={os.path.realpath(path)}:/mnt/{name}")
    options += [f"--setenv={name}={value}" for name, value in {**passed, **environment}.items()]
    nspawn = ["systemd-nspawn", *options, *more, *command]
    subprocess.run(nspawn, check=True, stdin=subprocess.DEVNULL)


class Machine:
    """A booted one, until the end of the `with`."""

    def __init__(self, root: Path, options: Sequence[str]) -> None:
        self.root = root
        self._log = root.parent / f"{root.name}.log"
        self._options = options
        self._leader = 0

    def __enter__(self) -> Machine:
        command = ["systemd-nspawn", "--quiet", f"--directory={self.root}", "--boot"]
        command += ["--register=no", "--keep-unit", "--console=pipe", *self._options]
        # With the old cgroups, a systemd in a container is not told when a unit's last process is
        # gone, and waits until TimeoutStopSec for it.
        env = {**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env
            )
        try:
            wait_for(self._is_up, timeout=90, every=0.1, what=f"the boot; see {self._log}")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for _ in range(2):  # the second one does not wait for a clean halt
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _is_up(self) -> bool:
        assert self._process.poll() is None, self._log.read_text(errors="replace")
        path = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        children = path.read_text().split()
        if len(children) != 1:
            return False
        self._leader = int(children[0])  # at first another one, which makes the first process
        told = self.run("systemctl", "is-system-running", check=False)
        return told.stdout.strip() in ("running", "degraded")

    def run(
        self, *command: str, check: bool = True, timeout: float = 120.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on it, as its root."""
        enter = ["nsenter", "-t", str(self._leader), "-m", "-u", "-i", "-p", "--"]
        told = subprocess.run(
            [*enter, "env", "-i", f"PATH={PATH}", *command],
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert not check or told.returncode == 0, f"{command}: {told.stdout}{told.stderr}"
        return told

    def show(self, unit: str, name: str) -> str:
        """One property of a unit."""
        return self.run("systemctl", "show", "-P", name, unit).stdout.strip()

    def log(self, unit: str) -> str:
        return self.run("journalctl", "-u", unit, "-o", "cat", "--no-pager").stdout
