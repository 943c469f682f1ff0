#!/usr/bin/env bash
# After a short skip forward in an Ogg Vorbis song soundfile's next samples are wrong, as loud as the song.
#
# Vorbis blocks overlap. Where a seek goes less than about a second ahead, libsndfile decodes on from the block
# it lands in, without the one before. `tell()` is right, and so is what follows that block. Who looks at a
# piece of each half second, as analysers do, looks at noise for 20 ms; a splice clicks. Far seeks are right.
# Seen with soundfile 0.14.0 (libsndfile 1.2.2): 33 of 40 pieces differ, by 0.54; of MP3 and FLAC none.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq soundfile==0.14.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import sys
import numpy as np, soundfile

RATE, PIECE, STEP = 44_100, 4_410, 22_050
song = np.random.default_rng(1).standard_normal((20 * RATE, 2)).astype(np.float32) / 10
kinds = {"song.ogg": ("OGG", "VORBIS"), "song.mp3": ("MP3", "MPEG_LAYER_III"), "song.flac": ("FLAC", "PCM_16")}
wrong = {}
print("version:  soundfile", soundfile.__version__, "with", soundfile.__libsndfile_version__)
print("expected: seek(n) and read(k) give what read() gives from n to n + k")
for name, (container, codec) in kinds.items():
    soundfile.write(name, song, RATE, format=container, subtype=codec)
    whole, _ = soundfile.read(name, dtype="float32")
    starts = range(0, len(whole) - PIECE, STEP)
    differ, longest, loudest = 0, 0, 0.0
    with soundfile.SoundFile(name) as file:
        for start in starts:
            file.seek(start)
            assert file.tell() == start
            apart = np.abs(file.read(PIECE, dtype="float32") - whole[start : start + PIECE]).max(axis=1)
            if apart.max() > 0.02:
                differ += 1
                longest = max(longest, int(np.nonzero(apart > 0.02)[0][-1]) + 1)
                loudest = max(loudest, float(apart.max()))
    wrong[name] = differ
    print(f"seen:     {name}, 0.1 s out of each half second: {differ} of {len(starts)} differ", end="")
    print(f", by up to {loudest:.2f}, in the first {longest} samples" if differ else "")
sys.exit(0 if wrong["song.ogg"] > 10 and not wrong["song.mp3"] and not wrong["song.flac"] else 1)
END
