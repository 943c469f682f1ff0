#!/usr/bin/env bash
# loguru, told to keep three files of app.log, deletes app.worker.log and app.log.md, which others wrote.
#
# It tells old files of its own by their names: app.*.log, app.log.* and more all are. Of several processes
# that log side by side, each into a file of its own name, the one with the shortest name throws the others'
# away once they are quiet for a while. Python's own RotatingFileHandler knows app.log.1 to app.log.3 only.
# Seen with loguru 0.7.3: none of three is left after a few lines; with the logging module all are.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq loguru==0.7.3 || exit 2
cd "$work" && venv/bin/python - <<'END'
import logging, os, sys, time
from importlib.metadata import version
from logging.handlers import RotatingFileHandler
from pathlib import Path
from loguru import logger

OTHERS = ("app.log.md", "app.payments.log", "app.worker.log")
LINE = "x" * 600

def folder(name):
    """A folder with three files that nobody has written to for an hour."""
    Path(name).mkdir()
    for other in OTHERS:
        path = Path(name, other)
        path.write_text("of another program\n")
        os.utime(path, (time.time() - 3600,) * 2)
    return name + "/app.log"

def found(name):
    """(those of the three that are left, how many others there are)."""
    names = os.listdir(name)
    return [other for other in OTHERS if other in names], len(set(names) - set(OTHERS))

number = logger.add(folder("loguru"), rotation="1 kB", retention=3)
logger.remove(0)
for _ in range(12):
    logger.info(LINE)
logger.remove(number)

handler = RotatingFileHandler(folder("logging"), maxBytes=1000, backupCount=3)
plain = logging.getLogger("app")
plain.addHandler(handler)
for _ in range(12):
    plain.warning(LINE)
handler.close()

seen = {name: found(name) for name in ("loguru", "logging")}
print("version:  loguru", version("loguru"))
print("expected: files that the logger did not write stay")
for name, (left, own) in seen.items():
    print(f"seen:     {name:7} files of its own: {own}; of the others left: {', '.join(left) or 'none'}")
sys.exit(0 if seen["loguru"][0] == [] and seen["logging"][0] == list(OTHERS) else 1)
END
