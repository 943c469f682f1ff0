#!/usr/bin/env bash
# Two halves of a FLAC, cut by FFmpeg without encoding, each claim the whole song's length and its MD5.
#
# Both stand in the header that FFmpeg copies as it is. Who tells songs apart by FLAC's own checksum of the
# sound takes the second half for the first and hands out its stems; a budget by length counts 20 s for each
# half, and soundfile raises an error at the end.
# Seen with the FFmpeg 9.0.2 of imageio-ffmpeg 0.8.1: halves of 10 s say 20 s, with one MD5 for three songs.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq imageio-ffmpeg==0.8.1 mutagen==1.48.1 soundfile==0.14.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import subprocess, sys
import imageio_ffmpeg, mutagen, soundfile
import numpy as np

RATE = 44_100

def ffmpeg(*arguments):
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout

def read(name):
    try:
        return f"soundfile reads {len(soundfile.read(name)[0]) / RATE:.1f} s"
    except soundfile.LibsndfileError as error:
        return f"soundfile raises {error}"

noise = np.random.default_rng(1).normal(0, 0.1, (20 * RATE, 2))
soundfile.write("song.wav", noise, RATE, "PCM_16")
ffmpeg("-i", "song.wav", "song.flac")
ffmpeg("-i", "song.flac", "-t", "10", "-c", "copy", "first.flac")
ffmpeg("-ss", "10", "-i", "song.flac", "-c", "copy", "second.flac")
print("version:  FFmpeg", imageio_ffmpeg.get_ffmpeg_version(), "and soundfile", soundfile.__version__)
print("expected: halves of about 10 s, with other checksums than the song's, or with none")
seen = {}
for name in ("song", "first", "second"):
    told = mutagen.File(f"{name}.flac").info
    heard = len(ffmpeg("-i", f"{name}.flac", "-f", "s16le", "-")) / 4 / RATE
    reads = read(f"{name}.flac")
    seen[name] = told.length, told.md5_signature, round(heard), "raises" in reads
    print(f"seen:     {name} says {told.length:.1f} s, MD5 {told.md5_signature >> 96:08x}…; it has {heard:.1f} s; {reads}")
song = seen["song"]
half = (*song[:2], 10, True)
sys.exit(0 if song[1] and song[2:] == (20, False) and seen["first"] == seen["second"] == half else 1)
END
