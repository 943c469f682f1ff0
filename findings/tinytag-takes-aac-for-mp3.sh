#!/usr/bin/env bash
# A minute in an .aac file lasts 245 seconds, or 2, or a third of one, for tinytag: it takes the file for an MP3.
#
# Frames of raw AAC (ADTS) begin with nearly the same bits as an MP3's. tinytag looks for an MP3's frame wherever it
# may stand, finds one by chance in the sound, and tells length, sample rate and channels by it. Each file gets other
# numbers, which could all be true, and no error; for other types that it doesn't know it has an
# UnsupportedFormatError. Who sorts or pays by length reads the packets, or asks mutagen.
# Seen with tinytag 2.3.2 on six files of a minute by FFmpeg 7.0.2: 0.34 to 244.61 s. mutagen 1.48.1: 60.0 to 60.6.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq imageio-ffmpeg==0.6.0 tinytag==2.3.2 mutagen==1.48.1 \
    soundfile==0.14.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import subprocess, sys
from importlib.metadata import version
import imageio_ffmpeg, mutagen, soundfile, tinytag
import numpy as np

RATE, SECONDS = 44_100, 60
time = np.arange(SECONDS * RATE) / RATE
tone = 0.3 * np.sin(2 * np.pi * 220 * time) * (1 + np.sin(4 * np.pi * time)) / 2
sound = tone + np.random.default_rng(1).normal(0, 0.02, len(tone))
soundfile.write("song.wav", np.stack([sound, 0.7 * sound], axis=1), RATE)

def told(rate, bits):
    """(tinytag's seconds, its sample rate, its channels; mutagen's seconds) of an .aac that FFmpeg writes."""
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y", "-i", "song.wav"]
    subprocess.run([*program, "-ar", str(rate), "-b:a", bits, "song.aac"], check=True)
    tag = tinytag.TinyTag.get("song.aac")
    return tag.duration, tag.samplerate, tag.channels, mutagen.File("song.aac").info.length

print("versions: tinytag", version("tinytag") + ", mutagen", version("mutagen") + ", FFmpeg", end=" ")
print(imageio_ffmpeg.get_ffmpeg_version())
print(f"expected: {SECONDS} s, or an error")
asked = [(rate, bits) for rate in (44_100, 48_000) for bits in ("64k", "128k", "192k")]
seen = [told(rate, bits) for rate, bits in asked]
for (rate, bits), (length, found, channels, right) in zip(asked, seen):
    print(f"seen:     {rate} Hz, {bits:4}: {length:6.2f} s, {found} Hz, {channels} channels; mutagen {right:.1f} s")
wrong = sum(abs(length - SECONDS) > 20 for length, *_ in seen) > 3  # which, is chance
soundfile.write("song.caf", sound[:RATE], RATE)
try:
    refused = not tinytag.TinyTag.get("song.caf")
except tinytag.UnsupportedFormatError:
    refused = True
sys.exit(0 if wrong and refused and all(abs(right - SECONDS) < 2 for *_, right in seen) else 1)
END
