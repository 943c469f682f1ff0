#!/usr/bin/env bash
# A minute in a WAV of ADPCM lasts 0.06 seconds for mutagen, and one of MP3 sound in a WAV 0.02.
#
# A WAV's header says how large a block is. In one of plain samples that is a sample of each channel; in a compressed
# one it is a packet of a thousand. mutagen counts each block as one sample, and passes over the chunk (`fact`) that
# says how many there are. Nothing tells that the number is none. Samplers, dictation machines and old
# sound libraries write such files. Who pays by the minute, or leaves out what is short, reads `fact`, or asks FFmpeg.
# Seen with mutagen 1.48.1 on WAVs of FFmpeg 7.0.2; tinytag 2.3.2 tells 60.0 s of each. A-law is right by both.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq imageio-ffmpeg==0.6.0 mutagen==1.48.1 tinytag==2.3.2 \
    soundfile==0.14.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import subprocess, sys
from importlib.metadata import version
import imageio_ffmpeg, mutagen, soundfile, tinytag
import numpy as np

RATE, SECONDS = 44_100, 60
soundfile.write("song.wav", np.random.default_rng(1).normal(0, 0.1, (SECONDS * RATE, 2)), RATE)

def lengths(codec):
    """Seconds of a WAV in this codec, by mutagen and by tinytag."""
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y", "-i", "song.wav"]
    subprocess.run([*program, "-c:a", codec, "other.wav"], check=True)
    return mutagen.File("other.wav").info.length, tinytag.TinyTag.get("other.wav").duration

print("versions: mutagen", version("mutagen") + ", tinytag", version("tinytag") + ", FFmpeg", end=" ")
print(imageio_ffmpeg.get_ffmpeg_version())
print(f"expected: {SECONDS} s each")
seen = {codec: lengths(codec) for codec in ("pcm_alaw", "adpcm_ima_wav", "adpcm_ms", "libmp3lame")}
for codec, (by_mutagen, by_tinytag) in seen.items():
    print(f"seen:     {codec:13} mutagen {by_mutagen:5.2f} s, tinytag {by_tinytag:5.2f} s")
plain = seen.pop("pcm_alaw")[0] == SECONDS
short = all(by_mutagen < 0.1 and abs(by_tinytag - SECONDS) < 0.1 for by_mutagen, by_tinytag in seen.values())
sys.exit(0 if plain and short else 1)
END
