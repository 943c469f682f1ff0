#!/usr/bin/env bash
# Who installs niquests changes what `requests` sends by: a pinned urllib3 is listed, and another one runs.
#
# urllib3-future, which niquests brings, puts itself into urllib3's folder, then and at each start of Python.
# A library that moves from requests to niquests does so to a whole environment. `pip list` and `pip check` see
# nothing. To install the pinned one again doesn't help; to uninstall niquests leaves no urllib3 at all, so
# requests, and apprise or botocore with it, fail to import. `import urllib3; urllib3.__version__` tells.
# Seen with niquests 3.21.2: urllib3 2.5.0 is installed, 2.25.904 runs.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
pip() { "$work/venv/bin/pip" --disable-pip-version-check "$@" 2>>"$work/log"; }
runs() { "$work/venv/bin/python" -c 'import urllib3; print(urllib3.__version__)'; }
listed() { "$work/venv/bin/python" -c 'from importlib.metadata import version; print(version("urllib3"))'; }
pip install -qq requests==2.34.2 urllib3==2.5.0 || exit 2
before=$(runs)
pip install -qq niquests==3.21.2 urllib3-future==2.25.904 || exit 2
after=$(runs) told=$(listed)
pip check >"$work/check" && sound=yes || sound=no
pip install -qq --force-reinstall --no-deps urllib3==2.5.0 || exit 2
again=$(runs)
pip uninstall -qy niquests urllib3-future || exit 2
left=$(listed)
"$work/venv/bin/python" -c 'import requests' 2>>"$work/log" && imports=yes || imports=no
echo "version:  niquests 3.21.2 with urllib3-future 2.25.904, requests 2.34.2"
echo "expected: requests stands on the urllib3 that is installed for it"
echo "seen:     before niquests $before runs, with it $after; $told is installed, and pip finds that sound: $sound"
echo "          2.5.0 installed once more: $again runs"
echo "          niquests uninstalled: urllib3 $left is installed, and requests can be imported: $imports"
[ "$before $told $sound $left $imports" = "2.5.0 2.5.0 yes 2.5.0 no" ] && [ "$after $again" = "2.25.904 2.25.904" ]
