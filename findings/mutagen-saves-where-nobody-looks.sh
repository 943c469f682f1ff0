#!/usr/bin/env bash
# Tags that mutagen saves into some WAVs of Python's `wave` module are gone when they are read back.
#
# RIFF wants a pad byte after a chunk of odd size. `wave` writes none (8-bit or 24-bit mono with an
# odd number of frames). mutagen puts its `id3 ` chunk right behind, at an odd offset, and looks for
# it one byte further on. Nothing fails: `save()` returns, and the file has grown.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq mutagen==1.48.1 av==18.1.0 || exit 2
cd "$work" && venv/bin/python - <<'END'
import os, platform, sys, wave
import av, mutagen
from mutagen.id3 import TIT2
from mutagen.wave import WAVE

def tagged(frames):
    """(bytes before, bytes after, title that mutagen reads back, that FFmpeg reads)"""
    with wave.open("song.wav", "wb") as song:
        song.setparams((1, 1, 8_000, 0, "NONE", ""))
        song.writeframes(b"\x80" * frames)
    before = os.path.getsize("song.wav")
    song = WAVE("song.wav")
    song.add_tags()
    song.tags.add(TIT2(encoding=3, text=["Song"]))
    song.save()
    found = WAVE("song.wav").tags
    with av.open("song.wav") as other:
        title = other.metadata.get("title")
    return before, os.path.getsize("song.wav"), found and str(found["TIT2"]), title

print(f"versions: Python {platform.python_version()}, mutagen {mutagen.version_string},", end=" ")
print(f"PyAV {av.__version__}")
print("expected: what is saved is read back, or save() raises")
even, odd = tagged(8_000), tagged(8_001)
for frames, seen in ((8_000, even), (8_001, odd)):
    print("seen:     {} frames: {} bytes, tagged {}; title: mutagen {}, FFmpeg {}".format(frames, *seen))
sys.exit(0 if even[2:] == ("Song", "Song") and odd[2:] == (None, None) and odd[1] > odd[0] else 1)
END
