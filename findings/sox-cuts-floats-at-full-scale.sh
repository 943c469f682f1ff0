#!/usr/bin/env bash
# A float WAV that SoX copies into a float WAV is cut at full scale, also where it is made 6 dB quieter on the way.
#
# Sums of stems go above 1, and float files are there to hold that: made quieter, all is well again. SoX counts in 32-bit
# integers from the first effect to the last, whatever the files are. What lies above 1 is cut as it is read, before any
# effect, so `vol -6dB` makes plateaus of half the height. The copy is a float WAV like the other. The sox program has a
# warning for it; cysox says nothing. FFmpeg lowers the same file rightly. Lower a mix before SoX gets it.
# Seen with cysox 0.3.0, which brings libsox, and the FFmpeg 9.0.2 of imageio-ffmpeg 0.8.1.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq cysox==0.3.0 imageio-ffmpeg==0.8.1 soundfile==0.14.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import subprocess, sys
from importlib.metadata import version
import cysox, imageio_ffmpeg, soundfile
import numpy as np

RATE = 44_100
time = np.arange(2 * RATE) / RATE
mix = 1.5 * np.sin(2 * np.pi * 100 * time) * np.linspace(0, 1, len(time))
soundfile.write("mix.wav", np.stack([mix, mix], axis=1), RATE, "FLOAT")

def made():
    samples, _ = soundfile.read("made.wav")
    assert soundfile.info("made.wav").subtype == "FLOAT"
    return round(float(np.abs(samples).max()), 2), round(float((np.abs(samples) > 0.999 * np.abs(samples).max()).mean()), 3)

cysox.convert("mix.wav", "made.wav")
copied = made()
cysox.convert("mix.wav", "made.wav", effects=[cysox.fx.Volume(db=-6)])
lowered = made()
command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-i", "mix.wav", "-af", "volume=-6dB", "-c:a", "pcm_f32le", "made.wav"]
subprocess.run(command, check=True)
by_ffmpeg = made()
print("versions: cysox", version("cysox") + ", FFmpeg", imageio_ffmpeg.get_ffmpeg_version())
print("expected: peaks of 1.5, and of 0.75 where it is 6 dB quieter")
for what, (peak, top) in (("copied", copied), ("6 dB quieter", lowered), ("6 dB quieter by FFmpeg", by_ffmpeg)):
    print(f"seen:     {what}: peak {peak}, {top:.1%} of the samples at it")
fine = by_ffmpeg[0] == 0.75 and by_ffmpeg[1] < 0.01
sys.exit(0 if copied[0] == 1.0 and lowered[0] == 0.5 and copied[1] > 0.1 < lowered[1] and fine else 1)
END
