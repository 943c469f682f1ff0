#!/usr/bin/env bash
# A song of 124.9 beats a minute is one of 124 for everything that reads tags by mediafile (beets).
#
# The fraction is cut, not rounded, and saving the file with it writes the cut number back: two such
# songs drift apart by a beat within a minute and a half. The field is text, and mutagen shows it whole.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq mediafile==0.17.0 mutagen==1.48.1 soundfile==0.14.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import sys
from importlib.metadata import version
import mutagen, soundfile
import numpy as np
from mediafile import MediaFile

soundfile.write("song.flac", np.zeros((44_100, 2)), 44_100)
song = mutagen.File("song.flac")
song["BPM"] = "124.9"
song.save()
read = MediaFile("song.flac")
tempo = read.bpm
read.bpm = tempo
read.save()
back = mutagen.File("song.flac")["BPM"][0]
print("version:  mediafile", version("mediafile"))
print("expected: 124.9, or at least 125")
print(f"seen:     {tempo!r}; the file says {back!r} after it was read and saved")
sys.exit(0 if (tempo, back) == (124, "124") else 1)
END
