#!/usr/bin/env bash
# FFmpeg's `amix` of all stems is not the song: it is half as loud, and grows louder when a stem ends.
#
# The filter scales each input by the number of inputs that still run. The sum of stems needs
# `normalize=0`. A karaoke mix of stems of different lengths swells at the end otherwise.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq imageio-ffmpeg==0.6.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import subprocess, sys
import imageio_ffmpeg
import numpy as np

def ffmpeg(*arguments):
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *arguments]
    return subprocess.run(program, check=True, capture_output=True).stdout

def samples(*arguments):
    return np.frombuffer(ffmpeg(*arguments, "-f", "f32le", "-"), np.float32)

def loudness(sound):
    return float(np.sqrt((sound**2).mean()))

ffmpeg("-f", "lavfi", "-i", "sine=f=440:d=12", "long.wav")
ffmpeg("-f", "lavfi", "-i", "sine=f=660:d=4", "short.wav")
long = samples("-i", "long.wav")
mixed = samples("-i", "long.wav", "-i", "short.wav", "-filter_complex", "amix=inputs=2")
summed = samples("-i", "long.wav", "-i", "short.wav", "-filter_complex", "amix=inputs=2:normalize=0")
both, alone = slice(0, 3 * 44_100), slice(10 * 44_100, 11 * 44_100)
share = loudness(mixed[both]) / loudness(summed[both])
swell = loudness(mixed[alone]) / loudness(long[alone])
print("version:  FFmpeg", imageio_ffmpeg.get_ffmpeg_version())
print("expected: mixing adds the samples")
print(f"seen:     {share:.2f} of the sum while both sound; the long one alone is {swell:.2f} of itself later")
sys.exit(0 if abs(share - 0.5) < 0.01 and swell > 0.9 and len(mixed) == len(long) else 1)
END
