#!/usr/bin/env bash
# ALAC is lossless, but of five seconds that soundfile writes as a CAF, FFmpeg 8.1 leaves the last 684 samples out.
#
# The file says by how much its last packet is shorter than the others. The packet is that short by itself, and
# FFmpeg 8.1 cuts as much off once more, up to 93 ms, where 8.0 took no notice; no error says so. After an
# upgrade of PyAV what was decoded from the same file has another length, and another hash.
# Seen with soundfile 0.14.0: 220,500 samples by PyAV 16.1.0 (FFmpeg 8.0.1), 219,816 by 18.1.0 (8.1.2).
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
for av in 16.1.0 18.1.0; do
    "${PYTHON:-python3}" -m venv "$work/$av" || exit 2
    "$work/$av/bin/pip" install -qq "av==$av" soundfile==0.14.0 numpy==2.4.6 || exit 2
done
cd "$work" && cat > decoding.py <<'END'
import json, sys
import av, numpy as np, soundfile

seen = {}
for name in sys.argv[1:]:
    with av.open(name) as file:
        sound = np.concatenate([frame.to_ndarray() for frame in file.decode(audio=0)], axis=1).T
    whole, _ = soundfile.read(name, dtype="int16")
    seen[name] = len(sound), bool(np.array_equal(sound, whole[: len(sound)]))
print(json.dumps([av.ffmpeg_version_info, seen]))
END
18.1.0/bin/python - <<'END'
import json, subprocess, sys
import numpy as np, soundfile

RATE = 44_100
noise = np.random.default_rng(1).normal(0, 0.1, (5 * RATE, 2))
counts = {"a.caf": 5 * RATE, "b.caf": RATE, "c.caf": 11 * 4096 - 1}
for name, count in counts.items():
    soundfile.write(name, noise[:count], RATE, format="CAF", subtype="ALAC_16")
    assert len(soundfile.read(name)[0]) == count

def decoded(version):
    """(FFmpeg's version, {file: (its samples, whether they are those that soundfile reads)}) with a PyAV."""
    program = [f"{version}/bin/python", "decoding.py", *counts]
    return json.loads(subprocess.run(program, check=True, capture_output=True, text=True).stdout)

old, new = decoded("16.1.0"), decoded("18.1.0")
print("versions: soundfile", soundfile.__version__ + ", FFmpeg", old[0], "and", new[0])
print("expected:", *(f"{count:,}" for count in counts.values()), "samples")
for version, seen in (old, new):
    print(f"seen:     FFmpeg {version}:", *(f"{count:,}" for count, _ in seen.values()))
alike = all(same for _, seen in (old, new) for _, same in seen.values())
whole = all(old[1][name][0] == count for name, count in counts.items())
cut = all(new[1][name][0] == count - (-count % 4096) for name, count in counts.items())
sys.exit(0 if alike and whole and cut else 1)
END
