"""Programs that we start: what they inherit, and what a share that hangs does to us meanwhile."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from stemwatch.audio.helper.client import AudioHelper
from stemwatch.notices.programs import environment, run
from stemwatch.processes.apart import start
from tests.faults.exports import SFTP_MOUNT, SftpMount, why_no_shares
from tests.support.scenario.caller import make_song
from tests.support.waiting import wait_for, wait_for_async

needs_a_share = pytest.mark.skipif(
    why_no_shares(*SFTP_MOUNT) is not None, reason=str(why_no_shares(*SFTP_MOUNT))
)
# Not by a thread: all of ours stand still while a start waits for the share.
_RESCUE = """
import os, signal, sys, time
time.sleep(20)
os.mkdir(sys.argv[1])
os.kill(int(sys.argv[2]), signal.SIGCONT)
"""


class Hanging:
    """A share that hangs, and a file of ours on it that can't be closed meanwhile."""

    def __init__(self, share: SftpMount) -> None:
        assert share._server is not None
        self._share = share
        self._file = os.open(share.path / "a", os.O_WRONLY | os.O_CREAT)
        self._rescued = share.path.with_name("rescued")
        number = share._server.pid
        command = [sys.executable, "-c", _RESCUE, str(self._rescued), str(number)]
        self._rescue = subprocess.Popen(command)
        share.freeze()
        wait_for(lambda: psutil.Process(number).status() == psutil.STATUS_STOPPED)
        os.write(self._file, b"x" * 40_000)  # taken by sshfs at once; a close waits for the server

    def still(self) -> bool:
        return not self._rescued.exists()

    def end(self) -> None:
        self._share.thaw()

    def close(self) -> None:
        self.end()
        self._rescue.kill()
        self._rescue.wait()
        os.close(self._file)


def children() -> set[int]:
    """Not by psutil: what it reads of a process that is about to begin may hang as well."""
    tasks = Path("/proc/self/task").glob("*/children")
    return {int(pid) for task in tasks for pid in task.read_text().split()}


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[Hanging]:
    (tmp_path / "there").mkdir()
    with SftpMount(tmp_path / "share", tmp_path / "there") as share:
        hanging = Hanging(share)
        yield hanging
        hanging.close()


def test_a_program_gets_a_session_and_no_descriptor_of_ours() -> None:
    async def go() -> bytes:
        read, write = os.pipe()
        os.set_inheritable(write, True)  # as a library's may be
        try:
            telling = "print(os.getsid(0) == os.getpid(), os.getcwd(), *os.listdir('/dev/fd'))"
            command = [sys.executable, "-c", f"import os; {telling}"]
            process = await start(command, folder="/", stdin=DEVNULL, stdout=PIPE)
            return (await process.communicate())[0]
        finally:
            os.close(read)
            os.close(write)

    assert asyncio.run(go()).decode() == "True / 0 1 2 3\n"  # 3: that of the list


def test_a_program_that_is_not_there_says_so(tmp_path: Path) -> None:
    env = environment(os.environ)
    ended = asyncio.run(run([str(tmp_path / "none")], b"", env=env, seconds=30))
    assert ended.code == 127
    assert ended.last_line == f"{tmp_path / 'none'} can't be started: No such file or directory"


@needs_a_share
def test_a_program_that_starts_while_a_share_hangs_holds_nobody_up(hanging: Hanging) -> None:
    async def go() -> bytes:
        process = await start(["/bin/echo", "on"], stdin=DEVNULL, stdout=PIPE)
        assert hanging.still()
        hanging.end()
        return (await process.communicate())[0]

    assert asyncio.run(go()) == b"on\n"


@needs_a_share
def test_a_hook_whose_time_is_over_does_not_begin_later(hanging: Hanging, tmp_path: Path) -> None:
    async def go() -> None:
        before = children()
        command = ["/bin/touch", str(tmp_path / "late")]
        ended = await run(command, b"", env=environment(os.environ), seconds=0.2)
        assert ended.code is None
        assert hanging.still()
        assert not children() <= before  # it waits for the share, killed as it is
        hanging.end()
        await wait_for_async(lambda: children() <= before)

    asyncio.run(go())
    assert not (tmp_path / "late").exists()


@needs_a_share
def test_a_helper_that_starts_meanwhile_answers_once_the_share_does(
    hanging: Hanging, tmp_path: Path
) -> None:
    song = str(make_song(tmp_path / "any.wav"))

    async def go() -> None:
        audio = AudioHelper()
        try:
            asked = asyncio.create_task(audio.probe(song))
            # Its processor time is read after a second. That read hung as well.
            await wait_for_async(lambda: any(one._noted for one in audio._helpers._all))
            assert hanging.still()
            hanging.end()
            assert (await asked).duration > 0
        finally:
            await audio.close()

    asyncio.run(go())
