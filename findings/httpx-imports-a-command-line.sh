#!/usr/bin/env bash
# `import httpx` also loads click, rich and pygments, where they happen to be installed.
#
# They belong to httpx's command line. A program that has rich for its own progress bars pays for
# them at each start, also where it shows no bar.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq httpx==0.28.1 || exit 2
python=$work/venv/bin/python
count='import sys, httpx; print(len(sys.modules))'
alone=$("$python" -c "$count")
"$work/venv/bin/pip" install -qq rich==15.0.0 click==8.5.1 || exit 2
beside=$("$python" -c "$count")
kept=$("$python" -c "import sys; sys.modules['httpx._main'] = None; $count")
echo "versions: httpx 0.28.1, rich 15.0.0, click 8.5.1, $("$python" -V)"
echo "expected: importing a library loads the same modules, whatever else is installed"
echo "seen:     modules after import httpx: $alone alone, $beside with rich and click beside it,"
echo "          $kept with them where httpx._main can't be imported"
[ "$beside" -gt $((alone + 50)) ] && [ "$kept" -le $((alone + 5)) ]
