#!/usr/bin/env bash
# Where the disk of the log is full, log.info() of structlog raises; the line of the program after it never runs.
#
# Logging is guessed to be harmless: Python's own handlers and loguru report such an error on stderr, and go on.
# structlog prints, as it is set up by itself, and the OSError comes out of the call. A song that was separated
# and paid for ends as failed, as "done" couldn't be logged; an `except` that logs hides its own error.
# Where structlog hands its lines to Python's logging they are as harmless as that.
# Seen with structlog 26.1.0: OSError: [Errno 28] No space left on device.
set -eu
[ -c /dev/full ] || { echo "no /dev/full here" >&2; exit 2; }
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq structlog==26.1.0 loguru==0.7.3 || exit 2
cd "$work" && venv/bin/python - <<'END'
import subprocess, sys
from importlib.metadata import version

WAYS = {
    "logging": "import logging; logging.basicConfig(stream=sys.stdout, level='INFO'); log = logging.getLogger()",
    "loguru": "from loguru import logger as log; log.remove(); log.add(sys.stdout)",
    "structlog": "import structlog; log = structlog.get_logger()",
    "structlog by logging": "import logging, structlog; logging.basicConfig(stream=sys.stdout, level='INFO');"
    "structlog.configure(logger_factory=structlog.stdlib.LoggerFactory()); log = structlog.get_logger()",
}
PROGRAM = """
import os, sys
{way}
try:
    log.info("a song is done")
    end = "goes on"
except OSError as error:
    end = f"OSError: {{error}}"
sys.stderr.write("\\n" + end)
sys.stderr.flush()
os._exit(0)
"""

def ends(way, where):
    """How a program ends that logs a line to standard output, which is the file `where`."""
    with open(where, "w") as out:
        run = subprocess.run([sys.executable, "-c", PROGRAM.format(way=way)], stdout=out, stderr=subprocess.PIPE,
                             text=True, check=True)
    return run.stderr.splitlines()[-1]

print("versions: structlog", version("structlog") + ", loguru", version("loguru"))
print("expected: a line that can't be logged is lost, and the program goes on")
seen = {name: ends(way, "/dev/full") for name, way in WAYS.items()}
for name, end in seen.items():
    print(f"seen:     {name + ':':21} {end}")
room = all(ends(way, "log") == "goes on" for way in WAYS.values())
others = all(end == "goes on" for name, end in seen.items() if name != "structlog")
sys.exit(0 if room and others and seen["structlog"].startswith("OSError: [Errno 28]") else 1)
END
