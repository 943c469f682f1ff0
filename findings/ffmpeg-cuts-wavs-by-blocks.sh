#!/usr/bin/env bash
# Two seconds that FFmpeg cuts out of a WAV by `-c copy` last 2.043, and may begin 66 ms too late.
#
# PCM has no frames that can't be divided, so a copy cuts between any two samples, one guesses. FFmpeg reads a WAV in blocks
# of 4,096 samples (1,024 and fewer in old versions), and copies whole blocks only. `-ss` in front of `-i` begins
# where it is told; behind `-i`, where a block begins. The end is a block's end in either case. A loop of four beats
# is half a beat behind after six rounds, and stems of different rates are cut differently. Without `-c copy`, FFmpeg
# decodes PCM and encodes the same PCM (`-c:a pcm_s24le`): that loses nothing, and is exact.
# Seen with the FFmpeg 9.0.2 of imageio-ffmpeg 0.8.1: 1,912 samples too many at 44.1 kHz, and a start 2,900 too late.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq imageio-ffmpeg==0.8.1 soundfile==0.14.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import subprocess, sys
import imageio_ffmpeg, soundfile
import numpy as np

RATE, START, LENGTH = 44_100, 54_444, 88_200 # from sample 54,444 on, for two seconds
count = np.arange(10 * RATE, dtype=np.int32) << 8 # each sample of 24 bits tells its own number
soundfile.write("song.wav", np.stack([count, count], axis=1), RATE, "PCM_24")

def cut(*arguments):
    """How many samples too late it begins, and how many too many there are."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *arguments, "cut.wav"]
    subprocess.run(command, check=True)
    samples = soundfile.read("cut.wav", dtype="int32")[0][:, 0] >> 8
    assert (np.diff(samples) == 1).all()
    return int(samples[0]) - START, len(samples) - LENGTH

start, length = ("-ss", f"{START / RATE:.6f}"), ("-t", f"{LENGTH / RATE:.6f}")
song, copy, pcm = ("-i", "song.wav"), ("-c", "copy"), ("-c:a", "pcm_s24le")
seen = {
    "-ss -t -i -c copy": cut(*start, *length, *song, *copy),
    "-ss -i -t -c copy": cut(*start, *song, *length, *copy),
    "-i -ss -t -c copy": cut(*song, *start, *length, *copy),
    "-ss -i -t, encoded again": cut(*start, *song, *length, *pcm),
    "-i -ss -t, encoded again": cut(*song, *start, *length, *pcm),
}
print("version:  FFmpeg", imageio_ffmpeg.get_ffmpeg_version())
print("expected: (0, 0): begins in time, and lasts two seconds")
for what, (late, more) in seen.items():
    print(f"seen:     {what}: begins {late} samples too late ({late / RATE:.3f} s), {more} too many ({more / RATE:.3f} s)")
first, second, third, fine, too = seen.values()
sys.exit(0 if first == second and first[0] == 0 and first[1] > 1_000 and third[0] > 1_000 and fine == too == (0, 0) else 1)
END
