#!/usr/bin/env bash
# FFmpeg's atempo=1.0, which changes no tempo, brings each beat of a drum stem 21 to 23 ms early and cuts its end off.
#
# It lays pieces of 46 ms where they fit the sound before them, and in the silence between two beats all places fit.
# At half the tempo beats come 24 to 64 ms early, each by another amount, and at double the tempo some are left
# out. Dense sound hides it: noise is not moved. So stems that were stretched one by one no longer fit each other.
# Seen with FFmpeg 7.0.2: of 19 ticks 17 at atempo=2.0; at 1.0 all, 21.2 to 23.2 ms early; noise where it was.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq imageio-ffmpeg==0.6.0 soundfile==0.14.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import subprocess, sys
import imageio_ffmpeg, soundfile
import numpy as np

RATE, BEATS = 44_100, 19
tick = 0.5 * np.exp(-np.arange(300) / 40) * np.sin(np.arange(300) * 0.5)
song = np.zeros(20 * RATE)
for second in range(1, BEATS + 1):
    song[second * RATE : second * RATE + len(tick)] += tick
noise = np.random.default_rng(1).normal(0, 0.1, len(song))

def starts(sound):
    """Seconds at which a tick begins: loud samples after 50 ms without any."""
    loud = np.nonzero(np.abs(sound) > 0.05)[0]
    return np.array([index for index, gap in zip(loud, np.diff(loud, prepend=-RATE)) if gap > RATE // 20]) / RATE

def stretched(sound, tempo):
    """The sound as FFmpeg stretches it."""
    soundfile.write("song.wav", sound, RATE)
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-i", "song.wav"]
    subprocess.run([*program, "-af", f"atempo={tempo}", "out.wav"], check=True)
    return soundfile.read("out.wav")[0]

true = starts(song)
print("version:  FFmpeg", imageio_ffmpeg.get_ffmpeg_version())
print(f"expected: {BEATS} ticks at their times, with atempo=1.0 at least")
seen = {}
for tempo in (1.0, 0.5, 0.8, 2.0):
    sound = stretched(song, tempo)
    found, missing = starts(sound), len(song) / tempo - len(sound)
    seen[tempo] = missing / RATE, found
    print(f"seen:     atempo={tempo}: {len(found)} ticks, {missing / RATE * 1000:.0f} ms less", end="")
    if len(found) == BEATS:
        early = (true / tempo - found) * 1000
        seen[tempo] = missing / RATE, early
        print(f"; they come {early.min():.1f} to {early.max():.1f} ms early", end="")
    print()
same = stretched(noise, 1.0)
apart = np.abs(same[: 10 * RATE] - noise[: 10 * RATE]).max()
print(f"          atempo=1.0 of noise: differs by {apart:.4f} at most")
one, half = seen[1.0], seen[0.5]
moved = len(one[1]) == len(half[1]) == BEATS and one[1].min() > 15 and one[0] > 0.015 and half[1].max() > 40
sys.exit(0 if moved and len(true) == BEATS and len(seen[2.0][1]) < BEATS and apart < 0.001 else 1)
END
