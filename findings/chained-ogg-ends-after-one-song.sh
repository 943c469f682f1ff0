#!/usr/bin/env bash
# Two Ogg songs of different rates in one file: three libraries tell the first one's length, FFmpeg fails.
#
# RFC 3533 allows such chains, web radios send them, and `cat` makes them. mutagen, tinytag and
# libsndfile don't say that there is more. FFmpeg raises "not yet implemented" where the second song
# begins, so that a caller who ends at the first error keeps half, and one who is strict loses all.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq av==18.1.0 mutagen==1.48.1 tinytag==2.3.2 soundfile==0.14.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import sys
import av, mutagen, soundfile, tinytag
import numpy as np

for name, rate in (("a.ogg", 44_100), ("b.ogg", 48_000)):
    seconds = np.arange(5 * rate) / rate
    soundfile.write(name, np.sin(2 * np.pi * 440 * seconds) / 4, rate, format="OGG", subtype="VORBIS")
with open("both.ogg", "wb") as out:
    for name in ("a.ogg", "b.ogg"):
        with open(name, "rb") as song:
            out.write(song.read())
decoded, fault = 0, "none"
with av.open("both.ogg") as song:
    try:
        for frame in song.decode(audio=0):
            decoded += frame.samples / frame.sample_rate
    except av.FFmpegError as error:
        fault = type(error).__name__
lengths = (
    mutagen.File("both.ogg").info.length,
    tinytag.TinyTag.get("both.ogg").duration,
    soundfile.info("both.ogg").duration,
)
print(f"version:  mutagen {mutagen.version_string}, tinytag {tinytag.__version__}, soundfile {soundfile.__version__}, PyAV {av.__version__}")
print("expected: ten seconds, or that there is a second song")
print("seen:     mutagen %.1f s, tinytag %.1f s, libsndfile %.1f s" % lengths)
print(f"          FFmpeg decodes {decoded:.1f} s, then {fault}")
sys.exit(0 if max(lengths) < 5.1 and decoded < 5.1 and fault == "PatchWelcomeError" else 1)
END
