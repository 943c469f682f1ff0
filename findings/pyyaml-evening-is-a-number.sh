#!/usr/bin/env bash
# `from: 22:00` and `until: 07:00` in one YAML file: the evening is the number 1320, the morning is text.
#
# YAML 1.1 knows numbers to the base of sixty, and a leading zero ends them. So of a day's hours only
# those from 10:00 on change their type, and 1:30:00 becomes 5400. A test that says 07:00 sees nothing.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq PyYAML==6.0.4 || exit 2
cd "$work" && venv/bin/python - <<'END'
import sys
import yaml

seen = yaml.safe_load("morning: 07:00\nevening: 22:00\nlong: 1:30:00\nnight: 22:00-07:00\nnever: 22:60\n")
print("version:  PyYAML", yaml.__version__)
print("expected: times of one form have one type")
print("seen:    ", seen)
wanted = {"morning": "07:00", "evening": 1320, "long": 5400, "night": "22:00-07:00", "never": "22:60"}
sys.exit(0 if seen == wanted else 1)
END
