#!/usr/bin/env bash
# FFmpeg's volumedetect says "max_volume: 0.0 dB" of a float song whose peaks lie 6 dB above.
#
# It counts 16-bit numbers. FFmpeg converts floats to them before it, and clips, without a word; the mean is
# of the clipped song too. What tells whether a mix or a stem will clip is the filter `astats`.
# Quiet songs suffer as well: below -90 dB there is nothing.
# Seen with FFmpeg 7.0.2: 0.0 dB for a peak of +6.0 and of +12.0 alike, and -91.0 for one of -120.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq imageio-ffmpeg==0.6.0 soundfile==0.14.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import re, subprocess, sys
import imageio_ffmpeg, soundfile
import numpy as np

RATE = 44_100
sine = np.sin(2 * np.pi * 440 * np.arange(5 * RATE) / RATE)

def peaks(decibels):
    """A float sine's peak in dB, as volumedetect and as astats tell it."""
    soundfile.write("song.wav", sine * 10 ** (decibels / 20), RATE, subtype="FLOAT")
    told = []
    for sieve, label in (("volumedetect", "max_volume"), ("astats", "Peak level dB")):
        program = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-i", "song.wav", "-af", sieve, "-f", "null", "-"]
        answer = subprocess.run(program, check=True, capture_output=True, text=True).stderr
        told.append(float(re.search(rf"{label}: (-?[\d.]+)", answer)[1]))
    return told

print("version:  FFmpeg", imageio_ffmpeg.get_ffmpeg_version())
print("expected: the peak, or an error for sounds that volumedetect can't measure")
seen = {level: peaks(level) for level in (12, 6, -6, -120)}
for level, (detected, stated) in seen.items():
    print(f"seen:     a peak of {level:4} dB: volumedetect {detected:.1f}, astats {stated:.1f}")
right = all(abs(stated - level) < 0.1 for level, (_, stated) in seen.items()) and abs(seen[-6][0] + 6) < 0.1
sys.exit(0 if right and seen[12][0] == seen[6][0] == 0 and seen[-120][0] > -100 else 1)
END
