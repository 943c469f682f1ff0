"""What the page costs the service: `python -m tests.benchmarks.bench_page`.

Idle, with the page on and off, side by side: private memory, and how often it wakes up in ten
seconds while nobody watches. Watched: 200 songs that are separated at once, followed by five
streams: CPU in % of a core and memory, less those of the same work unwatched. Upload: 100 MB
through the page, its speed beside a plain copy to the same disk, flushed, and the memory that it
takes; medians of five of each in turn. A ZIP of six stems of 40 MB. About three minutes.

Goals: nothing that can be measured while nobody watches; watched <= 2 % of a core and <= 5 MB;
upload >= 0.5 of the copy, + <= 10 MB.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import httpx
import psutil

from tests.acceptance.harness import KEY, Home
from tests.acceptance.songs import drop, wav_bytes
from tests.support.ports import free_port
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import NO_TLS, wait_for

STRETCH = 20.0  # seconds
ROUNDS = 5
SONGS, STREAMS = 200, 5
LARGE = 100_000_000  # bytes


class Serviced:
    """A service with or without the page, in a folder of its own."""

    def __init__(self, root: Path, stack: ExitStack, *, page: bool, settle: float = 0.2) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.server = stack.enter_context(ScenarioServer(key=KEY, job_seconds=0.1))
        self.home = Home(
            root,
            self.server.url,
            web={"listen": f"127.0.0.1:{self.port}", "page": page},
            watch={"settle_seconds": settle, "rescan_seconds": 30.0},
            api={"max_concurrent": 64, "poll_interval": 3.0},
            log={"level": "info"},
        )
        service = stack.enter_context(self.home.service())
        self.process = psutil.Process(service.process.pid)

    @property
    def memory(self) -> float:
        """Private MB."""
        return self.process.memory_full_info().uss / 1e6

    def stretch(self, seconds: float = STRETCH) -> tuple[float, float, float]:
        """(CPU in % of a core, wake-ups a second, private MB) over so many seconds."""
        before, wakes, began = self._cpu(), self._wakes(), time.monotonic()
        time.sleep(seconds)
        passed = time.monotonic() - began
        cpu = (self._cpu() - before) / passed * 100
        return cpu, (self._wakes() - wakes) / passed, self.memory

    def _cpu(self) -> float:
        used = self.process.cpu_times()
        return used.user + used.system

    def _wakes(self) -> int:
        tasks = Path(f"/proc/{self.process.pid}/task")
        lines = (path.joinpath("status").read_text() for path in tasks.iterdir())
        return sum(
            int(line.split()[1])
            for text in lines
            for line in text.splitlines()
            if line.startswith("voluntary_ctxt_switches")
        )


def idle(root: Path) -> None:
    """Both at once, after their first scans."""
    with ExitStack() as stack:
        kinds = {name: Serviced(root / name, stack, page=name == "on") for name in ("off", "on")}
        time.sleep(5)
        for name, serviced in kinds.items():
            cpu, wakes, memory = serviced.stretch()
            print(f"idle, page {name:3}: {memory:6.1f} MB  {wakes:6.1f} wake-ups/s  {cpu:5.2f} %")


def watched(root: Path) -> None:
    """The same work unwatched, then watched."""
    with ExitStack() as stack:
        serviced = Serviced(root / "watched", stack, page=True)
        serviced.server.scenario(job_seconds=120)
        for number in range(SONGS):
            drop(serviced.home.inbox / f"song {number:03}.wav", number, seconds=5.0)
        wait_for(lambda: serviced.home.journal_count("separating") >= 60, timeout=120)
        time.sleep(15)  # until only polls are left
        for name in ("nobody watches", f"{STREAMS} streams watch"):
            cpu, wakes, memory = serviced.stretch()
            print(f"{SONGS} songs, {name}: {memory:6.1f} MB  {wakes:6.1f} wake-ups/s  {cpu:5.2f} %")
            for _ in range(STREAMS):
                threading.Thread(target=_follow, args=(serviced.url,), daemon=True).start()
            time.sleep(2)


def _follow(url: str) -> None:
    try:
        with httpx.stream("GET", f"{url}/api/events", timeout=60, verify=NO_TLS) as answer:
            for _ in answer.iter_lines():
                pass
    except httpx.HTTPError:
        pass  # the service was stopped


def upload(root: Path) -> None:
    """Into an inbox that nothing is taken from."""
    with ExitStack() as stack:
        serviced = Serviced(root / "upload", stack, page=True, settle=3600)
        source = root / "large"
        source.write_bytes(os.urandom(1 << 20) * (LARGE >> 20))
        before = serviced.memory
        most = [before]
        over = threading.Event()
        threading.Thread(target=_look, args=(serviced, most, over), daemon=True).start()
        copied, took = [], []
        for number in range(ROUNDS):
            copied.append(_copy(source, root / f"copy {number}"))
            took.append(_put(source, serviced.port, number))
        over.set()
        ratios = sorted(copy / put for copy, put in zip(copied, took, strict=True))
        print(
            f"upload: {source.stat().st_size / median(took) / 1e6:.0f} MB/s, {median(ratios):.2f}"
            f" ({ratios[0]:.2f} to {ratios[-1]:.2f}) of a copy to that disk"
            f" ({source.stat().st_size / median(copied) / 1e6:.0f} MB/s),"
            f" + {max(most) - before:.1f} MB"
        )


def _copy(source: Path, to: Path) -> float:
    """Seconds."""
    began = time.monotonic()
    with source.open("rb") as read, to.open("wb") as write:
        shutil.copyfileobj(read, write, 1 << 20)
        write.flush()
        os.fsync(write.fileno())
    return time.monotonic() - began


def _put(source: Path, port: int, number: int) -> float:
    """Seconds."""
    began = time.monotonic()
    with source.open("rb") as body, socket.create_connection(("127.0.0.1", port)) as to:
        head = f"PUT /api/inbox/default?path=large{number}.wav HTTP/1.1\r\nHost: localhost\r\n"
        to.sendall(f"{head}Content-Length: {source.stat().st_size}\r\n\r\n".encode())
        to.sendfile(body)  # the client's own work is not what is measured
        answer = to.recv(1000)
    assert answer.startswith(b"HTTP/1.1 201 "), answer
    return time.monotonic() - began


def _look(serviced: Serviced, most: list[float], over: threading.Event) -> None:
    while not over.wait(0.02):
        most.append(serviced.memory)


def zipped(root: Path) -> None:
    """Six stems of four minutes."""
    with ExitStack() as stack:
        serviced = Serviced(root / "zip", stack, page=True)
        song = serviced.home.inbox / "remix.wav"
        song.write_bytes(wav_bytes(1, seconds=240.0))
        found = wait_for(lambda: _songs(serviced), timeout=120)
        before, most, over = serviced.memory, [0.0], threading.Event()
        threading.Thread(target=_look, args=(serviced, most, over), daemon=True).start()
        size, began = 0, time.monotonic()
        url = f"{serviced.url}/api/songs/{found[0]['id']}/zip"
        with httpx.stream("GET", url, timeout=120, verify=NO_TLS) as answer:
            for piece in answer.iter_raw():
                size += len(piece)
        took = time.monotonic() - began
        over.set()
        print(f"zip: {size / 1e6:.0f} MB in {took:.2f} s, + {max(most) - before:.1f} MB")


def _songs(serviced: Serviced) -> list[dict[str, object]]:
    answer = httpx.get(f"{serviced.url}/api/songs", verify=NO_TLS)
    found: list[dict[str, object]] = answer.json()["songs"]
    return found


def main() -> None:
    """All four, one after the other."""
    for measure in (idle, watched, upload, zipped):
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder))


if __name__ == "__main__":
    main()
