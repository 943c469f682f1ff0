"""Uploads and downloads beside curl's: `python -m tests.benchmarks.bench_transfers [ROUNDS]`.

100 MB up by both wires and 80 MB down, plain and TLS, over loopback, through the real client and
through curl in turns, against one server (`sink`) in a process of its own. Ratios are medians over
the rounds of one round's pair. CPU is user and system time of the client alone; that of curl
without its start-up (a transfer of one byte). RSS is the growth of the process during a transfer;
a stall is the longest time for which another task of the loop could not run.

Goals: MB/s x curl's: up 0.85 plain, 0.9 TLS, down 0.9 and 0.85; CPU <= 1.1 x; RSS <= 8 MB;
stall <= 10 ms. Needs curl and openssl.
"""

from __future__ import annotations

import asyncio
import os
import resource
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stemwatch.job import Options
from stemwatch.stemsplit.calls import Calls
from stemwatch.stemsplit.client import SeparationApi, Upload
from stemwatch.stemsplit.presigned import PresignedApi
from stemwatch.stemsplit.separate import SeparateApi
from tests.benchmarks.looking import Stalls, load, peak_growth

UP = 100_000_000
DOWN = 80_000_000
ROUNDS = 7


@dataclass
class Cost:
    """One transfer."""

    seconds: float
    cpu: float


@dataclass
class Site:
    """A running `sink` and a folder to transfer from and to."""

    origin: str
    folder: Path
    tls: ssl.SSLContext | None

    def path(self, size: int) -> Path:
        """A file of that many bytes, in the page cache."""
        path = self.folder / f"{size}.wav"
        if not path.exists():
            path.write_bytes(os.urandom(1_000_000) * (size // 1_000_000) or b"\0" * size)
        return path


Transfer = Callable[[Site, int], Awaitable[None]]


async def post(site: Site, size: int) -> None:
    await _submit(SeparateApi(_calls(site)), site, size)


async def put(site: Site, size: int) -> None:
    await _submit(PresignedApi(_calls(site)), site, size)


async def get(site: Site, size: int) -> None:
    """As `workers.fetch` does it: into a new file."""
    api = SeparateApi(_calls(site))
    part = site.folder / "stem.part"
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        url = f"{site.origin}/{size}"
        await api.download(url, fd, limit=size, deadline=60.0, on_received=lambda _: None)
    finally:
        os.close(fd)
        await api.aclose()


def _calls(site: Site) -> Calls:
    return Calls(site.origin, "key", tls=site.tls)


async def _submit(api: SeparationApi, site: Site, size: int) -> None:
    async def at_once() -> None:
        pass

    path = site.path(size)
    fd = os.open(path, os.O_RDONLY)
    try:
        await api.submit(
            Upload(fd, path.stat().st_size, path.name),
            Options(stems=2, format="wav"),
            idempotency_key="0" * 32,
            before_last_bytes=at_once,
            on_sent=lambda _: None,
        )
    finally:
        os.close(fd)
        await api.aclose()


def curl_post(site: Site, size: int) -> list[str]:
    fields = ["-F", "stems=2", "-F", "format=wav"]
    return [*fields, "-F", f"audio=@{site.path(size)}", f"{site.origin}/separate"]


def curl_put(site: Site, size: int) -> list[str]:
    return ["-T", str(site.path(size)), f"{site.origin}/put"]


def curl_get(site: Site, size: int) -> list[str]:
    return ["-o", str(site.folder / "stem.part"), f"{site.origin}/{size}"]


def ours(transfer: Transfer, site: Site, size: int) -> Cost:
    async def measured() -> Cost:
        began, cpu = time.perf_counter(), time.process_time()
        await transfer(site, size)
        return Cost(time.perf_counter() - began, time.process_time() - cpu)

    site.path(size)
    cost = asyncio.run(measured())
    (site.folder / "stem.part").unlink(missing_ok=True)
    return cost


def looked_at(transfer: Transfer, site: Site, size: int) -> tuple[float, Stalls]:
    """A transfer's growth of memory in MB, and its stalls: looking costs time, so not in `ours`."""

    async def measured() -> tuple[float, Stalls]:
        with Stalls() as stalls, peak_growth() as growth:
            await stalls.watch()
            await transfer(site, size)
            return growth(), stalls

    seen = asyncio.run(measured())
    (site.folder / "stem.part").unlink(missing_ok=True)
    return seen


def curls(arguments: list[str], site: Site) -> Cost:
    command = ["curl", "-sS", "-k", "-H", "Expect:", "-w", "\n%{time_total}", *arguments]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    (site.folder / "stem.part").unlink(missing_ok=True)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(float(answer.rsplit("\n", 1)[1]), cpu)


def compare(
    name: str, site: Site, size: int, transfer: Transfer, curl: Callable[[Site, int], list[str]]
) -> str:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    ours(transfer, site, 1_000_000)  # import, connect, certificates: not a transfer's cost
    start_up = statistics.median(curls(curl(site, 1), site).cpu for _ in range(5))
    pairs = []
    for number in range(rounds):
        turns = [lambda: ours(transfer, site, size), lambda: curls(curl(site, size), site)]
        if number % 2:
            pairs.append(tuple(turn() for turn in turns))
        else:
            pairs.append(tuple(turn() for turn in reversed(turns))[::-1])
    seen = [looked_at(transfer, site, size) for _ in range(rounds)]
    gigabytes = size / 1e9
    median = statistics.median
    return (
        f"{name:16}{median(c.seconds / o.seconds for o, c in pairs):6.2f}"
        f"{median(size / 1e6 / o.seconds for o, _ in pairs):8.0f}"
        f"{median(size / 1e6 / c.seconds for _, c in pairs):8.0f}"
        f"{median(o.cpu / (c.cpu - start_up) for o, c in pairs):10.2f}"
        f"{median(o.cpu / gigabytes for o, _ in pairs):8.2f}"
        f"{median((c.cpu - start_up) / gigabytes for _, c in pairs):8.2f}"
        f"{max(growth for growth, _ in seen):8.1f}"
        f"{median(s.longest for _, s in seen):10.1f}{median(s.busiest for _, s in seen):8.1f}"
    )


@contextmanager
def running(folder: Path, tls: bool) -> Iterator[Site]:
    files: list[str] = []
    context = None
    if tls:
        files = [str(folder / "cert.pem"), str(folder / "key.pem")]
        command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
        command += " -days 2 -subj /CN=bench -addext subjectAltName=IP:127.0.0.1"
        made = [*command.split(), "-out", files[0], "-keyout", files[1]]
        subprocess.run(made, check=True, capture_output=True)
        context = ssl.create_default_context(cafile=files[0])
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.sink", *files], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        yield Site(f"http{'s' if tls else ''}://127.0.0.1:{port}", folder, context)
    finally:
        server.kill()
        server.wait()


def main() -> None:
    print("                 x curl    MB/s    curl   CPU x   s/GB    curl  RSS MB stall ms   (CPU)")
    with tempfile.TemporaryDirectory() as name:
        for tls in (False, True):
            with running(Path(name), tls) as site:
                for label, size, transfer, curl in (
                    ("up, POST", UP, post, curl_post),
                    ("up, PUT", UP, put, curl_put),
                    ("down", DOWN, get, curl_get),
                ):
                    row = f"{label}{', TLS' if tls else ''}"
                    print(compare(row, site, size, transfer, curl), flush=True)
    print(load())


if __name__ == "__main__":
    main()
