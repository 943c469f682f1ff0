#!/usr/bin/env bash
# soundfile writes an MP3 of stereo 16-bit samples, without an error, and it is noise.
#
# Of the same samples as floats or as int32, or of one channel, the MP3 is right. `soundfile.read` with
# `dtype="int16"` and `soundfile.write` to MP3 are two calls that nobody would listen to in between.
# Seen with soundfile 0.14.0 (libsndfile 1.2.2): an error of +1 dB, of the others -41 to -45.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq soundfile==0.14.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import sys
import numpy as np
import soundfile

RATE = 44_100
tone = 0.25 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE)

def error(kind, channels):
    """How far the MP3 is from the tone, in dB of the tone; the ends are left out."""
    sound = tone if kind.kind == "f" else tone * np.iinfo(kind).max
    soundfile.write("song.mp3", np.stack([sound] * channels, 1).astype(kind), RATE)
    heard = soundfile.read("song.mp3", always_2d=True)[0][:, 0]
    middle = slice(RATE // 2, RATE)
    off = heard[middle] - tone[middle]
    return float(10 * np.log10((off**2).mean() / (tone[middle] ** 2).mean()))

kinds = [(np.dtype(kind), channels) for kind in ("f4", "i4", "i2") for channels in (1, 2)]
errors = {(str(kind), channels): error(kind, channels) for kind, channels in kinds}
noise = errors.pop(("int16", 2))
print(f"version:  soundfile {soundfile.__version__}, libsndfile {soundfile.__libsndfile_version__}")
print("expected: the MP3 of a tone is off by -40 dB, whatever type its samples had")
for (kind, channels), off in errors.items():
    print(f"seen:     {kind:>7}, {channels} channels: {off:6.1f} dB")
print(f"seen:       int16, 2 channels: {noise:6.1f} dB")
sys.exit(0 if max(errors.values()) < -30 and noise > -10 else 1)
END
