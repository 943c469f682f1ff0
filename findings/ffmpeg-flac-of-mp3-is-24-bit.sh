#!/usr/bin/env bash
# FFmpeg makes a 24-bit FLAC of an MP3, nearly half as large again as one of 16 bits from the same.
#
# An MP3 decodes to floats, and FFmpeg takes the finest samples that FLAC has. What was a CD before it was
# an MP3 is sent with eight bits a sample of the decoder's rounding, which nobody can predict.
# An upload grows by that much, and songs pass an API's limit in bytes that they would have kept.
# Seen with the FFmpeg 9.0.2 of imageio-ffmpeg 0.8.1: 24 bits, and 1.5 times the bytes.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq imageio-ffmpeg==0.8.1 mutagen==1.48.1 soundfile==0.14.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import os, subprocess, sys
import imageio_ffmpeg, mutagen, soundfile
import numpy as np

RATE = 44_100

def flac(name, *how):
    """(bits, bytes) of the FLAC that FFmpeg makes of a file."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-i", name, *how, "made.flac"]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return mutagen.File("made.flac").info.bits_per_sample, os.path.getsize("made.flac")

time = np.arange(20 * RATE) / RATE
song = 0.3 * np.sin(2 * np.pi * 220 * time) + np.random.default_rng(1).normal(0, 0.02, len(time))
soundfile.write("song.wav", np.stack([song, song[::-1]], axis=1), RATE, "PCM_16")
soundfile.write("song.mp3", *soundfile.read("song.wav"))
disc, unasked, asked = flac("song.wav"), flac("song.mp3"), flac("song.mp3", "-sample_fmt", "s16")
print("version:  FFmpeg", imageio_ffmpeg.get_ffmpeg_version())
print(f"expected: {disc[0]} bits, as of the WAV that the MP3 was made of")
print(f"seen:     {unasked[0]} bits, {unasked[1]:,} bytes; of 16 bits it has {asked[1]:,}")
print(f"          that is {unasked[1] / asked[1]:.2f} times as much")
sys.exit(0 if (disc[0], unasked[0], asked[0]) == (16, 24, 16) and unasked[1] > 1.3 * asked[1] else 1)
END
