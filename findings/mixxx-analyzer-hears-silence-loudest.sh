#!/usr/bin/env bash
# mixxx-analyzer calls digital silence the loudest of all songs, 0.0 LUFS, and in C minor.
#
# What it can't measure it returns as zeros, which are good values of loudness and gain; only the tempo is
# None. A stem of an instrument that a song lacks is silent: a list by loudness has it first, and a DJ
# program that is told its key mixes it as C minor.
# Seen with mixxx-analyzer 0.1.2: silence 0.0 LUFS and C minor, noise that clips nowhere -13.9 LUFS.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq mixxx-analyzer==0.1.2 soundfile==0.14.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import sys
from importlib.metadata import version
import mixxx_analyzer, soundfile
import numpy as np

RATE = 44_100
noise = np.random.default_rng(1).normal(0, 0.1, (20 * RATE, 2))
soundfile.write("noise.wav", noise, RATE)
soundfile.write("silence.wav", 0 * noise, RATE)
heard, silent = mixxx_analyzer.analyze("noise.wav"), mixxx_analyzer.analyze("silence.wav")
print("version:  mixxx-analyzer", version("mixxx-analyzer"))
print("expected: no loudness (or one of -70 and less) and no key for silence")
print(f"seen:     silence {silent.lufs} LUFS, gain {silent.replay_gain}, {silent.key} ({silent.camelot}), tempo {silent.bpm}")
print(f"          noise   {heard.lufs} LUFS, gain {heard.replay_gain}")
sys.exit(0 if (silent.lufs, silent.key) == (0, "C minor") and -30 < heard.lufs < -10 else 1)
END
