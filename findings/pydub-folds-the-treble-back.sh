#!/usr/bin/env bash
# pydub's set_frame_rate(16000) turns a tone of 15 kHz into one of 1 kHz, as loud as it was.
#
# It draws straight lines between samples and filters nothing: all above 8 kHz is folded down into what
# is left. Whoever hands songs on to a model of 16 or 22 kHz so, as recipes do, hands on cymbals as hum.
# FFmpeg, which pydub asks for all else, filters: a file that it made with `-ar 16000` is silent.
# Seen with pydub 0.25.1: -9.0 dB before, -9.0 after, at 1000 Hz; by FFmpeg and soxr nothing.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq pydub==0.25.1 "audioop-lts==0.2.2; python_version >= '3.13'" imageio-ffmpeg==0.6.0 \
    soundfile==0.14.0 soxr==1.1.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python -W ignore - <<'END'
import subprocess, sys
from importlib.metadata import version
import imageio_ffmpeg, pydub, soundfile, soxr
import numpy as np

RATE, LOW = 48_000, 16_000
tone = 0.5 * np.sin(2 * np.pi * 15_000 * np.arange(2 * RATE) / RATE)
soundfile.write("tone.wav", tone, RATE)

def heard(sound, rate):
    """(level in dB, frequency of the loudest part): its middle, away from both ends."""
    middle = sound[len(sound) // 4 : len(sound) * 3 // 4]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    return 10 * np.log10(np.mean(middle**2) + 1e-12), spectrum.argmax() * rate / len(middle)

lower = pydub.AudioSegment.from_wav("tone.wav").set_frame_rate(LOW)
program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", "tone.wav", "-ar", str(LOW), "low.wav"]
subprocess.run(program, check=True)
seen = {
    "before": heard(tone, RATE),
    "pydub": heard(np.array(lower.get_array_of_samples()) / 32768, LOW),
    "FFmpeg": heard(soundfile.read("low.wav")[0], LOW),
    "soxr": heard(soxr.resample(tone, RATE, LOW), LOW),
}
print("version:  pydub", version("pydub"))
print("expected: at 16 kHz nothing is left of a tone of 15 kHz, or next to nothing")
for name, (level, frequency) in seen.items():
    print(f"seen:     {name:6} {level:6.1f} dB" + (f", at {frequency:.0f} Hz" if level > -60 else ""))
folded = seen["pydub"][0] > seen["before"][0] - 1 and abs(seen["pydub"][1] - 1000) < 5
sys.exit(0 if folded and seen["FFmpeg"][0] < -60 and seen["soxr"][0] < -60 else 1)
END
