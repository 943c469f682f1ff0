#!/usr/bin/env bash
# Lyrics that [offset:500] is to bring half a second early come half a second late by pylrc, and on time by FFmpeg.
#
# An LRC file's offset is told in milliseconds, and a positive one lets the lyrics appear sooner. pylrc adds it
# instead of taking it off, and writes the wrong times out without the offset. FFmpeg takes it off, but as
# microseconds, a thousandth of it. A karaoke track made by one is wrong by the offset, by the other by twice as
# much. Who makes one takes the offset off each line himself, and hands on a file that has none.
# Seen with pylrc 0.1.2, and PyAV 18.1.0 (FFmpeg 8.1.2): 12.5 s become 13.0 and 12.4995, with -500 12.0 and 12.5005.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq pylrc==0.1.2 av==18.1.0 || exit 2
cd "$work" && venv/bin/python - <<'END'
import sys
from importlib.metadata import version
from pathlib import Path
import av, pylrc

def times(offset):
    """((seconds of the line by pylrc, by FFmpeg), what pylrc writes of it)."""
    Path("song.lrc").write_text(f"[offset:{offset}]\n[00:12.50]La\n")
    lyrics = pylrc.parse(Path("song.lrc").read_text())
    with av.open("song.lrc") as file:
        by_ffmpeg = [float(packet.pts * packet.time_base) for packet in file.demux() if packet.pts is not None]
    return (lyrics[0].time, by_ffmpeg[0]), lyrics.toLRC()

print("versions: pylrc", version("pylrc") + ", PyAV", av.__version__, "with FFmpeg", av.ffmpeg_version_info)
seen = {offset: times(offset) for offset in (0, 500, -500)}
for offset, ((by_pylrc, by_ffmpeg), written) in seen.items():
    print(f"expected: [offset:{offset}] {12.5 - offset / 1000:.4f} s")
    print(f"seen:     pylrc {by_pylrc:.4f}, FFmpeg {by_ffmpeg:.4f}; pylrc writes {written!r}")
plain = seen[0][0] == (12.5, 12.5)
moved = all(abs(seen[offset][0][0] - 12.5 - offset / 1e3) < 1e-6 and abs(seen[offset][0][1] - 12.5 + offset / 1e6) < 1e-6
            for offset in (500, -500))
sys.exit(0 if plain and moved and "[00:13.00]" in seen[500][1] and "offset" not in seen[500][1] else 1)
END
