"""Real shares on loopback: a Samba server, and folders mounted over SMB or SFTP by FUSE (root).

This is what can be had without a kernel's own network file systems: `rclone mount` speaks SMB to
the Samba server, `sshfs` SFTP to a server of its own. Each is stopped and unmounted by its `with`,
also when a test fails.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

import psutil

from tests.support.ports import free_port
from tests.support.waiting import wait_for

_SFTP_SERVER = "/usr/lib/openssh/sftp-server"
_PACKAGES = {
    "smbd": "samba",
    "smbclient": "smbclient",
    "rclone": "rclone",
    "sshfs": "sshfs",
    _SFTP_SERVER: "openssh-sftp-server",
}
SAMBA = ("smbd", "smbclient")
SMB_MOUNT = (*SAMBA, "rclone")
SFTP_MOUNT = ("sshfs", _SFTP_SERVER)


def why_no_shares(*tools: str) -> str | None:
    """Why this machine can't run what needs these; None if it can."""
    if os.geteuid() != 0:
        return "needs root, to mount and to serve files"
    if missing := [_PACKAGES[tool] for tool in tools if shutil.which(tool) is None]:
        return f"needs {', '.join(missing)}"
    if {"rclone", "sshfs"} & set(tools) and not os.path.exists("/dev/fuse"):
        return "needs FUSE"
    return None


class Samba:
    """`folder` exported as //127.0.0.1/music, to anybody, on a port and with files of its own."""

    def __init__(self, root: Path, folder: Path) -> None:
        self._root, self._folder = root / "samba", folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    def start(self) -> None:
        self._root.mkdir(exist_ok=True)
        own = ("private dir", "lock directory", "state directory", "cache directory")
        lines = [f"{name} = {self._root}" for name in (*own, "pid directory", "ncalrpc dir")]
        config = self._root / "smb.conf"
        config.write_text(
            "[global]\nserver role = standalone server\ninterfaces = lo\n"
            f"bind interfaces only = yes\nsmb ports = {self.port}\ndisable netbios = yes\n"
            "disable spoolss = yes\nload printers = no\nmap to guest = bad user\n"
            f"guest account = root\nlog file = {self._root}/log\n"
            + "\n".join(lines)
            + f"\n[music]\npath = {self._folder}\nread only = no\nguest ok = yes\n"
            "force user = root\n"
        )
        command = ["smbd", "-F", "--no-process-group", "-s", str(config), "-l", str(self._root)]
        self._process = subprocess.Popen(
            command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for(self._listens, what="smbd")

    def _listens(self) -> bool:
        with socket.socket() as door:
            return door.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        """Its end without a word, with all connections."""
        if self._process is not None:
            _end(_family(self._process.pid))
            self._process.wait()
            self._process = None

    @property
    def running(self) -> bool:
        return self._process is not None

    def freeze(self) -> None:
        assert self._process is not None
        for process in _family(self._process.pid):
            with contextlib.suppress(psutil.NoSuchProcess):  # one for a client that has just left
                process.suspend()

    def thaw(self) -> None:
        assert self._process is not None
        for process in _family(self._process.pid):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()

    def do(self, command: str, data: bytes | None = None) -> None:
        """`smbclient`, to its end; `data` is what `put -` sends."""
        call = ["smbclient", "-N", "-p", str(self.port), "//127.0.0.1/music", "-c", command]
        subprocess.run(call, input=data, check=True, capture_output=True)

    def writer(self, path: str, *, length: int | None = None) -> subprocess.Popen[bytes]:
        """A client that writes what it gets on its standard input, as it comes (`smb_client`)."""
        command = [sys.executable, "-m", "tests.faults.smb_client"]
        url = f"smb://127.0.0.1:{self.port}/music/{path}"
        sized = [] if length is None else ["--length", str(length)]
        return subprocess.Popen(
            [*command, url, *sized], stdin=subprocess.PIPE, cwd=Path(__file__).parents[2]
        )

    def __enter__(self) -> Samba:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()


class _Mounted:
    """A share mounted at `path`; `server` is whatever has to answer for it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def mount(self) -> None:
        raise NotImplementedError

    def freeze(self) -> None:
        """The server hangs: it keeps its connections and answers nothing."""
        raise NotImplementedError

    def thaw(self) -> None:
        raise NotImplementedError

    def kill(self) -> None:
        """The server is gone (SIGKILL)."""
        raise NotImplementedError

    def remount(self) -> None:
        """Server and share are back."""
        raise NotImplementedError

    def umount(self) -> None:
        """Away at once, whoever has files open there; what the server was asked is given up."""
        subprocess.run(["umount", "-l", self.path], check=False, capture_output=True)
        wait_for(lambda: not os.path.ismount(self.path), what=f"umount {self.path}")

    def __enter__(self) -> _Mounted:
        self.path.mkdir(parents=True, exist_ok=True)
        self.mount()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        raise NotImplementedError


class SftpMount(_Mounted):
    """`folder` on `path` by sshfs, straight to an SFTP server (no ssh between: `passive`)."""

    def __init__(self, path: Path, folder: Path) -> None:
        super().__init__(path)
        self._folder = folder
        self._server: subprocess.Popen[bytes] | None = None
        self._client: subprocess.Popen[bytes] | None = None

    def mount(self) -> None:
        to_server, from_server = os.pipe(), os.pipe()
        self._server = subprocess.Popen([_SFTP_SERVER], stdin=to_server[0], stdout=from_server[1])
        self._client = subprocess.Popen(
            [
                "sshfs",
                "-f",
                "-o",
                "passive,dir_cache=no,attr_timeout=1,entry_timeout=1",
                f":{self._folder}",
                str(self.path),
            ],
            stdin=from_server[0],
            stdout=to_server[1],
        )
        for end in (*to_server, *from_server):
            os.close(end)
        wait_for(lambda: os.path.ismount(self.path), what=f"sshfs on {self.path}")

    def freeze(self) -> None:
        assert self._server is not None
        self._server.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._server is not None
        self._server.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        assert self._server is not None
        self._server.kill()
        self._server.wait()

    def remount(self) -> None:
        self._stop()
        self.mount()

    def _stop(self) -> None:
        for process in (self._client, self._server):  # the client's end frees whoever waits there
            if process is not None:
                process.kill()
                process.wait()
        subprocess.run(["umount", "-l", self.path], check=False, capture_output=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()


@contextlib.contextmanager
def hung(path: Path, there: Path) -> Iterator[SftpMount]:
    """`there` on `path`, whose server answers nothing; the kernel has forgotten what it said."""
    there.mkdir(exist_ok=True)
    share = SftpMount(path, there)
    with share:
        share.freeze()
        wait_for(lambda: not _answers(path), what="a share that hangs")
        yield share


def _answers(path: Path) -> bool:
    look = threading.Thread(target=lambda: os.path.lexists(path), daemon=True)
    look.start()
    look.join(0.1)
    return not look.is_alive()


class SmbMount(_Mounted):
    """The Samba server's `share` (such as "music/inbox") on `path`, by rclone."""

    def __init__(self, path: Path, samba: Samba, share: str) -> None:
        super().__init__(path)
        self._samba, self._share = samba, share
        self._client: subprocess.Popen[bytes] | None = None

    def mount(self) -> None:
        # Short patience: in life these are minutes, after which calls fail with EIO.
        backend = f":smb,host=127.0.0.1,port={self._samba.port},user=guest:{self._share}"
        quick = ("--timeout=3s", "--contimeout=3s", "--low-level-retries=1", "--retries=1")
        cached = ("--dir-cache-time=1s", "--vfs-cache-mode=writes")
        cache = self.path.with_name(f".{self.path.name}-cache")
        self._client = subprocess.Popen(
            ["rclone", "mount", backend, str(self.path), f"--cache-dir={cache}", *cached, *quick],
            env={**os.environ, "RCLONE_CONFIG": ""},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(lambda: os.path.ismount(self.path), what=f"rclone on {self.path}")

    def freeze(self) -> None:
        self._samba.freeze()

    def thaw(self) -> None:
        self._samba.thaw()

    def kill(self) -> None:
        self._samba.kill()

    def remount(self) -> None:
        """rclone finds its server again by itself; what was unmounted has to be mounted."""
        if not self._samba.running:
            self._samba.start()
        if not os.path.ismount(self.path):
            self._end()
            self.mount()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def _end(self) -> None:
        if self._client is not None:
            self._client.kill()
            self._client.wait()
        subprocess.run(["umount", "-l", self.path], check=False, capture_output=True)


def _family(pid: int) -> Sequence[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def _end(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=5)
