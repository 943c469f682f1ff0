"""The service manager's datagrams, on real sockets."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Callable, Iterator
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
from stemwatch.service.systemd import Manager
from stemwatch.workers.context import Context
from tests.support.clocked import in_context, vital
from tests.support.waiting import Clock


def fill(env: dict[str, str]) -> None:
    """As a manager that is busy leaves it: no room for another message."""
    for _ in range(10_000):
        if not extend(20.0, env):
            return
    raise AssertionError("a full queue takes everything")


def queued(listener: socket.socket) -> list[bytes]:
    """All that has arrived, read."""
    listener.setblocking(False)
    read: list[bytes] = []
    while True:
        try:
            read.append(listener.recv(1000))
        except BlockingIOError:
            return read


def took(call: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock, and seconds of work."""
    clock, work = time.monotonic(), time.thread_time()
    call()
    return time.monotonic() - clock, time.thread_time() - work


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
    """No socket, or one that is gone, is no error, and nothing to be said to it again."""
    assert notify("READY=1", {"NOTIFY_SOCKET": address})
    assert notify("READY=1", {})


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


def test_a_full_queue_holds_up_the_loop_for_what_is_said_once_only(
    manager: tuple[socket.socket, str],
) -> None:
    """What comes again anyhow does not wait at all, and a wait is no spinning."""
    listener, name = manager
    env = {"NOTIFY_SOCKET": name}
    fill(env)
    assert min(took(lambda: alive(env))[0] for _ in range(5)) < 0.5
    clock, work = took(lambda: notify("READY=1", env, wait=0.3))
    assert clock > 0.29
    assert work < 0.15
    assert set(queued(listener)) == {b"EXTEND_TIMEOUT_USEC=20000000"}


def test_a_manager_that_had_no_room_is_told_later(tmp_path: Path) -> None:
    """READY, the line and the sign of life are not taken for said; the next tick says them."""
    env = {"NOTIFY_SOCKET": str(tmp_path / "n"), "WATCHDOG_USEC": "60000000"}

    async def tell(ctx: Context, clock: Clock) -> None:
        service = Manager(ctx, vital(ctx), env)
        fill(env)
        assert not await service.tick(under_way=True)
        queued(listener)
        assert await service.tick(under_way=True)
        idle = b"STATUS=0 separating, 0 waiting, 0 done today"
        assert queued(listener) == [b"READY=1", b"WATCHDOG=1", idle]
        fill(env)
        clock.now += 60.0
        service.note = "a note"
        assert not await service.tick(under_way=True)
        queued(listener)
        clock.now += 2.0
        assert await service.tick(under_way=True)
        assert queued(listener) == [b"WATCHDOG=1", idle + b"; a note"]

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(env["NOTIFY_SOCKET"])
        in_context(tmp_path, tell)
