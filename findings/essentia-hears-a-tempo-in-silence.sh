#!/usr/bin/env bash
# Essentia hears 738 beats a minute in digital silence, and is surer of them than of a metronome.
#
# RhythmExtractor2013 looks for 40 to 208 beats, by default, and calls a confidence of 3.5 and more excellent. In
# silence it finds a beat every 81 ms, above all that was asked for. A stem of an instrument that a song
# lacks, or a song's gap, gets a tempo, and no threshold of the confidence keeps it out. Any hiss ends it.
# Seen with essentia 2.1b6.dev1389: silence 738.3 at 5.0, ticks of 124 at 3.9, quiet noise 104.4 at 0.0.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq essentia==2.1b6.dev1389 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import sys
from importlib.metadata import version
import essentia
import numpy as np

essentia.log.infoActive = essentia.log.warningActive = False
from essentia.standard import RhythmExtractor2013

RATE = 44_100
tick = np.exp(-np.arange(600) / 90) * np.sin(np.arange(600) * 0.35)
ticks = np.zeros(60 * RATE)
for second in np.arange(0.5, 59, 60 / 124):
    start = round(second * RATE)
    ticks[start : start + len(tick)] += tick
sounds = {"silence": 0 * ticks, "ticks of 124": ticks, "quiet noise": np.random.default_rng(1).normal(0, 1e-6, len(ticks))}

print("version:  essentia", version("essentia"))
print("expected: silence has no tempo, or one that nobody is sure of; none above 208")
seen = {}
for name, sound in sounds.items():
    tempo, beats, confidence, _, _ = RhythmExtractor2013()(sound.astype(np.float32))
    seen[name] = tempo, confidence
    print(f"seen:     {name:12} {tempo:.1f} beats a minute, {len(beats)} of them, confidence {confidence:.2f}")
(wild, sure), (true, less), (_, unsure) = seen.values()
sys.exit(0 if wild > 300 and sure > 3.5 and sure > less and abs(true - 124) < 1 and unsure < 1 else 1)
END
