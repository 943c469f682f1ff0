#!/usr/bin/env bash
# A minute in a fragmented M4A, as streams are stored, lasts 0.0 seconds: mutagen, tinytag and TagLib agree.
#
# Such a file tells its lengths piece by piece, and none for the whole at its beginning, where all three
# look. Nor can FFmpeg write an M4A into a pipe otherwise. Title, rate and channels are right, and nothing says that
# the length is not known: a library sorts the song as empty, and who pays by the minute pays nothing.
# Seen with mutagen 1.48.1, tinytag 2.3.2, pytaglib 3.2.0: 0.0 s; FFmpeg 60.0, and by all of the same M4A in one piece.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq imageio-ffmpeg==0.6.0 av==18.1.0 mutagen==1.48.1 tinytag==2.3.2 pytaglib==3.2.0 \
    soundfile==0.14.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import subprocess, sys
from importlib.metadata import version
import av, imageio_ffmpeg, mutagen, soundfile, taglib, tinytag
import numpy as np

RATE, SECONDS = 44_100, 60
soundfile.write("song.wav", np.random.default_rng(1).normal(0, 0.1, (SECONDS * RATE, 2)), RATE)

def ffmpeg(*arguments):
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y"]
    return subprocess.run([*program, *arguments], check=True, stdout=subprocess.PIPE).stdout

def lengths(name):
    """Seconds as FFmpeg, mutagen, tinytag and TagLib tell them; all four find the title."""
    with av.open(name) as file, taglib.File(name) as by_taglib:
        by_mutagen, by_tinytag = mutagen.File(name), tinytag.TinyTag.get(name)
        titles = {file.metadata["title"], by_mutagen["\xa9nam"][0], by_tinytag.title, by_taglib.tags["TITLE"][0]}
        assert titles == {"Song"}
        return file.duration / av.time_base, by_mutagen.info.length, by_tinytag.duration, by_taglib.length

ffmpeg("-i", "song.wav", "-metadata", "title=Song", "-c:a", "aac", "whole.m4a")
ffmpeg("-i", "whole.m4a", "-c", "copy", "-movflags", "frag_keyframe+empty_moov", "fragments.m4a")
with open("piped.m4a", "wb") as file:
    file.write(ffmpeg("-i", "whole.m4a", "-c", "copy", "-f", "ipod", "-movflags", "frag_keyframe+empty_moov", "pipe:1"))

print("versions:", *(f"{name} {version(name)}" for name in ("mutagen", "tinytag", "pytaglib")), end=" ")
print("FFmpeg", imageio_ffmpeg.get_ffmpeg_version())
print(f"expected: {SECONDS} s, or none told")
seen = {name: lengths(name) for name in ("whole.m4a", "fragments.m4a", "piped.m4a")}
readers = "FFmpeg", "mutagen", "tinytag", "TagLib"
for name, found in seen.items():
    told = ", ".join(f"{reader} {length:.1f}" for reader, length in zip(readers, found))
    print(f"seen:     {name:13} {told}")
right = all(abs(length - SECONDS) < 0.1 for length in (*seen["whole.m4a"], seen["fragments.m4a"][0]))
nothing = all(length == 0 for name in ("fragments.m4a", "piped.m4a") for length in seen[name][1:])
sys.exit(0 if right and nothing else 1)
END
