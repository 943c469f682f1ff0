#!/usr/bin/env bash
# Ten seconds cut out of an Opus song without encoding last twenty: mutagen, tinytag and FFmpeg agree.
#
# An Ogg page tells a time on the song's clock, and a cut begins in the middle of it, which RFC 7845
# allows. Who takes the last page's time for the length is wrong by all that was cut away. libsndfile
# and the packets themselves say ten seconds.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq av==18.1.0 numpy==2.4.6 mutagen==1.48.1 tinytag==2.3.2 soundfile==0.14.0 || exit 2
cd "$work" && venv/bin/python - <<'END'
import sys
import av, mutagen, soundfile, tinytag
import numpy as np

with av.open("song.opus", "w") as out:
    stream = out.add_stream("libopus", rate=48_000)
    stream.layout = "stereo"
    silence = np.zeros((1, 2 * 960), np.int16)
    for _ in range(20 * 50):
        frame = av.AudioFrame.from_ndarray(silence, layout="stereo")
        frame.sample_rate = 48_000
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))
with av.open("song.opus") as song, av.open("cut.opus", "w") as out:
    sound = song.streams.audio[0]
    stream = out.add_stream_from_template(sound)
    for packet in song.demux(sound):
        if packet.pts is not None and packet.pts * packet.time_base >= 10:
            packet.stream = stream
            out.mux(packet)
with av.open("cut.opus") as song:
    told = song.duration / av.time_base
    heard = sum(frame.samples for frame in song.decode(audio=0)) / 48_000
lengths = {
    "mutagen": mutagen.File("cut.opus").info.length,
    "tinytag": tinytag.TinyTag.get("cut.opus").duration,
    "FFmpeg, told": told,
    "FFmpeg, decoded": heard,
    "libsndfile": soundfile.info("cut.opus").duration,
}
print(f"version:  mutagen {mutagen.version_string}, tinytag {tinytag.__version__}, PyAV {av.__version__}, soundfile {soundfile.__version__}")
print("expected: about 10 s from everybody")
print("seen:     " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in lengths.items()))
wrong = {name for name, seconds in lengths.items() if seconds > 19}
sys.exit(0 if wrong == {"mutagen", "tinytag", "FFmpeg, told"} else 1)
END
