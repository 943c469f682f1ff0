"""The shell commands that set stemwatch up under systemd here. They are not run."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources

from stemwatch import __version__
from stemwatch.extras import source

PROGRAM = "/opt/stemwatch/bin/stemwatch"  # the path that the units name
CONFIG = "/etc/stemwatch/config.yaml"
KEY = "/etc/stemwatch/api-key"
FOLDERS = "/srv/stemwatch"
STATE = "/var/lib/stemwatch"  # what StateDirectory= of the unit becomes
# A unit of the moment with the account, the state folder and the key of the unit: root would pass
# where the service can't read or write. The mode is the unit's too, since systemd sets it.
_CHECKS = (
    "sudo systemd-run -qPG -p User=stemwatch -p StateDirectory=stemwatch "
    f"-p StateDirectoryMode=0750 -p LoadCredential=api-key:{KEY}"
)
_EXTRAS = ("local", "web", "notify")
_TMPFILES = "tmpfiles.d/stemwatch.conf"
# The unit's ProtectHome= and PrivateTmp= hide these folders: no program in them can be started.
_HIDDEN = ("/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/")  # noqa: S108


@dataclass(frozen=True, slots=True)
class Machine:
    """Paths of this installation. `source` is what pip installs to get the same stemwatch again."""

    program: str
    python: str
    units: str
    source: str

    @property
    def hidden(self) -> bool:
        """Whether the system unit can't see this installation."""
        return any(os.path.realpath(p).startswith(_HIDDEN) for p in (self.program, self.python))


def this_machine() -> Machine:
    return Machine(
        program=os.path.join(sysconfig.get_path("scripts"), "stemwatch"),
        python=os.path.realpath(sys.executable),
        units=str(resources.files("stemwatch").joinpath("systemd")),
        source=source(*_EXTRAS) or f"stemwatch[{','.join(_EXTRAS)}]=={__version__}",
    )


def for_system(machine: Machine) -> Iterator[str]:
    """Yield shell lines that set up a service of the machine, under an account of its own."""
    units = machine.units
    program = PROGRAM if machine.hidden else machine.program
    if machine.hidden:
        python = shutil.which("python3", path="/usr/local/bin:/usr/bin") or "python3"
        yield "# This stemwatch is where the service can't see it (a home, /tmp): one for all."
        yield f"sudo {python} -m venv /opt/stemwatch        # Python 3.11 or newer"
        yield f"sudo /opt/stemwatch/bin/pip install {shlex.quote(machine.source)}"
    yield "# The account and its folders, all below one parent."
    yield _install(f"{units}/sysusers.d/stemwatch.conf", "/etc/sysusers.d/stemwatch.conf")
    yield "sudo systemd-sysusers"
    yield _install(f"{units}/{_TMPFILES}", f"/etc/{_TMPFILES}")
    yield f"sudo systemd-tmpfiles --create /etc/{_TMPFILES}"
    yield "# The configuration, and the key: paste it, then Enter and Ctrl-D."
    yield f"sudo {shlex.quote(program)} init --folders {FOLDERS} {CONFIG}"
    yield f"sudo install -m 600 /dev/stdin {KEY}"
    yield "# No key (api.base_url: local)? The unit wants that file all the same; empty will do:"
    yield f"#   sudo install -m 600 /dev/null {KEY}"
    yield "# The service."
    yield _install(f"{units}/stemwatch.service", "/etc/systemd/system/stemwatch.service")
    if program != PROGRAM:
        folder = "/etc/systemd/system/stemwatch.service.d"
        yield from _dropped_in("sudo ", folder, f"{_quoted(program)} run --config {CONFIG}")
    yield "sudo systemctl daemon-reload"
    yield "sudo systemctl enable --now stemwatch"
    yield "systemctl status stemwatch"
    yield "# And at any time, what it does and what waits; then, what is not right, as it sees it:"
    asks = f"sudo -u stemwatch env STATE_DIRECTORY={STATE} {shlex.quote(program)}"
    yield f"#   {asks} status -c {CONFIG}"
    yield f"#   {_CHECKS} {shlex.quote(program)} check -c {CONFIG}"


def for_user(machine: Machine, home: str) -> Iterator[str]:
    """Yield shell lines that set up a service of one account, in its home, without root."""
    settings, user = f"{home}/.config/stemwatch", f"{home}/.config/systemd/user"
    yield "# The configuration, and the key: paste it, then Enter and Ctrl-D."
    yield f"{shlex.quote(machine.program)} init {shlex.quote(settings)}/config.yaml"
    yield f"install -m 600 /dev/stdin {shlex.quote(settings)}/api-key"
    yield "# Then name it in that configuration:  key_file: api-key"
    yield "# No key (api.base_url: local)? Then neither the file nor that line."
    yield "# The service; the last line keeps it running after logout."
    yield _install(
        f"{machine.units}/user/stemwatch.service", f"{user}/stemwatch.service", root=False
    )
    if machine.program != f"{home}/.local/bin/stemwatch":
        folder = f"{user}/stemwatch.service.d"
        yield from _dropped_in("", folder, f"{_quoted(machine.program)} run")
    yield "systemctl --user daemon-reload"
    yield "systemctl --user enable --now stemwatch"
    yield "loginctl enable-linger"


def _install(source: str, target: str, *, root: bool = True) -> str:
    sudo = "sudo " if root else ""
    return f"{sudo}install -D -m 644 {shlex.quote(source)} {shlex.quote(target)}"


def _dropped_in(sudo: str, folder: str, command: str) -> Iterator[str]:
    """Shell lines for a drop-in: the unit itself is not changed, so a newer one can replace it."""
    yield f"{sudo}install -D -m 644 /dev/stdin {shlex.quote(folder)}/program.conf <<'END'"
    yield "[Service]"
    yield "ExecStart="
    yield f"ExecStart={command}"
    yield "END"


def _quoted(path: str) -> str:
    """A path, quoted for a unit file."""
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if escaped != path or " " in path or "'" in path else path
