#!/usr/bin/env bash
# A float WAV of 96 kHz that FFmpeg writes is a roar for pydub: what lies at -40 dB comes out at -5, without an error.
#
# Above 48 kHz FFmpeg's header is WAVE_FORMAT_EXTENSIBLE, which says "float" in its second half only. pydub reads
# WAV by itself, looks at the first half, and takes 32 bits for integers: the bits of a small float are a large
# integer. At 44.1 kHz the header is plain, pydub lets FFmpeg read it, and all is well.
# Seen with pydub 0.25.1: a sine of 0.010 has a peak of 0.564 from floats, and right from 24-bit integers.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq pydub==0.25.1 "audioop-lts==0.2.2; python_version >= '3.13'" imageio-ffmpeg==0.6.0 \
    soundfile==0.14.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python -W ignore - <<'END'
import subprocess, sys
from importlib.metadata import version
import imageio_ffmpeg, pydub, soundfile
import numpy as np

RATE = 96_000
song = 0.01 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
soundfile.write("song.flac", song, RATE, subtype="PCM_24")

def peak(codec):
    """A WAV's peak, by soundfile and by pydub."""
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-i", "song.flac", "-c:a", codec, "song.wav"]
    subprocess.run(program, check=True)
    segment = pydub.AudioSegment.from_file("song.wav")
    sound = np.array(segment.get_array_of_samples()) / 2.0 ** (8 * segment.sample_width - 1)
    assert len(sound) == len(song)
    return np.abs(soundfile.read("song.wav")[0]).max(), np.abs(sound).max()

integers, floats = peak("pcm_s24le"), peak("pcm_f32le")
print("version:  pydub", version("pydub"))
print("expected: a peak of 0.010 from both")
print(f"seen:     24-bit integers: soundfile {integers[0]:.3f}, pydub {integers[1]:.3f}")
print(f"          32-bit floats:   soundfile {floats[0]:.3f}, pydub {floats[1]:.3f}")
right = all(abs(found - 0.01) < 0.001 for found in (*integers, floats[0]))
sys.exit(0 if right and floats[1] > 0.3 else 1)
END
