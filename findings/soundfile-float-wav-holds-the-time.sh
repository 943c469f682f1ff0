#!/usr/bin/env bash
# The same sound that soundfile writes twice as a float WAV is two files: the second of the writing is in it.
#
# libsndfile puts a chunk PEAK into each WAV and AIFF of floats, which holds the peaks and the time of day. Two
# stems, or two songs, are never the same file, so a hash of them tells nothing, and a build is not reproducible.
# Written within one second they are equal, as tests have it. Integers, W64 and RF64 hold no time.
# Seen with soundfile 0.14.0 (libsndfile 1.2.2): one byte of a float WAV's 44,180 is another a second later.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq soundfile==0.14.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import io, sys, time
import numpy as np, soundfile

song = (0.25 * np.sin(np.arange(11_025) / 16)).astype(np.float32)
KINDS = [("WAV", "FLOAT"), ("AIFF", "FLOAT"), ("W64", "FLOAT"), ("RF64", "FLOAT"), ("WAV", "PCM_24"), ("FLAC", "PCM_24")]

def written():
    made = {}
    for form, subtype in KINDS:
        file = io.BytesIO()
        soundfile.write(file, song, 44_100, format=form, subtype=subtype)
        made[form, subtype] = file.getvalue()
    return made

first = written()
second = int(time.time())
while int(time.time()) == second:
    time.sleep(0.01)
later = written()
print("version:  soundfile", soundfile.__version__, "with libsndfile", soundfile.__libsndfile_version__)
print("expected: the same samples make the same file")
changed = {}
for kind, content in first.items():
    assert len(content) == len(later[kind])
    changed[kind] = [at for at, (one, other) in enumerate(zip(content, later[kind])) if one != other]
    print(f"seen:     {' '.join(kind):11} of {len(content):,} bytes {len(changed[kind])} differ a second later")
wav = first["WAV", "FLOAT"]
peak = wav.index(b"PEAK")
inside = all(peak + 12 <= at < peak + 16 for at in changed["WAV", "FLOAT"])
same = [kind for kind, places in changed.items() if not places]
sys.exit(0 if changed["WAV", "FLOAT"] and inside and changed["AIFF", "FLOAT"] and len(same) == 4 else 1)
END
