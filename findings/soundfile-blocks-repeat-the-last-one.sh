#!/usr/bin/env bash
# soundfile.blocks hands out the last tenth of a second of a minute's MP3 two thousand times, as more sound.
#
# It counts down the frames that the file claims, and never looks at how many were read: what is left in its
# buffer goes out again. An MP3 that FFmpeg wrote into a pipe, and that begins quietly, claims too many. A
# sum, a loudness, a song that is sent on: all are wrong, without an error. `read()` in a loop is right.
# Seen with soundfile 0.14.0 (libsndfile 1.2.2) and FFmpeg 7.0.2: 252 s of 60; one block comes 2,068 times.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq soundfile==0.14.0 imageio-ffmpeg==0.6.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import subprocess, sys
import imageio_ffmpeg, soundfile
import numpy as np

RATE, SECONDS, BLOCK = 44_100, 60, 4096
sound = np.random.default_rng(1).normal(0, 0.1, (SECONDS * RATE, 2))
sound[: 5 * RATE] = 0
soundfile.write("song.wav", sound, RATE)
program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-i", "song.wav", "-q:a", "4"]
with open("piped.mp3", "wb") as file:
    file.write(subprocess.run([*program, "-f", "mp3", "pipe:1"], check=True, stdout=subprocess.PIPE).stdout)
subprocess.run([*program, "file.mp3"], check=True)

def by_blocks(name):
    """(seconds that blocks() hands out, how many of its blocks are the last whole one)."""
    blocks = list(soundfile.blocks(name, BLOCK))
    return sum(map(len, blocks)) / RATE, sum(np.array_equal(block, blocks[-2]) for block in blocks)

def by_reading(name):
    """Seconds that read() hands out until it has no more."""
    total = 0
    with soundfile.SoundFile(name) as file:
        while read := len(file.read(BLOCK)):
            total += read
    return total / RATE

print("versions: soundfile", soundfile.__version__, "with", soundfile.__libsndfile_version__, end=", ")
print("FFmpeg", imageio_ffmpeg.get_ffmpeg_version())
print(f"expected: {SECONDS} s, each block once")
seen = {name: (*by_blocks(name), by_reading(name)) for name in ("file.mp3", "piped.mp3")}
for name, (seconds, times, read) in seen.items():
    print(f"seen:     {name:9} blocks: {seconds:.1f} s, the last whole one {times} times; read: {read:.1f} s")
right = all(abs(read - SECONDS) < 0.1 for *_, read in seen.values()) and seen["file.mp3"][1] == 1
right = right and abs(seen["file.mp3"][0] - SECONDS) < 0.1
sys.exit(0 if right and seen["piped.mp3"][0] > 2 * SECONDS and seen["piped.mp3"][1] > 500 else 1)
END
