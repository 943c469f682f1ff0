#!/usr/bin/env bash
# FFmpeg's loudnorm measures a silent stem as "-inf", and refuses "-inf" when it is told what it measured.
#
# The recipe for an even loudness has two passes: the second is given the first one's numbers. For a song without
# vocals it fails with "out of range [-99 - 0]", and so for a float mix that is louder than 0 LUFS. Two
# passes that worked on a thousand songs stop at the first instrumental one.
# Seen with FFmpeg 7.0.2: silence and a loud float song fail in the second pass; a quiet and a usual one don't.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq imageio-ffmpeg==0.6.0 soundfile==0.14.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import json, subprocess, sys
import imageio_ffmpeg, soundfile
import numpy as np

RATE = 48_000
noise = np.random.default_rng(1).normal(0, 0.1, (5 * RATE, 2))

def loudnorm(options, to):
    """One pass over song.wav: (whether it succeeded, what FFmpeg wrote)."""
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-y", "-i", "song.wav", "-af", f"loudnorm={options}", *to]
    done = subprocess.run(program, capture_output=True, text=True)
    return done.returncode == 0, done.stderr

def two_passes(gain):
    """(loudness as the first pass tells it, whether the second took it, why not) of noise by a gain."""
    soundfile.write("song.wav", gain * noise, RATE, subtype="FLOAT")
    fine, text = loudnorm("print_format=json", ("-f", "null", "-"))
    assert fine
    told = json.loads(text[text.rindex("{") : text.rindex("}") + 1])
    names = {"I": "i", "LRA": "lra", "TP": "tp", "thresh": "thresh"}
    measured = [f"measured_{name}={told['input_' + short]}" for name, short in names.items()]
    fine, text = loudnorm(":".join([*measured, f"offset={told['target_offset']}", "linear=true"]), ("out.wav",))
    return told["input_i"], fine, [line for line in text.splitlines() if "out of range" in line]

print("version:  FFmpeg", imageio_ffmpeg.get_ffmpeg_version())
print("expected: the second pass takes what the first one measured")
seen = {name: two_passes(gain) for name, gain in (("silent", 0), ("quiet", 0.01), ("usual", 1), ("loud", 40))}
for name, (loudness, fine, why) in seen.items():
    reason = why[0].partition("] ")[2] if why else ""
    print(f"seen:     {name:6} {loudness:>6} LUFS: second pass {'done' if fine else 'failed: ' + reason}")
right = seen["quiet"][1] and seen["usual"][1] and seen["silent"][0] == "-inf"
sys.exit(0 if right and not seen["silent"][1] and not seen["loud"][1] and seen["silent"][2] else 1)
END
