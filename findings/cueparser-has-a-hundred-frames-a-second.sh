#!/usr/bin/env bash
# A song of 60.49 seconds in a cue sheet lasts 60.37 for CueParser: its seconds have a hundred frames, not 75.
#
# The third number of a place like 01:00:37 counts a CD's frames. 37 of them are 0.49 s, and CueParser says 0.37.
# A length is wrong by up to a quarter of a second, either way, which nobody sees in a list; who cuts an album by such
# lengths cuts each song somewhere else. `cuetime`, where a song begins, has no frames at all. deflacue reads the same
# file rightly, in samples. Who needs places computes them of `offset`, which is the text of the file.
# Seen with CueParser 1.3.3 and deflacue 2.0.1: lengths of 60.370 and 59.260 s for 60.493 and 59.013.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq CueParser==1.3.3 deflacue==2.0.1 || exit 2
cd "$work" && venv/bin/python - <<'END'
import sys
from importlib.metadata import version
from pathlib import Path
import cueparser
from deflacue.parser import CueParser

starts = [0, 75 * 60 + 37, 2 * 75 * 60 + 74, 3 * 75 * 60]  # in frames
songs = [f'  TRACK {n:02} AUDIO\n    TITLE "Song {n}"\n    INDEX 01 {at // 4500:02}:{at // 75 % 60:02}:{at % 75:02}'
         for n, at in enumerate(starts, 1)]
text = "\n".join(['PERFORMER "Ann"', 'TITLE "Album"', 'FILE "album.wav" WAVE', *songs]) + "\n"
Path("album.cue").write_text(text)

sheet = cueparser.CueSheet()
sheet.setOutputFormat("%title%", "%title%")
sheet.setData(text)
sheet.parse()
right = [(later - at) / 75 for at, later in zip(starts, starts[1:])]
seen = [track.duration.total_seconds() for track in sheet.tracks[:-1]]
begun = [track.cuetime.minute * 60 + track.cuetime.second + track.cuetime.microsecond / 1e6 for track in sheet.tracks]
samples = [track.start for track in CueParser.from_file(Path("album.cue")).run().tracks]
print("versions: CueParser", version("CueParser") + ", deflacue", version("deflacue"))
rows = {"expected: lengths": right, "seen:     lengths": seen, "expected: starts ": [at / 75 for at in starts],
        "seen:     starts ": begun, "          deflacue": [at / 44_100 for at in samples]}
for what, numbers in rows.items():
    print(what, *(f"{number:8.3f}" for number in numbers), "s")
hundredths = [at // 75 + at % 75 / 100 for at in starts]
wrong = all(abs(told - (later - at)) < 1e-6 for told, at, later in zip(seen, hundredths, hundredths[1:]))
sys.exit(0 if wrong and samples == [at * 588 for at in starts] and begun == [at // 75 for at in starts] else 1)
END
