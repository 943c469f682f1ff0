#!/usr/bin/env bash
# A song of two artists that FFmpeg copies is one by "Ann;Bob"; from an MP3 made a FLAC, it is Ann's alone.
#
# FFmpeg keeps one value for a name. Of Vorbis comments it joins them by ";", of ID3 and M4A it takes the first,
# `-c copy` or not. A library then has a third artist, who made one song; and who splits at ";" by
# himself still has lost Bob out of the MP3. mutagen copies lists as lists.
# Seen with FFmpeg 7.0.2: FLAC to FLAC ['Ann;Bob'], MP3 to FLAC ['Ann'], M4A to FLAC ['Ann'].
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq imageio-ffmpeg==0.6.0 mutagen==1.48.1 soundfile==0.14.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import subprocess, sys
import imageio_ffmpeg, mutagen, soundfile
import numpy as np

ARTISTS = ["Ann", "Bob"]

def ffmpeg(*arguments):
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y"]
    subprocess.run([*program, *arguments], check=True)

soundfile.write("bare.wav", np.zeros((44_100, 2)), 44_100)
seen = {}
for kind in ("flac", "mp3", "m4a"):
    song, copy = f"song.{kind}", f"copy.{kind}"
    ffmpeg("-i", "bare.wav", song)
    file = mutagen.File(song, easy=True)
    if file.tags is None:
        file.add_tags()
    file["artist"] = ARTISTS
    file.save()
    assert mutagen.File(song, easy=True)["artist"] == ARTISTS
    ffmpeg("-i", song, "-c", "copy", copy)
    ffmpeg("-i", song, "of.flac")
    seen[kind] = mutagen.File(copy, easy=True)["artist"], mutagen.File("of.flac")["artist"]

print("version:  FFmpeg", imageio_ffmpeg.get_ffmpeg_version())
print(f"expected: {ARTISTS}, in the copy and in a FLAC made of it")
for kind, (copied, encoded) in seen.items():
    print(f"seen:     {kind:4} copied {copied}, as FLAC {encoded}")
joined = seen["flac"] == (["Ann;Bob"], ["Ann;Bob"])
sys.exit(0 if joined and seen["mp3"] == seen["m4a"] == (["Ann"], ["Ann"]) else 1)
END
