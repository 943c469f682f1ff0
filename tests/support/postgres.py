"""A real PostgreSQL of the distribution in a temporary folder, for tests."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from glob import glob
from pathlib import Path

import pytest

from tests.support.ports import free_port

SUPERUSER, PASSWORD = "stemwatch", "pass-of-the-tests"


def programs() -> str | None:
    """The folder of initdb and postgres; None where the distribution's package is not installed."""
    found = sorted(glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4]))
    for folder in reversed(found):
        if os.path.exists(f"{folder}/initdb") and os.path.exists(f"{folder}/postgres"):
            return folder
    return None


needs_postgres = pytest.mark.skipif(
    programs() is None, reason="PostgreSQL is not installed: apt-get install postgresql"
)


class Postgres:
    """One server on loopback, for as long as this is open. It can be killed and started again.

    `synced`: it waits for the disk, as a server does whose machine may lose its power; a process
    that is killed loses nothing without.
    """

    def __init__(self, *, synced: bool = False) -> None:
        found = programs()
        assert found is not None
        self._bin = found
        # It refuses to run as root; then an account without rights has the folder.
        self._account = pwd.getpwnam("nobody") if os.getuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="stemwatch-pg-"))
        self._data = self.folder / "db"
        self._synced = synced
        self._tables: str | None = None
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{SUPERUSER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def make(self) -> None:
        if self._account is not None:
            os.chown(self.folder, self._account.pw_uid, self._account.pw_gid)
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        options = ["-D", str(self._data), "-U", SUPERUSER, "--pwfile", str(secret), "-N"]
        options += ["-A", "scram-sha-256", "-E", "UTF8", "--locale=C"]
        subprocess.run([f"{self._bin}/initdb", *options], **self._as(), check=True,
                       stdout=subprocess.DEVNULL, cwd="/")  # fmt: skip

    def start(self) -> None:
        settings = ["listen_addresses=127.0.0.1", f"port={self.port}", "max_connections=120",
                    f"unix_socket_directories={self.folder}", "shared_buffers=64MB",
                    f"fsync={'on' if self._synced else 'off'}"]  # fmt: skip
        command = [f"{self._bin}/postgres", "-D", str(self._data)]
        for one in settings:
            command += ["-c", one]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd="/", start_new_session=True, **self._as()
            )
        deadline = time.monotonic() + 60
        while not self._answers():
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def kill(self) -> None:
        """As a machine that loses its power: nothing is told to anybody."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def create(self, database: str, *, tables: bool = True) -> str:
        """A database; its URL. `tables`: it has those of `stemwatch queue init`, and no row."""
        import psycopg

        if tables and self._tables is None:
            from stemwatch.server.cluster import queue_desk

            made = self.create("stemwatch_tables", tables=False)
            queue_desk.on(made, "the test", queue_desk.make_tables, tables=False)
            self._tables = "stemwatch_tables"
        template = self._tables if tables else "template1"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(  # type: ignore[call-overload]
                f'create database "{database}" template {template}'
            )
        return self.url(database)

    def __enter__(self) -> Postgres:
        self.make()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)  # at once; nothing in it is of use
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _as(self) -> dict[str, object]:
        if self._account is None:
            return {}
        account = self._account
        return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
