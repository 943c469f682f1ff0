#!/usr/bin/env bash
# A peak 1.6 dB above full scale that aubio's sink writes comes out at the other end: 1.2 is -0.8 in the WAV.
#
# aubio counts in floats, and separated stems and sums go above 1 now and then. Its sink makes 16-bit integers of them
# and doesn't hold them at the largest one, so a number too large starts again from below. What would be a little
# clipped, as by soundfile, becomes a crack as loud as there is, and no error says so. Who writes by it holds
# samples between -1 and 1 first.
# Seen with aubio-ledfx 0.4.12, the aubio that has wheels, and soundfile 0.14.0.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq aubio-ledfx==0.4.12 soundfile==0.14.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import sys
from importlib.metadata import version
import aubio, numpy as np, soundfile

RATE, COUNT = 44_100, 44_032
wave = (1.2 * np.sin(2 * np.pi * 441 * np.arange(COUNT) / RATE)).astype(np.float32)
sink = aubio.sink("by_aubio.wav", RATE)
for start in range(0, COUNT, 512):
    sink(wave[start : start + 512], 512)
sink.close()
soundfile.write("by_soundfile.wav", wave, RATE, subtype="PCM_16")

top, bottom = int(wave.argmax()), int(wave.argmin())
seen = {}
for name in ("by_soundfile.wav", "by_aubio.wav"):
    sound, rate = soundfile.read(name)
    assert len(sound) == COUNT and rate == RATE
    seen[name] = sound[top], sound[bottom], np.abs(np.diff(sound)).max()
print("versions: aubio-ledfx", version("aubio-ledfx") + ", soundfile", soundfile.__version__)
step = np.abs(np.diff(wave)).max()
print(f"expected: peaks of {wave[top]:.3f} and {wave[bottom]:.3f} as 1.000 and -1.000; no step above {step:.3f}")
for name, (high, low, step) in seen.items():
    print(f"seen:     {name:17} peaks {high:.3f} and {low:.3f}; largest step {step:.3f}")
held = np.allclose(seen["by_soundfile.wav"][:2], (1.0, -1.0), atol=1e-3)
high, low, step = seen["by_aubio.wav"]
sys.exit(0 if held and abs(high + 0.8) < 0.01 and abs(low - 0.8) < 0.01 and step > 1.9 else 1)
END
