#!/usr/bin/env bash
# A mono stem that FFmpeg makes stereo with `-ac 2` is 3 dB quieter on both sides, in any format.
#
# Doubling a channel changes nothing, one guesses, and a player plays both the same. FFmpeg takes mono for a centre
# speaker and gives each side 0.707 of it. The stems' sum is no longer the song, and no gain was asked for. amix does it
# unasked where a mono stem stands beside stereo ones, and PyAV's AudioResampler. If the mono stem is named first, amix
# makes the whole sum mono instead. There and back by `-ac 1`, integers stay 3 dB quieter, and floats don't.
# `pan=stereo|c0=c0|c1=c0` doubles.
# Seen with the FFmpeg 9.0.2 of imageio-ffmpeg 0.8.1, and PyAV 18.1.0 (8.1.2); so it is in 5.1 and 7.0.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq imageio-ffmpeg==0.8.1 av==18.1.0 soundfile==0.14.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import subprocess, sys
import av, imageio_ffmpeg, soundfile
import numpy as np

RATE = 44_100
voice = np.random.default_rng(1).normal(0, 0.1, (2 * RATE, 1))
soundfile.write("voice.wav", voice, RATE)
soundfile.write("band.wav", np.zeros((2 * RATE, 2)), RATE) # silent, so that only the voice is measured

def decibels(samples):
    """How much louder than the voice each channel is, in dB."""
    gains = np.sqrt(np.square(samples).mean(axis=0) / np.square(voice).mean())
    return [round(float(20 * np.log10(gain)), 1) for gain in gains]

def ffmpeg(*arguments):
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *arguments, "made.wav"]
    subprocess.run(command, check=True)
    return decibels(soundfile.read("made.wav", always_2d=True)[0])

def back(codec):
    ffmpeg("-i", "voice.wav", "-ac", "2", "-c:a", codec)
    subprocess.run(["mv", "made.wav", "stereo.wav"], check=True)
    return ffmpeg("-i", "stereo.wav", "-ac", "1", "-c:a", codec)

def by_pyav():
    with av.open("voice.wav") as file:
        resampler = av.AudioResampler(format="fltp", layout="stereo")
        frames = [made for frame in file.decode(audio=0) for made in resampler.resample(frame)]
    return decibels(np.concatenate([frame.to_ndarray() for frame in frames], axis=1).T)

mix = "amix=inputs=2:normalize=0"
seen = {
    "-ac 2": ffmpeg("-i", "voice.wav", "-ac", "2"),
    "-ac 2, as floats": ffmpeg("-i", "voice.wav", "-ac", "2", "-c:a", "pcm_f32le"),
    "PyAV's AudioResampler": by_pyav(),
    "amix of the band and the voice": ffmpeg("-i", "band.wav", "-i", "voice.wav", "-filter_complex", mix),
    "amix of the voice and the band": ffmpeg("-i", "voice.wav", "-i", "band.wav", "-filter_complex", mix),
    "-ac 2, then -ac 1": back("pcm_s16le"),
    "-ac 2, then -ac 1, as floats": back("pcm_f32le"),
    "pan": ffmpeg("-i", "voice.wav", "-af", "pan=stereo|c0=c0|c1=c0"),
}
print("versions: FFmpeg", imageio_ffmpeg.get_ffmpeg_version() + ", PyAV", av.__version__, "with FFmpeg", av.ffmpeg_version_info)
print("expected: [0.0, 0.0] dB, the same voice on both sides")
for what, channels in seen.items():
    print(f"seen:     {what}: {channels} dB")
quiet = [-3.0, -3.0]
told = [quiet, quiet, quiet, quiet, [0.0], [-3.0], [0.0], [0.0, 0.0]]
sys.exit(0 if list(seen.values()) == told else 1)
END
