#!/usr/bin/env bash
# A FLAC with a cover that FFmpeg turns into song.ogg is a film: OggTheora for mutagen, of 0.00 seconds.
#
# FFmpeg takes the cover for the picture that a film of this kind has, and encodes it, without a warning; a
# .wma too. To song.m4a it fails; MP3, WAV and Opus are songs. With `-vn` all are, and none has a cover.
# Who asks mutagen for such a song's length is told none; who plays it sees a film of one picture.
# Seen with FFmpeg 7.0.2 and mutagen 1.48.1: OggTheora, 0.00 s; with -vn OggVorbis, 5.00 s.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq imageio-ffmpeg==0.6.0 mutagen==1.48.1 soundfile==0.14.0 \
    pillow==13.0.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import io, subprocess, sys
from importlib.metadata import version
import imageio_ffmpeg, mutagen, soundfile
import numpy as np
from mutagen.flac import FLAC, Picture
from PIL import Image

RATE = 44_100
soundfile.write("song.flac", np.random.default_rng(1).normal(0, 0.1, (5 * RATE, 2)), RATE)
jpeg, cover, song = io.BytesIO(), Picture(), FLAC("song.flac")
Image.new("RGB", (500, 500), (200, 30, 30)).save(jpeg, "JPEG")
cover.type, cover.mime, cover.width, cover.height, cover.depth = 3, "image/jpeg", 500, 500, 24
cover.data = jpeg.getvalue()
song.add_picture(cover)
song["title"] = "Song"
song.save()

def made(name, *how):
    """(what mutagen calls the file that FFmpeg made, its seconds); ("error", 0.0) where it made none."""
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "quiet", "-nostdin", "-y", "-i", "song.flac", *how, name]
    if subprocess.run(program).returncode:
        return "error", 0.0
    file = mutagen.File(name)
    return type(file).__name__, round(file.info.length, 2)

print("versions: FFmpeg", imageio_ffmpeg.get_ffmpeg_version() + ",", "mutagen", version("mutagen"))
print("expected: a song of five seconds in each format, with its cover or without")
seen = {name: (made(name), made(name, "-vn")) for name in ("song.ogg", "song.m4a", "song.mp3", "song.opus")}
for name, (plain, without) in seen.items():
    print(f"seen:     {name:9} {plain[0]} of {plain[1]:.2f} s; with -vn {without[0]} of {without[1]:.2f} s")
songs = [*seen["song.mp3"], *seen["song.opus"], *(without for _, without in seen.values())]
right = all(kind != "OggTheora" and 4.9 < length < 5.2 for kind, length in songs)
sys.exit(0 if right and seen["song.ogg"][0] == ("OggTheora", 0.0) and seen["song.m4a"][0][0] == "error" else 1)
END
