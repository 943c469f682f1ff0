#!/usr/bin/env bash
# FLAC is lossless, but 32-bit sound that FFmpeg encodes to it loses its lowest eight bits without a word.
#
# FLAC has known 32 bits since 2022, and libFLAC writes them. FFmpeg's encoder takes 32-bit samples,
# writes 24 of them, and reports success. A mix of 32-bit integers does not come back as it was.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq av==18.1.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import sys
import av
import numpy as np

mix = np.random.default_rng(1).integers(-(2**31), 2**31 - 1, (1, 2 * 44_100), dtype=np.int32)
with av.open("mix.flac", "w") as out:
    stream = out.add_stream("flac", rate=44_100)
    stream.layout, stream.format = "stereo", "s32"
    frame = av.AudioFrame.from_ndarray(mix, format="s32", layout="stereo")
    frame.sample_rate = 44_100
    for packet in [*stream.encode(frame), *stream.encode(None)]:
        out.mux(packet)
with av.open("mix.flac") as song:
    back = np.concatenate([frame.to_ndarray() for frame in song.decode(audio=0)], axis=1)
lost = np.abs(back.astype(np.int64) - mix).max()
print(f"version:  PyAV {av.__version__}, libavcodec", av.library_versions["libavcodec"])
print("expected: the samples that went in, or a refusal")
print(f"seen:     the same number of samples, up to {lost} of 2,147,483,648 apart")
sys.exit(0 if back.shape == mix.shape and 0 < lost <= 255 else 1)
END
