#!/usr/bin/env bash
# Python 3.11's `wave` can't open a plain stereo WAV of 24 bits that FFmpeg wrote.
#
# FFmpeg describes everything above 16 bits in the longer form of the header (WAVE_FORMAT_EXTENSIBLE),
# stereo or not. `wave` reads it from Python 3.12 on. Debian 12 has 3.11.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
python=
for one in "${PYTHON:-python3}" python3.11; do
    "$one" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null && { python=$one; break; }
done
[ -n "$python" ] || { echo "no Python 3.11 here: set PYTHON" >&2; exit 2; }
"$python" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq av==18.1.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import platform, struct, sys, wave
import av
import numpy as np

def write(name, codec, sample_format, kind):
    with av.open(name, "w") as out:
        stream = out.add_stream(codec, rate=44_100)
        stream.layout, stream.format = "stereo", sample_format
        silence = np.zeros((1, 2 * 44_100), kind)
        frame = av.AudioFrame.from_ndarray(silence, format=sample_format, layout="stereo")
        frame.sample_rate = 44_100
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            out.mux(packet)

def opened(name):
    head = open(name, "rb").read(64)
    tag = struct.unpack_from("<H", head, head.index(b"fmt ") + 8)[0]
    try:
        with wave.open(name) as song:
            return tag, f"{song.getnframes()} frames"
    except wave.Error as fault:
        return tag, str(fault)

write("16.wav", "pcm_s16le", "s16", np.int16)
write("24.wav", "pcm_s24le", "s32", np.int32)
found = opened("16.wav"), opened("24.wav")
print(f"version:  Python {platform.python_version()}, PyAV {av.__version__}")
print("expected: both are stereo PCM, and both open")
print(f"seen:     16 bits: format {found[0][0]:#x}, {found[0][1]}")
print(f"          24 bits: format {found[1][0]:#x}, {found[1][1]}")
sys.exit(0 if found == ((1, "44100 frames"), (0xFFFE, "unknown format: 65534")) else 1)
END
