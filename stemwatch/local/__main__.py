"""`python -m stemwatch.local`: the separation server as `run --local` starts it."""

from __future__ import annotations

import argparse
import os
import sys

from stemwatch.errors import AlreadyRunning, ConfigFault, StemwatchError
from stemwatch.local import serve

EXIT_CONFIG, EXIT_RUNNING, EXIT_FAILED = 78, 75, 1
KEY_VARIABLE = "STEMWATCH_SERVE_KEY"


def main() -> int:
    options = _parser().parse_args()
    key = _read_line() if options.key_stdin else os.environ.pop(KEY_VARIABLE, "").strip()
    try:
        return serve.run(
            options.host,
            options.port,
            data_dir=options.data_dir,
            engine=options.engine,
            jobs=options.jobs,
            key=key or None,
            strict_limit=options.strict_limit,
            keep_hours=options.keep_hours,
            url_ttl=options.url_ttl,
            public_url=options.public_url,
            min_free=options.min_free,
            exit_with_stdin=options.exit_with_stdin,
        )
    except StemwatchError as fault:
        print(f"stemwatch serve: {fault}", file=sys.stderr)
        if isinstance(fault, ConfigFault):
            return EXIT_CONFIG
        return EXIT_RUNNING if isinstance(fault, AlreadyRunning) else EXIT_FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stemwatch.local", description=__doc__)
    add = parser.add_argument
    add("--data-dir", required=True, help="where jobs, uploads and stems are kept")
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=0, help="0: any free one")
    add("--engine", default="spectral", help="a name, or module:function")
    add("--jobs", type=int, help="separations at once (default: the cores less one)")
    add("--strict-limit", action="store_true", help="429 above --jobs instead of a queue")
    add("--keep-hours", type=float, default=serve.DAY, help="how long results are kept")
    add("--url-ttl", type=float, default=3600.0, help="seconds that a stem URL is good for")
    add("--public-url", help="the base of stem URLs, where the Host header is not it")
    add("--min-free", type=int, default=serve.MIN_FREE, help="bytes of disk that stay free")
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


if __name__ == "__main__":
    sys.exit(main())
