#!/usr/bin/env bash
# `import openvino` sends an event with an id of yours to its makers, unasked.
#
# It is done in a process that it forks, which holds a service's pipes open. Nothing is sent here: the
# function that would send is replaced.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq openvino==2026.4.1 || exit 2
python=$work/venv/bin/python
cat >"$work/import.py" <<'PYTHON'
import os, sys, time
sent = []
if sys.argv[1] == "without":
    sys.modules["openvino_telemetry"] = None
else:
    from openvino_telemetry.backend.backend_ga4 import GA4Backend
    GA4Backend.send = lambda _, message: sent.append(message)
import openvino
time.sleep(1)
print(len(sent), "messages,", len(os.listdir(os.environ["HOME"])), "new folders in the home")
PYTHON
mkdir "$work/home" "$work/other"
with=$(HOME=$work/home "$python" "$work/import.py" with)
without=$(HOME=$work/other "$python" "$work/import.py" without)
echo "versions: openvino 2026.4.1, $("$python" -V)"
echo "expected: importing a library sends nothing to anybody"
echo "seen:     $with; where openvino_telemetry can't be imported: $without"
[ "${with%% *}" -gt 0 ] && [ "$without" = "0 messages, 0 new folders in the home" ]
