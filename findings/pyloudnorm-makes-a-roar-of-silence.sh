#!/usr/bin/env bash
# A silent stem that pyloudnorm brings to -14 LUFS is no sound at all, and a 16-bit file of it is full scale.
#
# The loudness of silence is -inf, so its gain is infinite, and zero times that is no number (NaN). pyloudnorm's own
# warning of clipped samples is not given, for NaN is not above 1; NumPy warns of a division. soundfile writes NaN as
# an integer without an error. On x86 that is the lowest there is: the silent stem is the loudest of all.
# `normalize.peak` does the same. Who normalizes stems one by one leaves silent ones as they are.
# Seen with pyloudnorm 0.2.0 and soundfile 0.14.0: all samples NaN, and -32,768 in the WAV.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq pyloudnorm==0.2.0 soundfile==0.14.0 scipy==1.17.1 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import platform, sys, warnings
from importlib.metadata import version
import numpy as np, pyloudnorm, soundfile

RATE = 44_100
silence = np.zeros((2 * RATE, 2))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    loudness = pyloudnorm.Meter(RATE).integrated_loudness(silence)
    caught.clear()
    louder = pyloudnorm.normalize.loudness(silence, loudness, -14.0)
    higher = pyloudnorm.normalize.peak(silence, -1.0)
    told = sorted({str(warning.message) for warning in caught})
soundfile.write("stem.wav", louder, RATE, subtype="PCM_16")
stored, _ = soundfile.read("stem.wav", dtype="int16")

print("versions: pyloudnorm", version("pyloudnorm") + ", soundfile", soundfile.__version__ + ",", platform.machine())
print("expected: silence, or an error")
print(f"seen:     loudness {loudness}; normalize.loudness gives {np.unique(louder)}, normalize.peak {np.unique(higher)}")
print(f"          the samples of the 16-bit WAV are {np.unique(stored)}; warnings: {told}")
none = bool(np.isnan(louder).all() and np.isnan(higher).all()) and not any("clipped" in text for text in told)
full = bool((stored == -32_768).all()) or platform.machine() not in ("x86_64", "AMD64")
sys.exit(0 if none and full else 1)
END
