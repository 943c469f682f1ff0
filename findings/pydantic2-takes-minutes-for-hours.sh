#!/usr/bin/env bash
# A song's length of "12:05" is twelve minutes for pydantic 1 and Django, and twelve hours for pydantic 2.
#
# A field of type timedelta took the last part of a text for seconds; now it takes the first for hours. "3:25", as a
# list of songs has it, is an error, but longer songs pass and last sixty times as long. Limits on
# the length then refuse them, and prices by the minute are sixty times too high. "00:12:05" is right for all.
# Seen with pydantic 2.14.4, its own pydantic.v1, and Django 5.2.9: 43500.0 s, 725.0 s and 725.0 s.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq pydantic==2.14.4 django==5.2.9 || exit 2
cd "$work" && venv/bin/python -W ignore - <<'END'
import sys
from datetime import timedelta
from importlib.metadata import version
import pydantic, pydantic.v1
from django.utils.dateparse import parse_duration

class Song(pydantic.BaseModel):
    length: timedelta

class OldSong(pydantic.v1.BaseModel):
    length: timedelta

def seconds(text):
    """What pydantic 2, pydantic 1 and Django take a length for; None where it is refused."""
    try:
        new = Song(length=text).length.total_seconds()
    except pydantic.ValidationError:
        new = None
    return new, OldSong(length=text).length.total_seconds(), parse_duration(text).total_seconds()

print("versions: pydantic", version("pydantic") + ",", "Django", version("django"))
print("expected: one length from all, or an error")
seen = {text: seconds(text) for text in ("12:05", "03:25", "3:25", "00:12:05")}
for text, (new, old, django) in seen.items():
    print(f"seen:     {text:9} pydantic 2: {new or 'an error'}, pydantic 1: {old}, Django: {django}")
hours = seen["12:05"] == (43_500, 725, 725) and seen["03:25"] == (12_300, 205, 205)
sys.exit(0 if hours and seen["3:25"] == (None, 205, 205) and seen["00:12:05"] == (725, 725, 725) else 1)
END
