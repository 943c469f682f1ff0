"""The separation server as a child: started, restarted, stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from stemwatch import config
from stemwatch.errors import AlreadyRunning, ConfigFault, StemwatchError
from stemwatch.server.spawn import LocalServer
from stemwatch.wiring.tuning import retune
from stemwatch.wiring.working_set import working_set
from stemwatch.workers.pacing.timing import Timing
from tests.acceptance.harness import Home
from tests.support.server import ROOT, Server, fetched
from tests.support.waiting import wait_for_async

ENGINE = "tests.support.server_engines:copy"


@pytest.fixture(autouse=True)
def _engines_are_found() -> object:
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(ROOT)
    yield
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


def health(server: LocalServer) -> int:
    return fetched(f"{server.base_url}/health").status_code


def unexpected(fault: BaseException) -> None:
    raise AssertionError("told of a fault of our own") from fault


def known(server: LocalServer, job_id: str) -> str | None:
    headers = {"Authorization": f"Bearer {server.key}"}
    answer = fetched(f"{server.base_url}/jobs/{job_id}", **headers).json()
    status: str | None = answer.get("status")
    return status


def test_it_comes_back_on_the_same_port(tmp_path: Path) -> None:
    """A killed server is started again where it was, its user is told; stop ends it for good."""

    async def main() -> None:
        restarts: list[str] = []
        server = LocalServer(
            str(tmp_path / "data"), engine=ENGINE, on_restart=restarts.append, broken=unexpected
        )
        async with server:
            url, pid = server.base_url, server.pid
            assert pid is not None
            assert health(server) == 200
            os.kill(pid, signal.SIGKILL)
            await wait_for_async(lambda: restarts, what="a restart")
            assert restarts == [url]
            assert (health(server), server.pid != pid) == (200, True)
            last = psutil.Process(server.pid)
            assert known(server, "job_1") is None
        assert not last.is_running()

    asyncio.run(main())


def test_a_run_sends_as_many_songs_as_its_server_has_seats(tmp_path: Path) -> None:
    """Once it counted the cores for itself, whatever memory there was; at a reload, too."""

    async def main() -> None:
        settings = config.load(str(Home(tmp_path, "local").config), env={})
        async with working_set(settings, key=None, places={}, timing=Timing(), jobs=2) as context:
            before = context.slots.most
            retune(context, settings)
            assert context.slots.most == before

    asyncio.run(main())


def test_a_new_parent_need_not_wait(tmp_path: Path) -> None:
    """Killed and started again at once, the service finds the folder of its last server free."""
    data = tmp_path / "data"

    async def main() -> None:
        with Server(data, "--exit-with-stdin", "--jobs", "1", engine="gated") as last:
            job = last.submit().json()["job_id"]
            last.started()
            assert last.process.stdin is not None
            last.process.stdin.close()  # what the kernel does when the parent is killed
            last.process.stdin = None
            async with LocalServer(str(data), engine=ENGINE, broken=unexpected) as server:
                await wait_for_async(lambda: known(server, job) == "completed", what="the job")
            assert last.process.wait(timeout=10) == 0

    asyncio.run(main())


def test_a_start_that_fails_says_why(tmp_path: Path) -> None:
    """The child's own sentence and kind of fault reach the caller; nothing is left running."""

    data = str(tmp_path / "data")
    before = set(psutil.Process().children())  # the tests' own warm processes

    async def main() -> None:
        with pytest.raises(ConfigFault, match=r"spektral.*Did you mean 'spectral'"):
            await LocalServer(data, engine="spektral", broken=unexpected).start()
        async with LocalServer(data, engine=ENGINE, broken=unexpected):
            with pytest.raises(
                AlreadyRunning, match=r"Another separation server .*/data'\. Wait for it"
            ):
                await LocalServer(data, engine=ENGINE, broken=unexpected).start()
        with pytest.raises(StemwatchError, match="unrecognized arguments"):
            await LocalServer(data, options=("--nonsense",), broken=unexpected).start()

    asyncio.run(main())
    assert set(psutil.Process().children()) <= before


def test_one_that_can_not_be_started_again_is_told_once_and_tried_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Songs would wait in silence; it comes back as soon as it can."""

    async def main() -> None:
        told: list[BaseException] = []
        restarts: list[str] = []
        server = LocalServer(
            str(tmp_path / "data"), engine=ENGINE, on_restart=restarts.append, broken=told.append
        )
        async with server:
            assert server.pid is not None
            with monkeypatch.context() as broken:
                broken.setattr(sys, "executable", "/bin/false")
                last = server.pid
                os.kill(last, signal.SIGKILL)
                await wait_for_async(lambda: told)
                await wait_for_async(lambda: server.pid != last and len(told) == 1)
            await wait_for_async(lambda: restarts, what="a restart")
        (fault,) = told
        assert "did not start" in str(fault)

    asyncio.run(main())
