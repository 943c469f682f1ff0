#!/usr/bin/env bash
# A minute's MP3, made by `ffmpeg -i song.wav song.mp3` and nothing else, lasts two minutes for eyeD3.
#
# The first frame of such an MP3 holds no sound but what there is to know, the number of frames, too. FFmpeg may give
# that frame another bit rate than the song's. eyeD3 counts frames only where the rate varies; else it divides the
# file's size by the size of that one frame. A mono song lasts 69 s, one of 24 kbit/s half a minute; at `-b:a 128k`
# it happens to be right. Who pays by the minute takes the number of frames.
# Seen with eyeD3 0.9.9 and FFmpeg 7.0.2: 120.7 s and 64 kbit/s; mutagen 1.48.1: 60.0 and 128.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq imageio-ffmpeg==0.6.0 eyeD3==0.9.9 mutagen==1.48.1 \
    soundfile==0.14.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import subprocess, sys
from importlib.metadata import version
import eyed3, imageio_ffmpeg, mutagen, soundfile
import numpy as np

RATE, SECONDS = 44_100, 60
soundfile.write("song.wav", np.random.default_rng(1).normal(0, 0.1, (SECONDS * RATE, 2)), RATE)
asked = {"as it comes": [], "mono": ["-ac", "1"], "24 kbit/s": ["-b:a", "24k"], "variable": ["-q:a", "4"]}

def lengths(options):
    """((seconds, kbit/s) by eyeD3, the same by mutagen) of an MP3 that FFmpeg makes with these options."""
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y", "-i", "song.wav"]
    subprocess.run([*program, *options, "song.mp3"], check=True)
    by_eyed3, by_mutagen = eyed3.load("song.mp3").info, mutagen.File("song.mp3").info
    return (by_eyed3.time_secs, by_eyed3.bit_rate[1]), (by_mutagen.length, by_mutagen.bitrate // 1000)

print("versions: eyeD3", version("eyeD3") + ", mutagen", version("mutagen") + ", FFmpeg", end=" ")
print(imageio_ffmpeg.get_ffmpeg_version())
print(f"expected: {SECONDS} s each")
seen = {name: lengths(options) for name, options in asked.items()}
for name, told in seen.items():
    by_two = (f"{who} {time:5.1f} s, {rate:3} kbit/s" for who, (time, rate) in zip(("eyeD3", "mutagen"), told))
    print(f"seen:     {name:11}", "; ".join(by_two))
twice, mono, low, variable = (told[0][0] / SECONDS for told in seen.values())
right = all(abs(told[1][0] - SECONDS) < 0.1 for told in seen.values()) and abs(variable - 1) < 0.01
sys.exit(0 if right and twice > 1.9 and mono > 1.1 and low < 0.6 else 1)
END
