#!/usr/bin/env bash
# pedalboard reads an MP3 25 ms late, and a seek to the start of one of its frames lands a frame early.
#
# The file tells the encoder's delay and its padding at the end, and soundfile, FFmpeg and miniaudio cut both
# off. pedalboard keeps them, and says that the length is exact: a stem that went through it, or a WAV that it
# made of an MP3, doesn't lie on the song any more. After `seek(n)` `tell()` is right, and where n is a multiple of 1,152
# `read` begins 1,152 samples before it. Its own MP3s are read so, too: a test that only has it passes.
# Seen with pedalboard 0.9.26: 441,000 samples come back as 442,368, 1,105 late; soundfile has each in place.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq pedalboard==0.9.26 soundfile==0.14.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import sys
import numpy as np, soundfile
from importlib.metadata import version
from pedalboard.io import AudioFile

RATE, FRAME, PIECE = 44_100, 1_152, 2_000
song = (np.random.default_rng(1).standard_normal((10 * RATE, 2)) / 20).astype(np.float32)
with AudioFile("song.mp3", "w", RATE, num_channels=2, quality=320) as file:
    file.write(song.T)

def late(sound):
    """How many samples later than in the song the same is heard."""
    size = 1 << 20
    both = np.fft.rfft(sound[:, 0], size) * np.conj(np.fft.rfft(song[:, 0], size))
    return int(np.fft.irfft(both)[: size // 2].argmax())

by_soundfile, _ = soundfile.read("song.mp3", dtype="float32")
with AudioFile("song.mp3") as file:
    exact = file.exact_duration_known
    by_pedalboard = file.read(file.frames).T

def starts(position):
    """Where `read` begins after a seek to a position, as the whole song's decoding has it."""
    with AudioFile("song.mp3") as file:
        file.seek(position)
        assert file.tell() == position
        piece = file.read(PIECE).T
    near = (max(0, position - FRAME), position)
    here = [at for at in near if np.abs(by_pedalboard[at : at + PIECE] - piece).max() < 1e-4]
    return here[0] if here else None

seeks = {position: starts(position) for position in (1_000, 20_000, 2 * FRAME, 100 * FRAME)}
print("version:  pedalboard", version("pedalboard"), "and soundfile", soundfile.__version__)
print(f"expected: {len(song):,} samples, none late; read() begins where tell() says")
print(f"seen:     soundfile {len(by_soundfile):,}, {late(by_soundfile)} late")
print(f"          pedalboard {len(by_pedalboard):,}, {late(by_pedalboard):,} late; exact_duration_known: {exact}")
for position, at in seeks.items():
    print(f"          after seek({position}) pedalboard reads from {at}")
first = (len(by_soundfile), late(by_soundfile), late(by_pedalboard)) == (len(song), 0, 1_105)
second = seeks == {1_000: 1_000, 20_000: 20_000, 2 * FRAME: FRAME, 100 * FRAME: 99 * FRAME}
sys.exit(0 if first and second and exact and len(by_pedalboard) > len(song) else 1)
END
