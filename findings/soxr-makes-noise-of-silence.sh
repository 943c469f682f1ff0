#!/usr/bin/env bash
# soxr turns digital silence of 16 bits into noise: nearly a quarter of it is no zeros any more.
#
# It dithers whatever it returns as int16, unasked, and its `resample` has no switch against it. Floats
# stay silent. Who looks for silent stems by "all zeros", or compares bytes, finds other things.
# Seen with soxr 1.1.0: of int16 23 % are 1 or -1, of floats 0 %.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq soxr==1.1.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import inspect, sys
import numpy as np
import soxr

silence = np.zeros((441_000, 2), np.int16)
noise = soxr.resample(silence, 44_100, 48_000)
quiet = soxr.resample(silence.astype(np.float32), 44_100, 48_000)
share = float((noise != 0).mean())
arguments = list(inspect.signature(soxr.resample).parameters)
print("version:  soxr", soxr.__version__)
print("expected: ten seconds of zeros are zeros at any rate")
odd = np.unique(noise[noise != 0])
print(f"seen:     of int16 {share:.0%} are among {odd}; of floats {(quiet != 0).mean():.0%}")
print("          resample takes", ", ".join(arguments))
sys.exit(0 if 0.1 < share < 0.5 and not quiet.any() and "dither" not in arguments else 1)
END
