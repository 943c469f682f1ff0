#!/usr/bin/env bash
# Drums that are noise for six of eight seconds have an SDR of 40 dB for museval: the singer rested in those six.
#
# museval scores a song second by second and takes the median. A second in which one of the true stems is silent is
# nothing for that stem, one guesses, and a second like others for the rest. It is nothing for all of them. What
# a separation does wherever one of four instruments rests, intros and breaks, bleeding included, has no influence on any
# score. Look how many seconds are numbers (the frames of museval's JSON), and score pairs, or the song as one window.
# Seen with museval 0.4.1: 6 of 8 seconds are NaN for both stems; as one window the same drums have -1.8 dB.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq --no-compile museval==0.4.1 numpy==2.4.6 scipy==1.17.0 || exit 2
cd "$work" && venv/bin/python -W ignore - <<'END'
import sys
from importlib.metadata import version
import numpy as np
from museval.metrics import bss_eval

rate, seconds = 8_000, 8
rng = np.random.default_rng(3)
vocals, drums, noise = 0.1 * rng.standard_normal((3, rate * seconds, 1))
rests = slice(rate, rate * 7) # the singer's, from the first second to the seventh
vocals[rests] = 0
good = drums + 0.01 * noise
bad = good.copy()
bad[rests] = noise[rests]

def scores(estimate, truth, window):
    """The median SDR of the drums, and how many windows were scored."""
    sung = truth[0] + 0.001 * noise
    found = bss_eval(np.stack(truth), np.stack([sung, estimate]), window=window, hop=window)[0]
    return round(float(np.nanmedian(found[1])), 1), np.isfinite(found).sum(axis=1).tolist()

sings = vocals.copy()
sings[rests] = 0.1 * rng.standard_normal((rate * 6, 1))
seen = {
    "good drums": scores(good, [vocals, drums], rate),
    "drums that are noise while the singer rests": scores(bad, [vocals, drums], rate),
    "the same drums, where the singer never rests": scores(bad, [sings, drums], rate),
    "the same drums as the first, in one window": scores(bad, [vocals, drums], np.inf),
}
print("versions: museval", version("museval") + ",", "numpy", version("numpy"))
print("expected: drums that are noise in six of eight seconds are bad drums")
for what, (sdr, counted) in seen.items():
    print(f"seen:     {what}: {sdr} dB; windows scored of vocals and drums: {counted}")
(fine, _), (rested, counted), (sung, _), (whole, _) = seen.values()
sys.exit(0 if rested > 30 and abs(fine - rested) < 1 and counted == [2, 2] and sung < 3 and whole < 3 else 1)
END
