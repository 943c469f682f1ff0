#!/usr/bin/env bash
# FFmpeg puts tags into a WAV, mutagen finds none there; and the other way round FFmpeg sees both.
#
# A WAV has two homes for tags: LIST/INFO, which FFmpeg, Windows and most recorders write, and an
# `id3 ` chunk, which is the only one that mutagen knows. Its answer for the first kind is `None`.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq av==18.1.0 numpy==2.4.6 mutagen==1.48.1 || exit 2
cd "$work" && venv/bin/python - <<'END'
import sys
import av, mutagen
import numpy as np
from mutagen.id3 import TPE1

def ffmpeg(name):
    with av.open(name) as song:
        return dict(song.metadata)

with av.open("song.wav", "w") as out:
    stream = out.add_stream("pcm_s16le", rate=44_100)
    stream.layout = "stereo"
    out.metadata.update(title="A Song", artist="A Singer")
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 88_200), np.int16), layout="stereo")
    frame.sample_rate = 44_100
    for packet in [*stream.encode(frame), *stream.encode(None)]:
        out.mux(packet)
before = mutagen.File("song.wav").tags, ffmpeg("song.wav").get("artist")
song = mutagen.File("song.wav")
song.add_tags()
song.tags.add(TPE1(text="Somebody Else"))
song.save()
after = mutagen.File("song.wav").tags["TPE1"].text[0], ffmpeg("song.wav").get("artist")
print(f"version:  mutagen {mutagen.version_string}, PyAV {av.__version__}")
print("expected: both read the artist that stands in the file")
print(f"seen:     as FFmpeg wrote it: mutagen {before[0]}, FFmpeg {before[1]!r}")
print(f"          after mutagen wrote another: mutagen {after[0]!r}, FFmpeg {after[1]!r}")
sys.exit(0 if before == (None, "A Singer") and after[0] == "Somebody Else" else 1)
END
