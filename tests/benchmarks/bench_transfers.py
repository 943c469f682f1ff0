"""Uploads and downloads beside curl's: `python -m tests.benchmarks.bench_transfers [ROUNDS]`.

100 MB up by both wires and 80 MB down, plain and TLS, over loopback, through the real client and
through curl in turns, against one server (`sink`) in a process of its own. Both have made a
transfer of one byte before, as a client that runs for years has, and may keep its connections (the
POST that costs money has a new one of ours each time). Ratios are medians over the rounds of one
round's pair. CPU is user and system time of the client alone, less that of one that transfers a
byte twice (curl's start-up). RSS is the growth of the process during a transfer; a stall is the
longest time for which another task of the loop could not run.

Goals: MB/s x curl's: up 0.85 plain, 0.9 TLS, down 0.9 and 0.85; CPU <= 1.1 x; RSS <= 8 MB;
stall <= 10 ms. Needs curl and openssl.
"""

from __future__ import annotations

import asyncio
import os
import re
import resource
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from stemwatch.job import Options
from stemwatch.stemsplit.calls import Calls
from stemwatch.stemsplit.interface import SeparationApi, Upload
from stemwatch.stemsplit.presigned import PresignedApi
from stemwatch.stemsplit.separate import SeparateApi
from tests.benchmarks.looking import Stalls, load, peak_growth
from tests.support.certificates import self_signed

UP = 100_000_000
DOWN = 80_000_000
ROUNDS = 15


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
    authority: Path | None  # the certificate of a server that speaks TLS

    def calls(self) -> Calls:
        tls = ssl.create_default_context(cafile=self.authority) if self.authority else None
        return Calls(self.origin, "key", tls=tls)

    def path(self, size: int) -> Path:
        """A file of that many bytes, in the page cache."""
        path = self.folder / f"{size}.wav"
        if not path.exists():
            path.write_bytes(os.urandom(1_000_000) * (size // 1_000_000) or b"\0" * size)
        return path


Transfer = Callable[[SeparationApi, Site, int], Awaitable[None]]


async def upload(api: SeparationApi, site: Site, size: int) -> None:
    """As `workers.submit` does it, with a slot free."""

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


async def download(api: SeparationApi, site: Site, size: int) -> None:
    """As `workers.fetch` does it: into a new file."""
    fd = os.open(site.folder / "stem.part", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        url = f"{site.origin}/{size}"
        await api.download(url, fd, limit=size, deadline=60.0, on_received=lambda _: None)
    finally:
        os.close(fd)


@dataclass(frozen=True)
class Kind:
    """A transfer by us and by curl."""

    name: str
    size: int
    transfer: Transfer
    wire: type[SeparateApi] | type[PresignedApi]
    curl: Callable[[Site, int], list[list[str]]]  # arguments of each request


def curl_post(site: Site, size: int) -> list[list[str]]:
    fields = ["-F", "stems=2", "-F", "format=wav"]
    return [[*fields, "-F", f"audio=@{site.path(size)}", f"{site.origin}/separate"]]


def curl_put(site: Site, size: int) -> list[list[str]]:
    """A ticket, the file, the job: a submission on wire B is all three."""
    ask = ["-H", "Content-Type: application/json", "-d", "{}"]
    put = ["-T", str(site.path(size)), f"{site.origin}/put"]
    return [[*ask, f"{site.origin}/upload"], put, [*ask, f"{site.origin}/jobs"]]


def curl_get(site: Site, size: int) -> list[list[str]]:
    return [["-o", str(site.folder / "stem.part"), f"{site.origin}/{size}"]]


def ours(kind: Kind, site: Site, size: int) -> Cost:
    async def measured() -> Cost:
        api = kind.wire(site.calls())
        await kind.transfer(api, site, 1)
        (site.folder / "stem.part").unlink(missing_ok=True)
        began, cpu = time.perf_counter(), time.process_time()
        await kind.transfer(api, site, size)
        cost = Cost(time.perf_counter() - began, time.process_time() - cpu)
        await api.aclose()
        return cost

    site.path(size)
    cost = asyncio.run(measured())
    (site.folder / "stem.part").unlink(missing_ok=True)
    return cost


def stalled(kind: Kind, site: Site) -> Stalls:
    """The loop's stalls during a transfer: looking costs time, so not in `ours`."""

    async def measured() -> Stalls:
        api = kind.wire(site.calls())
        with Stalls() as stalls:
            await stalls.watch()
            await kind.transfer(api, site, kind.size)
        await api.aclose()
        return stalls

    stalls = asyncio.run(measured())
    (site.folder / "stem.part").unlink(missing_ok=True)
    return stalls


def grown(name: str, site: Site) -> float:
    """By how many MB the first large transfer makes a process grow (run in one of its own)."""
    kind = next(kind for kind in KINDS if kind.name == name)
    ours(kind, site, 1)
    with peak_growth() as growth:
        ours(kind, site, kind.size)
        return growth()


def curls(kind: Kind, site: Site, size: int) -> Cost:
    """One curl, that makes the requests one after another over one connection."""
    command, counted = ["curl"], kind.curl(site, size)
    for arguments in [*kind.curl(site, 1), *counted]:
        command += ["-sS", "-k", "-H", "Expect:", "-w", "\ntook %{time_total}\n", *arguments]
        command.append("--next")
    del command[-1]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    (site.folder / "stem.part").unlink(missing_ok=True)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    took = [float(seconds) for seconds in re.findall(r"^took (.+)$", answer, re.MULTILINE)]
    return Cost(sum(took[-len(counted) :]), cpu)


def compare(kind: Kind, site: Site, rounds: int) -> str:
    """One row of the table."""
    size = kind.size
    our_start = statistics.median(ours(kind, site, 1).cpu for _ in range(5))
    curl_start = statistics.median(curls(kind, site, 1).cpu for _ in range(5))
    pairs: list[tuple[Cost, Cost]] = []
    for number in range(rounds):
        if number % 2:
            ours_first = ours(kind, site, size)
            pairs.append((ours_first, curls(kind, site, size)))
        else:
            curl_first = curls(kind, site, size)
            pairs.append((ours(kind, site, size), curl_first))
    stalls = [stalled(kind, site) for _ in range(rounds)]
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
        growth = fresh.submit(grown, kind.name, site).result()
    our_cpu = [(o.cpu - our_start) * 1e9 / size for o, _ in pairs]
    curl_cpu = [(c.cpu - curl_start) * 1e9 / size for _, c in pairs]
    median = statistics.median
    name = f"{kind.name}{', TLS' if site.authority else ''}"
    return (
        f"{name:16}{median(c.seconds / o.seconds for o, c in pairs):6.2f}"
        f"{median(size / 1e6 / o.seconds for o, _ in pairs):8.0f}"
        f"{median(size / 1e6 / c.seconds for _, c in pairs):8.0f}"
        f"{median(o / c for o, c in zip(our_cpu, curl_cpu, strict=True)):10.2f}"
        f"{median(our_cpu):8.2f}{median(curl_cpu):8.2f}"
        f"{growth:8.1f}"
        f"{median(s.longest for s in stalls):10.1f}{median(s.busiest for s in stalls):8.1f}"
    )


@contextmanager
def running(folder: Path, tls: bool) -> Iterator[Site]:
    files: list[str] = []
    if tls:
        files = [str(path) for path in self_signed(folder, "IP:127.0.0.1")]
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.sink", *files], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        yield Site(
            f"http{'s' if tls else ''}://127.0.0.1:{port}", folder, Path(files[0]) if tls else None
        )
    finally:
        server.kill()
        server.wait()


KINDS = (
    Kind("up, POST", UP, upload, SeparateApi, curl_post),
    Kind("up, PUT", UP, upload, PresignedApi, curl_put),
    Kind("down", DOWN, download, SeparateApi, curl_get),
)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    print(
        "                 x curl    MB/s    curl   CPU x   s/GB    curl  RSS MB  stall ms   (CPU)"
    )
    with tempfile.TemporaryDirectory() as name:
        for tls in (False, True):
            with running(Path(name), tls) as site:
                for kind in KINDS:
                    print(compare(kind, site, rounds), flush=True)
    print(load())


if __name__ == "__main__":
    main()
