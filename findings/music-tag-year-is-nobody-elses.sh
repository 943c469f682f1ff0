#!/usr/bin/env bash
# A year that music-tag writes into an MP3, WAV or AIFF is read by music-tag, and by nobody else.
#
# It stands in TDOR, the year of the original release, and TDRC, the year, stays empty. Whoever checks what
# was written by the library that wrote it sees it. In FLAC and M4A the year is where all look.
# A collection that was tagged so has no years in the next program.
# Seen with music-tag 0.4.3: 2024 for itself; for mediafile (beets), TagLib and tinytag no year.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq music-tag==0.4.3 mutagen==1.48.1 mediafile==0.17.0 tinytag==2.3.2 pytaglib==3.2.0 \
    soundfile==0.14.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import sys
from importlib.metadata import version
import mediafile, music_tag, soundfile, taglib, tinytag
import numpy as np

def years(name):
    """The year that music-tag writes, as each library reads it."""
    soundfile.write(name, np.zeros(44_100), 44_100)
    song = music_tag.load_file(name)
    song["title"], song["year"] = "Song", 2024
    song.save()
    with taglib.File(name) as file:
        by_taglib = file.tags.get("DATE", [None])[0]
    assert mediafile.MediaFile(name).title == tinytag.TinyTag.get(name).title == "Song"
    found = music_tag.load_file(name)["year"].first, mediafile.MediaFile(name).year, by_taglib, tinytag.TinyTag.get(name).year
    return [str(year) for year in found]

seen = {name: years(name) for name in ("song.mp3", "song.wav", "song.aiff", "song.flac")}
print("version:  music-tag", version("music-tag"))
print("expected: 2024 in each file for each reader")
for name, found in seen.items():
    print(f"seen:     {name:10} music-tag {found[0]}, mediafile {found[1]}, TagLib {found[2]}, tinytag {found[3]}")
lost = all(seen[name] == ["2024", "None", "None", "None"] for name in ("song.mp3", "song.wav", "song.aiff"))
sys.exit(0 if lost and seen["song.flac"] == ["2024"] * 4 else 1)
END
