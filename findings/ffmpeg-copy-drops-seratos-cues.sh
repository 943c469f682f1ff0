#!/usr/bin/env bash
# An MP3 that FFmpeg copies keeps the cue points that Traktor left in it, and loses those of Serato.
#
# `-c copy` keeps all or nothing of an ID3 tag, one guesses, and tries it with a title. FFmpeg has no place for GEOB, in
# which Serato keeps cue points and beat grid, nor for the stars (POPM) and MusicBrainz's id (UFID). Comment and lyrics come
# out as free text (TXXX), which eyeD3, mediafile and tinytag don't read. Traktor's PRIV stays, even where the song is
# cut and its times are wrong. A FLAC keeps Serato's, which are comments there, so a test with FLACs finds nothing.
# Who mends a song's container copies its tag by mutagen afterwards.
# Seen with the FFmpeg 9.0.2 of imageio-ffmpeg 0.8.1, read by mutagen 1.48.1.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq imageio-ffmpeg==0.8.1 mutagen==1.48.1 || exit 2
cd "$work" && venv/bin/python - <<'END'
import subprocess, sys, wave
from importlib.metadata import version
import imageio_ffmpeg
from mutagen import id3
from mutagen.flac import FLAC

def ffmpeg(*arguments):
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "warning", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stderr.strip()

with wave.open("song.wav", "wb") as song:
    song.setparams((2, 2, 44_100, 0, "NONE", ""))
    song.writeframes(b"\x00\x01\x01\x00" * 44_100 * 3)
for kind in ("mp3", "flac"):
    ffmpeg("-i", "song.wav", "-bitexact", f"song.{kind}")
text = {"encoding": 3, "lang": "eng", "desc": ""}
tag = id3.ID3()
for frame in (
    id3.TIT2(encoding=3, text="Song"),
    id3.COMM(text="a comment", **text),
    id3.USLT(text="la la", **text),
    id3.GEOB(mime="application/octet-stream", desc="Serato Markers2", data=b"\x01\x01AQE="),
    id3.PRIV(owner="TRAKTOR4", data=b"DMRT\x01\x02\x03\x00\xff"),
    id3.POPM(email="a program", rating=196, count=3),
    id3.UFID(owner="http://musicbrainz.org", data=b"0f1e2d3c"),
):
    tag.add(frame)
tag.save("song.mp3", v1=0)
comments = FLAC("song.flac")
comments.update(title="Song", serato_markers_v2="AQE=")
comments.save()

said = ffmpeg("-i", "song.mp3", "-c", "copy", "copied.mp3") + ffmpeg("-i", "song.flac", "-c", "copy", "copied.flac")
print("versions: FFmpeg", imageio_ffmpeg.get_ffmpeg_version() + ", mutagen", version("mutagen"))
before, after = (sorted(frame.HashKey.split(":DMRT")[0] for frame in id3.ID3(name).values()) for name in ("song.mp3", "copied.mp3"))
after = [frame for frame in after if frame != "TSSE"] # FFmpeg's own name
flac = sorted(FLAC("copied.flac").keys())
print("expected:", *before)
print("seen:    ", *after)
print("          in the FLAC:", *flac, "- said by FFmpeg:", said or "nothing")
kept = ["PRIV:TRAKTOR4", "TIT2", "TXXX:comment", "TXXX:lyrics-eng"]
sys.exit(0 if after == kept and len(before) == 7 and "serato_markers_v2" in flac and not said else 1)
END
