#!/usr/bin/env bash
# A loud song that moviepy only copies into another WAV has all its peaks cut at 0.99, and its last 4 ms are missing.
#
# Reading 16 bits and writing 16 bits gives the same numbers, one guesses. moviepy counts in floats, and holds them between
# -0.99 and 0.99 when it makes integers of them, at any number of bytes. Mastered songs stand at full scale many
# times a second: there each peak becomes a plateau. Its documentation says only that sound is put "back into the bounds".
# The song's length it takes from what FFmpeg prints, in whole hundredths of a second. So a video with a
# song as its sound is clipped, and ends 5 ms too early or too late at most. write_videofile(audio="song.wav") hands the
# file itself to FFmpeg.
# Seen with moviepy 2.2.1 and the FFmpeg of imageio-ffmpeg 0.8.1.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq moviepy==2.2.1 imageio-ffmpeg==0.8.1 soundfile==0.14.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import sys
from importlib.metadata import version
import numpy as np
import soundfile
from moviepy import AudioFileClip

RATE = 44_100
noise = np.random.default_rng(1).normal(0, 1, (5 * RATE + 176, 2)) # 5.004 s
loud = np.tanh(2 * noise) # as a limiter makes it: no sample above full scale
print("versions: moviepy", version("moviepy") + ", imageio-ffmpeg", version("imageio-ffmpeg"))
print("expected: the same samples, all of them")
seen = []
for name, song in (("loud song", loud), ("the same at -1 dB", loud * 10 ** (-1 / 20))):
    soundfile.write("song.wav", song, RATE, "PCM_16")
    with AudioFileClip("song.wav") as clip:
        clip.write_audiofile("copy.wav", logger=None)
    (before, _), (after, rate) = (soundfile.read(name, dtype="int16") for name in ("song.wav", "copy.wav"))
    assert rate == RATE
    missing = len(before) - len(after)
    off = np.abs(before[: len(after)].astype(int) - after)
    seen.append((missing, float((off > 1).mean()), int(np.abs(before.astype(int)).max()), int(np.abs(after.astype(int)).max())))
    print("seen:     {}: {} samples missing, {:.1%} changed, largest {} became {}".format(name, *seen[-1]))
(missing, changed, _, top), (short, quiet, _, _) = seen
sys.exit(0 if missing == short == 176 and changed > 0.05 and quiet == 0 and top == 32_440 else 1)
END
