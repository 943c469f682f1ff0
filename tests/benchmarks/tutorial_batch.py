"""The tutorial's batch code, as its readers run it: the makespan benchmark's other contender.

Its logic, its libraries (requests, tenacity, a thread pool) and its constants; the address, the
poll interval and the waits of its retries come from the command line, so that all times can be
scaled alike: `python -m tests.benchmarks.tutorial_batch BASE FOLDER OUT CONCURRENT SCALE`.
Prints one JSON line: started (Unix seconds), seconds, ok, failed.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import requests
from tenacity import retry, stop_after_attempt, wait_exponential

BASE, FOLDER, OUT = sys.argv[1:4]
CONCURRENT, SCALE = int(sys.argv[4]), float(sys.argv[5])
HEADERS = {"Authorization": "Bearer bench"}
FORMATS = ("mp3", "wav", "flac", "m4a", "ogg", "webm")


@retry(
    stop=stop_after_attempt(3),
    wait=wait_exponential(multiplier=SCALE, min=2 * SCALE, max=20 * SCALE),
)
def post(url: str, **content: Any) -> requests.Response:
    response = requests.post(url, headers=HEADERS, timeout=60, **content)
    response.raise_for_status()
    return response


def remove_vocals(path: Path) -> None:
    with path.open("rb") as file:
        job = post(
            f"{BASE}/separate",
            files={"audio": (path.name, file)},
            data={"stems": "2", "format": "wav"},
        ).json()
    deadline = time.time() + 300.0
    while time.time() < deadline:
        url = f"{BASE}/jobs/{job['job_id']}"
        status = requests.get(url, headers=HEADERS, timeout=30).json()
        if status["status"] == "completed":
            break
        if status["status"] == "failed":
            raise RuntimeError(f"job {job['job_id']} failed: {status.get('error')}")
        time.sleep(3.0 * SCALE)
    else:
        raise TimeoutError(f"job {job['job_id']} did not complete in time")
    for stem, url in status["stems"].items():
        with requests.get(url, stream=True, timeout=120) as response:
            response.raise_for_status()
            with Path(OUT, f"{path.stem}_{stem}.wav").open("wb") as out:
                for chunk in response.iter_content(chunk_size=8192):
                    out.write(chunk)


def main() -> None:
    Path(OUT).mkdir(parents=True, exist_ok=True)
    paths = [path for format in FORMATS for path in Path(FOLDER).glob(f"*.{format}")]
    ok = failed = 0
    started, begun = time.time(), time.perf_counter()
    with ThreadPoolExecutor(max_workers=CONCURRENT) as pool:
        for future in as_completed([pool.submit(remove_vocals, path) for path in paths]):
            if (fault := future.exception()) is None:
                ok += 1
            else:
                failed += 1
                sys.stderr.write(f"{fault!r}\n")
    seconds = time.perf_counter() - begun
    told = {"started": started, "seconds": seconds, "ok": ok, "failed": failed}
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
