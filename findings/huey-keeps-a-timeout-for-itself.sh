#!/usr/bin/env bash
# A huey task called with timeout=5 sees its own default of 60; called with 5 in the same place, it sees 5.
#
# Whatever a task's caller names timeout, priority, delay, eta, expires, retries, retry_delay, retry_backoff or id huey
# takes out of the arguments, for the message. The task's own parameter of that name keeps its default, without a
# word; without a default it is missing. `id` is worse: the song's number is the message's from then on.
# huey 3 took timeout, retry_backoff and id in: a task that worked under huey 2 gets other arguments. Give a task's
# parameters names of their own, as in song_id, or pass them by position.
# Seen with huey 3.5.4: only by position do timeout=5 and id=7 arrive. With huey 2.5.5 they arrive by name as well.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq huey==3.5.4 || exit 2
"$work/venv/bin/pip" install -qq --target "$work/two" huey==2.5.5 || exit 2
cat >"$work/ask.py" <<'END'
import json, logging
from importlib.metadata import version
from huey import MemoryHuey

logging.disable(logging.CRITICAL)
huey = MemoryHuey(immediate=True)

@huey.task()
def separate(path, timeout=60, priority="low", id=None):
    return [timeout, priority, id]

@huey.task()
def needs(path, timeout):
    return timeout

def outcome(result):
    try:
        return result.get()
    except Exception as error:
        return str(error)

numbered = separate("a.wav", id=7)
print(json.dumps({
    "version": version("huey"),
    "by name": outcome(separate("a.wav", timeout=5, priority="high", id=7)),
    "by position": outcome(separate("a.wav", 5, "high", 7)),
    "without a default": outcome(needs("a.wav", timeout=5)),
    "the message's id": numbered.id if numbered.id == 7 else "its own",
}))
END
cd "$work" && PATHS="$work/two" venv/bin/python - <<'END'
import json, os, subprocess, sys

def ask(path=""):
    return json.loads(subprocess.check_output([sys.executable, "ask.py"], env={**os.environ, "PYTHONPATH": path}))

three, two = ask(), ask(os.environ["PATHS"])
print("expected: separate('a.wav', timeout=5, priority='high', id=7) sees 5, 'high' and 7, however they are passed")
for seen in (three, two):
    version = seen.pop("version")
    for what, value in seen.items():
        print(f"seen:     huey {version}, {what}: {value}")
ours = [5, "high", 7]
changed = three["by name"] == [60, "low", None] and three["by position"] == two["by position"] == ours
missing = "missing 1 required" in str(three["without a default"]) and two["without a default"] == 5
sys.exit(0 if changed and missing and three["the message's id"] == 7 and two["by name"] == [5, "low", 7] else 1)
END
