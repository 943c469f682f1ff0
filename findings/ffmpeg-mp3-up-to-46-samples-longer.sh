#!/usr/bin/env bash
# An MP3 that FFmpeg encodes may decode to up to 46 samples more than went in.
#
# The Info frame holds how many samples of padding a player has to cut off at the end. Where the last
# frame holds fewer than 47 samples of the song, the true padding is more than FFmpeg ever writes
# (one frame beyond the decoder's delay). So the lengths of stems differ by a millisecond.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq av==18.1.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import sys
from fractions import Fraction
import av
import numpy as np

RATE, FRAME = 44_100, 1_152

def encode(path, samples):
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(samples) / RATE).astype("f4")
    with av.open(path, "w", format="mp3") as out:
        stream = out.add_stream("libmp3lame", rate=RATE, layout="stereo")
        for at in range(0, samples, FRAME):
            piece = np.stack([tone[at : at + FRAME]] * 2)
            frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="stereo")
            frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), at
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))

def padding(path):
    """(frames, delay, padding) as the Info frame says."""
    head = open(path, "rb").read(512)
    info = head.index(b"Info")
    delays = int.from_bytes(head[info + 141 : info + 144])
    return int.from_bytes(head[info + 8 : info + 12]), delays >> 12, delays & 0xFFF

def decoded(path):
    with av.open(path) as song:
        return sum(frame.samples for frame in song.decode(audio=0))

print("versions: PyAV", av.__version__, "with FFmpeg", av.ffmpeg_version_info)
print("expected: as many samples come out as went in")
more = {}
for last in (1, 20, 46, 47, 600):
    samples = 30 * FRAME + last
    encode("song.mp3", samples)
    frames, delay, named = padding("song.mp3")
    more[last] = decoded("song.mp3") - samples
    true = frames * FRAME - delay - samples
    print(f"seen:     {samples} in, {more[last]:+d}; the padding is {true} and named {named}")
sys.exit(0 if list(more.values()) == [46, 27, 1, 0, 0] else 1)
END
