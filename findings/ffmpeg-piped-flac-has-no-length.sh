#!/usr/bin/env bash
# A FLAC that FFmpeg wrote into a pipe lasts 0 seconds for mutagen, and 6.6 million years for soundfile.
#
# FFmpeg goes back to write length and checksum at the end, which a pipe forbids, so both stay 0: "unknown"
# in FLAC's specification. Uploads and downloads that are encoded on the fly look like this. A limit by
# length lets all of them through, or none, and a budget counts 0 seconds.
# Seen with the FFmpeg 9.0.2 of imageio-ffmpeg 0.8.1: 0.0 s, and 2^63 - 1 frames; 10.0 s are in it.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq imageio-ffmpeg==0.8.1 mutagen==1.48.1 tinytag==2.3.2 soundfile==0.14.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import subprocess, sys
import imageio_ffmpeg, mutagen, soundfile, tinytag
import numpy as np

RATE = 44_100

def ffmpeg(*arguments):
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout

noise = np.random.default_rng(1).normal(0, 0.1, (10 * RATE, 2))
soundfile.write("song.wav", noise, RATE, "PCM_16")
with open("song.flac", "wb") as out:
    out.write(ffmpeg("-i", "song.wav", "-f", "flac", "-"))
frames = soundfile.info("song.flac").frames
told = mutagen.File("song.flac").info.length, tinytag.TinyTag.get("song.flac").duration
heard = len(ffmpeg("-i", "song.flac", "-f", "s16le", "-")) / 4 / RATE
print("version:  FFmpeg", imageio_ffmpeg.get_ffmpeg_version(), "mutagen", mutagen.version_string,
      "tinytag", tinytag.__version__, "soundfile", soundfile.__version__)  # fmt: skip
print(f"expected: {heard:.1f} s, which are in it, or that the length isn't known")
try:
    soundfile.read("song.flac")
    read = "reads it"
except ValueError as error:
    read = f"can't read it: {error}"
print(f"seen:     mutagen {told[0]} s, tinytag {told[1]} s, soundfile {frames} frames")
print("          soundfile", read)
sys.exit(0 if told == (0, 0) and frames == 2**63 - 1 and heard == 10 else 1)
END
