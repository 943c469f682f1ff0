#!/usr/bin/env bash
# filetype knows no type for an AIFF-C or WavPack song, until eyeD3 loads an MP3: from then on they are MP3s, too.
#
# eyeD3 adds matchers of its own to filetype's list, which the whole process shares. One of them calls a file an MP3
# if bytes that could begin an MP3's frame stand anywhere in its first few hundred, as they do in much sound.
# No line of ours changed, and what is let in depends on whether somebody has read a tag before. eyeD3 itself tells
# another length of the AIFF-C then. Who checks files by filetype keeps eyeD3 out of the process.
# Seen with filetype 1.2.0 and eyeD3 0.9.9: None before, audio/mpeg after, for AIFF-C, AU, CAF, W64, WavPack, TTA.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq imageio-ffmpeg==0.6.0 filetype==1.2.0 eyeD3==0.9.9 \
    soundfile==0.14.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import subprocess, sys
from importlib.metadata import version
import eyed3, filetype, imageio_ffmpeg, soundfile
import numpy as np

RATE, SECONDS = 44_100, 60
soundfile.write("song.wav", np.random.default_rng(1).normal(0, 0.1, (SECONDS * RATE, 2)), RATE)
for name in ("song.mp3", "song.aiff", "song.au", "song.caf", "song.w64", "song.wv", "song.tta"):
    sort = ["-c:a", "pcm_s16le"] if name == "song.aiff" else []  # little-endian samples make it an AIFF-C
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-i", "song.wav", *sort, name]
    subprocess.run(program, check=True)

others = "song.aiff", "song.au", "song.caf", "song.w64", "song.wv", "song.tta"
before = [filetype.guess_mime(name) for name in ("song.wav", *others)]
assert eyed3.load("song.mp3").info is not None
after = [filetype.guess_mime(name) for name in ("song.wav", *others)]
length = eyed3.load("song.aiff").info.time_secs
print("versions: filetype", version("filetype") + ", eyeD3", version("eyeD3"))
print("expected: the same answers before and after eyeD3 has loaded an MP3")
for name, first, second in zip(("song.wav", *others), before, after):
    print(f"seen:     {name:9} {first}, then {second}")
print(f"          {SECONDS} s of AIFF-C are an MP3 of {length:.0f} s for eyeD3")
wav = before[0] == after[0] == "audio/x-wav"
sys.exit(0 if wav and set(before[1:]) == {None} and set(after[1:]) == {"audio/mpeg"} and length != SECONDS else 1)
END
