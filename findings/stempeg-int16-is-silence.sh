#!/usr/bin/env bash
# Stems that stempeg reads as 16-bit integers, `dtype=np.int16`, are silence: all samples are 0.
#
# It gets floats up to 1 from FFmpeg, and casts them: what is below full scale is 0. The file is right, its length
# and its channels are, and nothing is said. `ffmpeg_format="s16le"` beside the type gives integers. Who wants
# a quarter of the memory, or writes 16-bit files, gets stems of nothing.
# Seen with stempeg 0.2.6: peaks of 0 of 32,768 for all five stems; as floats 0.25.
set -eu
command -v ffmpeg ffprobe > /dev/null || exit 2
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq stempeg==0.2.6 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python -W ignore - <<'END'
import sys
from importlib.metadata import version
import numpy as np, stempeg

RATE = 44_100
sine = 0.25 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
stempeg.write_stems("song.stem.mp4", np.stack([np.stack([sine, sine], axis=1)] * 5), sample_rate=RATE)
floats, _ = stempeg.read_stems("song.stem.mp4")
integers, _ = stempeg.read_stems("song.stem.mp4", dtype=np.int16)
asked, _ = stempeg.read_stems("song.stem.mp4", dtype=np.int16, ffmpeg_format="s16le")
print("version:  stempeg", version("stempeg"))
print(f"expected: peaks of about 0.25 as floats, or {32_768 // 4:,} of 32,768 as int16")
print(f"seen:     by default {floats.dtype} {floats.shape}, peak {np.abs(floats).max():.2f}")
print(f"          dtype=np.int16: {integers.dtype} {integers.shape}, peak {np.abs(integers).max()}")
print(f"          with ffmpeg_format='s16le': {asked.dtype}, peak {np.abs(asked).max():,}")
right = 0.2 < np.abs(floats).max() < 0.3 and 7_000 < np.abs(asked).max() < 10_000
sys.exit(0 if right and integers.shape == floats.shape and not integers.any() else 1)
END
