#!/usr/bin/env bash
# FFmpeg mixes the same 5.1 song down 2.4 times as loud into a float WAV as into one of 16 bits.
#
# `-ac 2` scales its matrix so that nothing can clip, but only where samples are integers: for floats
# the centre and the back are added on top. Of stereo, `-ac 1` makes 1.4 times as much.
# Seen with FFmpeg 7.0.2: 2.41 times as loud from 5.1 to stereo, 1.41 from stereo to mono.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq imageio-ffmpeg==0.6.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import subprocess, sys
import imageio_ffmpeg
import numpy as np

def ffmpeg(*arguments):
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *arguments]
    return subprocess.run(program, check=True, capture_output=True).stdout

def loudness(name, channels, codec):
    ffmpeg("-i", name, "-ac", channels, "-c:a", codec, "mixed.wav")
    raw = ffmpeg("-i", "mixed.wav", "-f", "f64le", "-")
    return float(np.sqrt((np.frombuffer(raw) ** 2).mean()))

tone = "sine=f=440:d=2"
ffmpeg("-f", "lavfi", "-i", f"{tone},pan=5.1|c0=c0|c1=c0|c2=c0|c3=c0|c4=c0|c5=c0", "film.wav")
ffmpeg("-f", "lavfi", "-i", f"{tone},pan=stereo|c0=c0|c1=c0", "song.wav")
ratios = []
for name, channels in (("film.wav", "2"), ("song.wav", "1")):
    whole = loudness(name, channels, "pcm_s16le")
    ratios.append(loudness(name, channels, "pcm_f32le") / whole)
film, song = ratios
print("version:  FFmpeg", imageio_ffmpeg.get_ffmpeg_version())
print("expected: float or integer changes how finely a sound is written, not how loud it is")
print(f"seen:     float is {film:.2f} times as loud from 5.1 to stereo, {song:.2f} from stereo to mono")
sys.exit(0 if abs(film - 2.414) < 0.01 and abs(song - 1.414) < 0.01 else 1)
END
