#!/usr/bin/env bash
# The same M4A of one second is 45,056 samples for PyAV 18 and 44,100 for PyAV 19. No changelog says so.
#
# AAC comes in frames of 1,024 samples, and the file says where its sound ends. FFmpeg 9, inside PyAV
# 19, cuts the last frame there; FFmpeg 8 hands it out whole. Lengths and sums of decoded sound that
# were kept with the one do not match with the other. Needs Python 3.12 or newer.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
python=
for one in "${PYTHON:-python3}" python3.13 python3.12; do
    "$one" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && { python=$one; break; }
done
[ -n "$python" ] || { echo "no Python 3.12 or newer here: set PYTHON" >&2; exit 2; }
cat >"$work/decode.py" <<'END'
import subprocess, sys
import av, imageio_ffmpeg

made = "-v error -y -f lavfi -i sine=d=1 -ac 2 song.m4a".split()
subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), *made], check=True)
with av.open("song.m4a") as song:
    samples = sum(frame.samples for frame in song.decode(audio=0))
print(f"PyAV {av.__version__}: {samples} samples")
END
cd "$work"
for version in 18.1.0 19.0.2; do
    "$python" -m venv "venv$version" || exit 2
    "venv$version/bin/pip" install -qq "av==$version" imageio-ffmpeg==0.6.0 || exit 2
    "venv$version/bin/python" decode.py >>seen
done
echo "version:  $("$python" -V)"
echo "expected: one file, one length: 44,100 samples"
sed 's/^/seen:     /' seen
grep -q "18.1.0: 45056 samples" seen && grep -q "19.0.2: 44100 samples" seen
