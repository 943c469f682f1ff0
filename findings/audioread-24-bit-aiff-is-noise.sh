#!/usr/bin/env bash
# audioread reads an AIFF of 24 bits, and a WAV of 8, as full-scale noise, without an error.
#
# It brings all to 16 bits. Of an AIFF it swaps the bytes only afterwards, so of three bytes the highest is
# lost. Eight bits of a WAV have no sign; it takes them as if they had. 16 bits, and a WAV of 24, are right. Its
# own reader of WAV and AIFF comes first, also where FFmpeg is there.
# Seen with audioread 3.1.0: a sine of 0.25 has peaks of 1.00 in the AIFF of 24 bits and the WAV of 8.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq audioread==3.1.0 soundfile==0.14.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python -W ignore - <<'END'
import sys
from importlib.metadata import version
import audioread, soundfile
import numpy as np

RATE = 44_100
song = 0.25 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)

def peak(form, subtype):
    soundfile.write("song", song, RATE, format=form, subtype=subtype)
    assert np.allclose(soundfile.read("song")[0], song, atol=0.01)
    with audioread.audio_open("song") as file:
        sound = np.frombuffer(b"".join(file), "<i2") / 32_768
    assert len(sound) == len(song)
    return float(np.abs(sound).max())

print("version:  audioread", version("audioread"))
print("expected: a peak of 0.25 from each")
seen = {}
for form, subtype in (("AIFF", "PCM_16"), ("AIFF", "PCM_24"), ("WAV", "PCM_U8"), ("WAV", "PCM_16"), ("WAV", "PCM_24")):
    seen[form, subtype] = peak(form, subtype)
    print(f"seen:     {form:4} {subtype}: {seen[form, subtype]:.2f}")
wrong = [kind for kind, found in seen.items() if found > 0.9]
right = all(abs(found - 0.25) < 0.01 for kind, found in seen.items() if kind not in wrong)
sys.exit(0 if right and ("AIFF", "PCM_24") in wrong and ("WAV", "PCM_U8") in wrong else 1)
END
