#!/usr/bin/env bash
# An MP3 made by lameenc begins 25 ms late: stems that it writes don't lie on the song.
#
# All MP3 encoders delay. LAME's program, libsndfile and FFmpeg write in a first frame by how much, and
# decoders cut it off. lameenc, the binding that many Python programs take, never writes that frame.
# Seen with lameenc 1.9.0: 44,100 samples come back as 46,080, 1,105 late.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq lameenc==1.9.0 soundfile==0.14.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import sys
import lameenc
import numpy as np
import soundfile

RATE = 44_100
rng = np.random.default_rng(1)
hit = rng.normal(0, 0.2, 2000) * np.exp(-np.arange(2000) / 400)
song = np.zeros(RATE)
song[10_000:12_000] = hit

def heard(name):
    """(samples, how many samples late) of a decoded MP3."""
    sound = soundfile.read(name)[0]
    return len(sound), int(np.argmax(np.correlate(sound, hit, "valid"))) - 10_000

encoder = lameenc.Encoder()
encoder.set_channels(1)
encoder.set_in_sample_rate(RATE)
encoder.set_bit_rate(192)
encoder.silence()
coded = encoder.encode((song * 32_767).astype(np.int16).tobytes()) + encoder.flush()
with open("by-lameenc.mp3", "wb") as out:
    out.write(coded)
soundfile.write("by-soundfile.mp3", song, RATE)
late, exact = heard("by-lameenc.mp3"), heard("by-soundfile.mp3")
print(f"version:  lameenc 1.9.0, decoded by soundfile {soundfile.__version__}")
print(f"expected: {RATE} samples, 0 late, as from soundfile's MP3: {exact[0]} samples, {exact[1]} late")
print(f"seen:     {late[0]} samples, {late[1]} late ({late[1] / RATE * 1000:.0f} ms)")
sys.exit(0 if exact == (RATE, 0) and late[1] == 1105 and late[0] > RATE else 1)
END
