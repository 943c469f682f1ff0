#!/usr/bin/env bash
# An .aac song of a minute that begins with three seconds of silence lasts 40 minutes: FFmpeg, mutagen, TagLib agree.
#
# Such a file (ADTS) has no index: all three take the size of its first frames for the size of all, and
# silence is small. tinytag says a third of a second. Who refuses long songs, or pays by the minute, is
# wrong by a factor of 40; FFmpeg warns that it guesses. To count the frames tells the length, and an M4A does.
# Seen with PyAV 18.1.0, mutagen 1.48.1, pytaglib 3.2.0: 2,429 to 2,798 s; without the silence 61.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq av==18.1.0 numpy==2.4.6 mutagen==1.48.1 pytaglib==3.2.0 tinytag==2.3.2 || exit 2
cd "$work" && venv/bin/python - <<'END'
import sys
from importlib.metadata import version
import av, mutagen, taglib, tinytag
import numpy as np

RATE = 44_100
rng = np.random.default_rng(1)
av.logging.set_level(av.logging.PANIC)

def encode(name, silent):
    """A minute of AAC: silence for so many seconds, then noise."""
    sound = rng.normal(0, 0.1, (2, 60 * RATE)).astype(np.float32)
    sound[:, : silent * RATE] = 0
    with av.open(name, "w", format="adts") as out:
        stream = out.add_stream("aac", rate=RATE, layout="stereo")
        stream.bit_rate = 192_000
        for start in range(0, sound.shape[1], 1024):
            block = np.ascontiguousarray(sound[:, start : start + 1024])
            frame = av.AudioFrame.from_ndarray(block, "fltp", "stereo")
            frame.sample_rate, frame.pts = RATE, start
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))

def lengths(name):
    """Seconds: those of the frames that decode, and what each library says."""
    with av.open(name) as file:
        by_ffmpeg = file.duration / av.time_base
        true = sum(frame.samples for frame in file.decode(audio=0)) / RATE
    with taglib.File(name) as file:
        by_taglib = file.length
    return true, by_ffmpeg, mutagen.File(name).info.length, by_taglib, tinytag.TinyTag.get(name).duration

print("versions: PyAV", version("av"), *(f"{name} {version(name)}" for name in ("mutagen", "pytaglib", "tinytag")))
print("expected: a minute, or a guess near it")
seen = {}
for name, silent in (("at once", 0), ("quiet", 3)):
    encode(f"{name}.aac", silent)
    seen[name] = true, *told = lengths(f"{name}.aac")
    print(f"seen:     {name:7} decodes to {true:.1f} s: FFmpeg {told[0]:.0f}, mutagen {told[1]:.0f},", end=" ")
    print(f"TagLib {told[2]:.0f}, tinytag {told[3]:.1f}")
near = all(55 < length < 65 for length in (*seen["at once"][:4], seen["quiet"][0]))
sys.exit(0 if near and min(seen["quiet"][1:4]) > 600 and seen["quiet"][4] < 5 else 1)
END
