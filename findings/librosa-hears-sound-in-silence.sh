#!/usr/bin/env bash
# librosa's effects.split calls digital silence sound from its first sample to its last, and trim cuts nothing of it.
#
# Sound is what lies less than 60 dB below the loudest part, and in a silent file every part is the loudest.
# So the vocals of an instrumental song, which are silent, or faint hiss, are "all vocals", where a
# song that is sung throughout has its pauses. `ref=1.0` measures against full scale.
# Seen with librosa 0.11.0: one interval of 10 s in silence and in hiss of -100 dB; with ref=1.0 none.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq librosa==0.11.0 numpy==2.4.6 scipy==1.17.1 || exit 2
cd "$work" && venv/bin/python -W ignore - <<'END'
import sys
import librosa
import numpy as np

RATE = 22_050
rng = np.random.default_rng(1)
pauses = rng.normal(0, 0.1, 10 * RATE)
pauses[2 * RATE : 7 * RATE] = 0
sounds = {"silence": np.zeros(10 * RATE), "hiss": rng.normal(0, 1e-5, 10 * RATE), "a song with a pause": pauses}

def heard(sound, **how):
    """Seconds that split calls sound, and that trim leaves."""
    split = sum(int(end - start) for start, end in librosa.effects.split(sound, **how))
    return split / RATE, len(librosa.effects.trim(sound, **how)[0]) / RATE

print("version:  librosa", librosa.__version__)
print("expected: no sound in ten seconds of silence")
seen = {name: (heard(sound), heard(sound, ref=1.0)) for name, sound in sounds.items()}
for name, (usual, full) in seen.items():
    print(f"seen:     {name:19} split hears {usual[0]:4.1f} s, trim leaves {usual[1]:4.1f}", end="; ")
    print(f"with ref=1.0 {full[0]:.1f} and {full[1]:.1f}")
whole = seen["silence"][0] == seen["hiss"][0] == (10, 10)
none = seen["silence"][1] == seen["hiss"][1] == (0, 0)
sys.exit(0 if whole and none and 4.5 < seen["a song with a pause"][0][0] < 5.5 else 1)
END
