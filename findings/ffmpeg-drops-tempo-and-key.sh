#!/usr/bin/env bash
# FFmpeg keeps a song's title when it makes an M4A of it, and drops its tempo and key, even by `-c copy`.
#
# It translates the names of a dozen tags between kinds of files, and tempo and key are not among them. An M4A
# loses what it has no name for. An MP3's become TBPM and TKEY in a FLAC, which nobody looks for there; a FLAC's
# become free text in an MP3, which TagLib finds and mediafile (beets) does not. All else has come along, so
# the loss shows in a DJ's list months later. Tempo and key are to be written after FFmpeg has run.
# Seen with the FFmpeg 9.0.2 of imageio-ffmpeg 0.8.1: of nine ways between three kinds two keep both for all.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq imageio-ffmpeg==0.8.1 mutagen==1.48.1 mediafile==0.17.0 pytaglib==3.2.0 || exit 2
cd "$work" && venv/bin/python - <<'END'
import subprocess, sys, wave
from importlib.metadata import version
import imageio_ffmpeg, mediafile, taglib

KINDS = ("flac", "mp3", "m4a")

def ffmpeg(*arguments):
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *arguments]
    subprocess.run(command, check=True)

def told(name):
    """Of title, tempo and key: what mediafile finds, and what TagLib finds."""
    by_mediafile = mediafile.MediaFile(name)
    with taglib.File(name) as file:
        by_taglib = [file.tags.get(tag) for tag in ("TITLE", "BPM", "INITIALKEY")]
    found = [by_mediafile.title, by_mediafile.bpm, by_mediafile.initial_key]
    return [value is not None for value in found], [value is not None for value in by_taglib]

with wave.open("song.wav", "wb") as song:
    song.setparams((2, 2, 44_100, 0, "NONE", ""))
    song.writeframes(b"\x00\x01\x01\x00" * 44_100)
for kind in KINDS:
    ffmpeg("-i", "song.wav", f"from.{kind}")
    tags = mediafile.MediaFile(f"from.{kind}")
    tags.title, tags.bpm, tags.initial_key = "Song", 125, "Am"
    tags.save()
    assert told(f"from.{kind}") == ([True] * 3, [True] * 3)
print("version: ", imageio_ffmpeg.get_ffmpeg_version(), "with mediafile", version("mediafile"), "and TagLib by pytaglib", version("pytaglib"))
print("expected: title, tempo and key come along, or none of them does")
whole, titles = set(), set()
for kind in KINDS:
    for other in KINDS:
        copied = ("-c", "copy") if kind == other else ()
        ffmpeg("-i", f"from.{kind}", *copied, f"{kind}.{other}")
        seen = told(f"{kind}.{other}")
        whole |= {(kind, other)} if seen == ([True] * 3, [True] * 3) else set()
        titles |= {(kind, other)} if seen[0][0] and seen[1][0] else set()
        left = [" and ".join(tag for tag, there in zip(("tempo", "key"), one[1:]) if there) or "neither" for one in seen]
        print(f"seen:     {kind:4} to {other:4} title in both; mediafile finds {left[0]}, TagLib {left[1]}")
sys.exit(0 if whole == {("flac", "flac"), ("mp3", "mp3")} and len(titles) == 9 else 1)
END
