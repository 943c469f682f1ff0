#!/usr/bin/env bash
# A song in Opus or Ogg Vorbis that FFmpeg turns into an MP3, M4A, FLAC or WAV has no title and no artist any more.
#
# In Ogg the tags are the stream's, elsewhere the file's, and FFmpeg copies each to its like; only Ogg and
# Matroska write both. So PyAV's `container.metadata` of an Opus song is empty as well. The other way, from FLAC
# to Opus, all is kept. `-map_metadata 0:s:a:0` brings the tags along.
# Seen with FFmpeg 7.0.2 and PyAV 18.1.0: of four formats none has the title; from a FLAC all have it.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq imageio-ffmpeg==0.6.0 av==18.1.0 mutagen==1.48.1 \
    soundfile==0.14.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import subprocess, sys
from importlib.metadata import version
import av, imageio_ffmpeg, mutagen, soundfile
import numpy as np

def ffmpeg(*arguments):
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y"]
    subprocess.run([*program, *arguments], check=True)

def titled(name):
    """Whether FFmpeg finds the title in a file, wherever it keeps it."""
    with av.open(name) as file:
        return "Song" in (file.metadata.get("title"), file.streams.audio[0].metadata.get("title"))

soundfile.write("bare.wav", np.zeros((44_100, 2)), 44_100)
print("versions: FFmpeg", imageio_ffmpeg.get_ffmpeg_version() + ",", "PyAV", version("av"))
print("expected: the title in all")
plain, mapped, by_pyav = {}, {}, {}
for source in ("flac", "opus", "ogg"):
    song = f"song.{source}"
    ffmpeg("-i", "bare.wav", "-metadata", "title=Song", song)
    assert mutagen.File(song)["title"] == ["Song"]
    with av.open(song) as file:
        by_pyav[source] = "title" in file.metadata
    plain[source], mapped[source] = [], []
    for target in ("mp3", "m4a", "flac", "wav"):
        ffmpeg("-i", song, f"made.{target}")
        plain[source].append(titled(f"made.{target}"))
        ffmpeg("-i", song, "-map_metadata", "0" if source == "flac" else "0:s:a:0", f"made.{target}")
        mapped[source].append(titled(f"made.{target}"))
    print(f"seen:     from {source:5} {sum(plain[source])} of 4 have it, mapped {sum(mapped[source])};", end=" ")
    print(f"in PyAV's container.metadata: {by_pyav[source]}")
kept = all(plain["flac"]) and by_pyav["flac"] and all(all(found) for found in mapped.values())
lost = not any(plain["opus"] + plain["ogg"]) and not by_pyav["opus"] and not by_pyav["ogg"]
sys.exit(0 if kept and lost else 1)
END
