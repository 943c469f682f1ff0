#!/usr/bin/env bash
# A ten-second MP3 with a cover in its APEv2 tag lasts 29 seconds, says FFmpeg, and counts noise as frames.
#
# The Info frame tells the number of frames. Where what follows the last one is larger than a
# sixteenth of the sound, FFmpeg throws that number away and guesses from the bit rate of the first
# frame. What follows is read as sound, too. mutagen says ten seconds.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq av==18.1.0 numpy==2.4.6 mutagen==1.48.1 || exit 2
cd "$work" && venv/bin/python - <<'END'
import sys
from fractions import Fraction
import av
import mutagen.apev2, mutagen.mp3
import numpy as np

RATE = 44_100
with av.open("song.mp3", "w", format="mp3") as out:
    stream = out.add_stream("libmp3lame", rate=RATE, layout="stereo")
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(10 * RATE) / RATE).astype("f4")
    for at in range(0, len(tone), 4_410):
        piece = np.stack([tone[at : at + 4_410]] * 2)
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="stereo")
        frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), at
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))

def seconds():
    """The container's duration, and what its packets add up to."""
    with av.open("song.mp3") as song:
        packets = sum(1 for packet in song.demux(audio=0) if packet.size)
        return song.duration / 1e6, packets * 1_152 / RATE

def shown(pair):
    return f"{pair[0]:.1f} s, its packets {pair[1]:.1f} s"

plain = seconds()
tag = mutagen.apev2.APEv2()
cover = b"cover.jpg\0" + np.random.default_rng(1).bytes(300_000)  # as incompressible as a JPEG
tag["Cover Art (Front)"] = mutagen.apev2.APEValue(cover, mutagen.apev2.BINARY)
tag.save("song.mp3")
tagged = seconds()
print(f"versions: PyAV {av.__version__} with FFmpeg {av.ffmpeg_version_info},", end=" ")
print("mutagen", mutagen.version_string)
print("expected: a tag changes no duration; the Info frame still tells it")
print("seen:     without the tag", shown(plain))
print("          with it        ", shown(tagged))
print(f"          mutagen, with it {mutagen.mp3.MP3('song.mp3').info.length:.1f} s")
sys.exit(0 if plain[0] < 10.2 and tagged[0] > 20 else 1)
END
