#!/usr/bin/env bash
# pedalboard's Limiter makes a quiet song louder: at a threshold of -10 dB by 13.7 dB, and its peaks reach 0 dB.
#
# Before it limits it compresses, and makes up for that by a gain which follows from the threshold, for all that
# is below it too. The lower the threshold, the louder the result. Who puts it behind a mix "in case it clips"
# moves each stem's level, and a threshold of -10 dB is no ceiling.
# Seen with pedalboard 0.9.26: a sine of -40 dB comes out at -26 dB; one of -6 dB, which is above -10, at 0.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq pedalboard==0.9.26 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import sys
import pedalboard
import numpy as np

RATE = 44_100
sine = np.sin(2 * np.pi * 440 * np.arange(4 * RATE) / RATE).astype(np.float32)

def limited(level, threshold):
    """The peak in dB of a sine of this level, once the limiter has settled."""
    sound = pedalboard.Limiter(threshold_db=threshold)(np.float32(10 ** (level / 20)) * sine, RATE)
    return 20 * np.log10(np.abs(sound[2 * RATE :]).max())

print("version:  pedalboard", pedalboard.__version__)
print("expected: what is below the threshold stays as it is, and nothing is above it")
seen = {}
for level, threshold in ((-40, -1), (-40, -10), (-20, -10), (-6, -10)):
    seen[level, threshold] = limited(level, threshold)
    print(f"seen:     {level} dB, limited to {threshold} dB: {seen[level, threshold]:.1f} dB")
louder = seen[-40, -1] > -36 and seen[-40, -10] > -28 and seen[-20, -10] > -8
sys.exit(0 if louder and seen[-6, -10] > -1 else 1)
END
