#!/usr/bin/env bash
# soundfile reads the first 10 to 27 seconds of a minute's MP3 that FFmpeg wrote into a pipe, and no error.
#
# Into a pipe FFmpeg writes no header that counts the frames. libsndfile then guesses a length from the first
# ones, and there the sound ends: for `read()`, for reading on piece by piece, and for librosa.load. With a
# changing bit rate the guess is far off. mutagen guesses alike; FFmpeg guesses too, but decodes all there is.
# Seen with soundfile 0.14.0 (libsndfile 1.2.2) and FFmpeg 7.0.2: 26.9 and 10.1 of 60.0 s; not piped all.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq soundfile==0.14.0 imageio-ffmpeg==0.6.0 av==18.1.0 mutagen==1.48.1 \
    numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import subprocess, sys
import av, imageio_ffmpeg, mutagen, soundfile
import numpy as np

RATE, SECONDS = 44_100, 60
av.logging.set_level(av.logging.PANIC)
time = np.arange(SECONDS * RATE) / RATE
noise = np.random.default_rng(1).normal(0, 0.1, (len(time), 2))
chord = np.stack([0.2 * np.sin(2 * np.pi * 220 * time), 0.2 * np.sin(2 * np.pi * 331 * time)], axis=1)

def seconds(sound, piped):
    """Of an MP3 of a changing bit rate: what soundfile reads at once, and by pieces, FFmpeg decodes, mutagen tells."""
    soundfile.write("song.wav", sound, RATE)
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y", "-i", "song.wav", "-q:a", "4"]
    if piped:
        song = subprocess.run([*program, "-f", "mp3", "pipe:1"], check=True, stdout=subprocess.PIPE).stdout
        with open("song.mp3", "wb") as file:
            file.write(song)
    else:
        subprocess.run([*program, "song.mp3"], check=True)
    pieces = 0
    with soundfile.SoundFile("song.mp3") as file:
        while piece := len(file.read(4096)):
            pieces += piece
    with av.open("song.mp3") as file:
        decoded = sum(frame.samples for frame in file.decode(audio=0))
    read = len(soundfile.read("song.mp3")[0])
    return read / RATE, pieces / RATE, decoded / RATE, mutagen.File("song.mp3").info.length

print("versions: soundfile", soundfile.__version__, "with", soundfile.__libsndfile_version__, end=", ")
print("FFmpeg", imageio_ffmpeg.get_ffmpeg_version())
print(f"expected: {SECONDS} s")
seen = {}
for name, sound in (("noise", noise), ("a chord", chord)):
    for piped in (True, False):
        seen[name, piped] = read, pieces, decoded, told = seconds(sound, piped)
        print(f"seen:     {name:7} {'piped' if piped else 'file '}: soundfile reads {read:.1f}, by pieces", end=" ")
        print(f"{pieces:.1f}; FFmpeg decodes {decoded:.1f}; mutagen tells {told:.1f}")
whole = all(abs(found[2] - SECONDS) < 0.1 for found in seen.values())
files = all(abs(seen[name, False][0] - SECONDS) < 0.1 for name in ("noise", "a chord"))
short = max(*seen["noise", True][:2], *seen["a chord", True][:2]) < SECONDS / 2
sys.exit(0 if whole and files and short else 1)
END
