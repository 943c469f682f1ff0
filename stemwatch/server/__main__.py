"""`python -m stemwatch.server`: the separation server as `run --local` starts it."""

from __future__ import annotations

import argparse
import os
import sys

from stemwatch.errors import AlreadyRunning, ConfigFault, StemwatchError
from stemwatch.server import main as serve
from stemwatch.server.options import DAY, MIN_FREE, UPLOAD_TTL, URL_TTL, Options

EXIT_CONFIG, EXIT_RUNNING, EXIT_FAILED = 78, 75, 1
KEY_VARIABLE = "STEMWATCH_SERVE_KEY"


def main() -> int:
    given = vars(_parser().parse_args())
    key_given = os.environ.pop(KEY_VARIABLE, "").strip()
    key = _read_line() if given.pop("key_stdin") else key_given
    secret_file = given.pop("webhook_secret_file")
    try:
        secret = None if secret_file is None else _read_secret(secret_file)
        return serve.run(Options(key=key or None, webhook_secret=secret, **given))
    except StemwatchError as fault:
        print(f"stemwatch serve: {fault}", file=sys.stderr)
        if isinstance(fault, ConfigFault):
            return EXIT_CONFIG
        return EXIT_RUNNING if isinstance(fault, AlreadyRunning) else EXIT_FAILED


def _parser() -> argparse.ArgumentParser:
    """Every option is a field of Options by its name, but for the two that hold secrets."""
    parser = argparse.ArgumentParser(prog="python -m stemwatch.server", description=__doc__)
    add = parser.add_argument
    add("--data-dir", required=True, help="where jobs, uploads and stems are kept")
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=0, help="0: any free one")
    add("--engine", default="spectral", help="a name, or module:function")
    add("--device", default="auto", help="of a neural engine: auto, cpu, cuda, cuda:1 ...")
    add("--model-dir", help="where a neural engine's weights lie")
    add("--jobs", type=int, help="separations at once (default: the cores less one)")
    add("--keys-file", help="several keys, by name and hash, one a line")
    add("--strict-limit", action="store_true", help="429 above --jobs instead of a queue")
    add("--keep-hours", type=float, default=DAY, help="how long results are kept")
    add("--url-ttl", type=float, default=URL_TTL, help="seconds that a stem URL is good for")
    add("--upload-ttl", type=float, default=UPLOAD_TTL, help="seconds that an upload URL is good")
    add("--public-url", help="the base of URLs handed out, where the Host header is not it")
    add("--min-free", type=int, default=MIN_FREE, help="bytes of disk that stay free")
    add("--credits", type=int, help="seconds of audio; above them 402 (default: no limit)")
    add("--rate-limit", type=int, help="requests a minute on the presigned wire")
    add("--min-seconds", type=float, default=0.0, help="shorter audio is refused")
    add("--max-seconds", type=float, help="longer audio is refused")
    add("--webhook-secret-file", help="signs what is sent to a job's own webhook_url")
    add("--key-stdin", action="store_true", help=f"the key is the first line of standard input "
        f"(default: ${KEY_VARIABLE})")  # fmt: skip
    add("--exit-with-stdin", action="store_true", help="end when standard input ends")
    return parser


def _read_line() -> str:
    """One line, byte by byte: what comes after it is for `--exit-with-stdin` to watch."""
    line = b""
    while (byte := os.read(0, 1)) not in (b"", b"\n"):
        line += byte
    return line.decode().strip()


def _read_secret(path: str) -> str:
    try:
        with open(path, encoding="utf-8-sig", errors="replace") as file:
            secret = file.read(65_536).strip()
    except OSError as fault:
        raise ConfigFault(f"--webhook-secret-file: {path}: {fault.strerror}.") from None
    if not secret:
        raise ConfigFault(f"--webhook-secret-file: {path} is empty.")
    return secret


if __name__ == "__main__":
    sys.exit(main())
