#!/usr/bin/env bash
# The RMS of half an hour of music at -20 dBFS is -20.0 dB for numpy, and -21.1 for the same line compiled by numba.
#
# numpy adds float32 numbers in pairs of pairs, so that errors stay small. numba adds one after the other into one
# float32: from some six minutes on most squares are too small for the sum, and are rounded away. An hour's mix
# is quieter still, whatever its level. numpy does so too where it adds along the frames of a stereo array as soundfile
# reads it: mean(axis=0), and its notes tell of it; numba's page of supported functions doesn't.
# np.mean(..., dtype=np.float64), in numba a sum of one's own that begins with a float64, or means of short blocks help.
# Seen with numba 0.68.1 and numpy 2.4.6: 1.1 dB too quiet; the mean of 20 million ones is 0.839.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq numba==0.68.1 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import sys
import numba
import numpy as np

rng = np.random.default_rng(7)
second = rng.standard_normal(44_100, dtype=np.float32) * np.float32(0.1)

def mean_square(sound):
    return np.mean(sound * sound)

@numba.njit
def mean_square_of_doubles(sound):
    total = 0.0
    for sample in sound:
        total += sample * sample
    return total / sound.size

def decibels(square):
    return round(10 * float(np.log10(square)), 1)

compiled = numba.njit(mean_square)
print("versions: numba", numba.__version__ + ",", "numpy", np.__version__)
print("expected: noise at -20 dB is at -20 dB, however long it lasts and whoever compiles it")
seen = {}
for minutes in (1, 30):
    sound = np.tile(second, minutes * 60)
    seen[minutes] = [decibels(f(sound)) for f in (mean_square, compiled, mean_square_of_doubles)]
    stereo = sound.reshape(-1, 2)
    frames = [decibels(np.square(stereo).mean(axis=0, dtype=dtype).mean()) for dtype in (None, np.float64)]
    seen[minutes] += frames
    numpy, numbas, doubles, *frames = seen[minutes]
    print(f"seen:     {minutes:2} min: numpy {numpy}, numba {numbas}, numba into a double {doubles};")
    print(f"          as stereo by mean(axis=0) {frames[0]}, with dtype=np.float64 {frames[1]}")
ones = float(compiled(np.ones(20_000_000, np.float32)))
print(f"          the mean of 20 million ones is {ones:.3f}")
numpy, numbas, doubles, frames, fine = seen[30]
right = seen[1] == [-20.0] * 5 and numpy == doubles == fine == -20.0
sys.exit(0 if right and numbas < -21 and frames < -20.3 and ones < 0.9 else 1)
END
