"""The service manager's datagrams, on real sockets."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from stemwatch.service.sd_notify import (
    alive,
    extend,
    notify,
    ready,
    reloading,
    status,
    stopping,
    watchdog_seconds,
)


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A listening socket, and what the manager puts into $NOTIFY_SOCKET."""
    name = f"@stemwatch-{secrets.token_hex(8)}"
    if request.param == "path":
        name = str(tmp_path / "n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(name.replace("@", "\0", 1) if name[0] == "@" else name)
        listener.settimeout(5)
        yield listener, name


def test_each_message_is_one_datagram(manager: tuple[socket.socket, str]) -> None:
    """READY, STOPPING, WATCHDOG and a status line arrive as systemd wants them."""
    listener, name = manager
    env = {"NOTIFY_SOCKET": name}
    for call, expected in ((ready, b"READY=1"), (stopping, b"STOPPING=1"), (alive, b"WATCHDOG=1")):
        assert call(env)
        assert listener.recv(1000) == expected
    assert status("3 waiting\nMAINPID=1 \udcff", env)
    assert listener.recv(1000) == b"STATUS=3 waiting MAINPID=1 \xff"


@pytest.mark.parametrize("address", ["", "/nowhere/at/all", "@nobody-listens-here", "vsock:2:1"])
def test_without_a_manager_nothing_happens(address: str) -> None:
    """No socket, or one that is gone, is no error."""
    assert notify("READY=1", {"NOTIFY_SOCKET": address}) is False
    assert notify("READY=1", {}) is False


def test_how_often_the_watchdog_wants_to_hear() -> None:
    """Half of WATCHDOG_USEC, only for the process that is meant."""
    usec = {"WATCHDOG_USEC": "60000000"}
    assert watchdog_seconds(usec, 7) == 30.0
    assert watchdog_seconds({**usec, "WATCHDOG_PID": "7"}, 7) == 30.0
    assert watchdog_seconds({**usec, "WATCHDOG_PID": "8"}, 7) is None
    assert watchdog_seconds({}, 7) is None
    assert watchdog_seconds({"WATCHDOG_USEC": "soon"}, 7) is None


def test_a_reload_and_more_time_are_told_in_systemds_words(
    manager: tuple[socket.socket, str],
) -> None:
    """Both numbers are whole microseconds; RELOADING and its time are one datagram."""
    listener, name = manager
    env = {"NOTIFY_SOCKET": name}
    assert reloading(env, 12.5)
    assert listener.recv(1000) == b"RELOADING=1\nMONOTONIC_USEC=12500000"
    assert extend(20.0, env)
    assert listener.recv(1000) == b"EXTEND_TIMEOUT_USEC=20000000"
