#!/usr/bin/env bash
# A WAV whose INFO title is Latin-1 can't be opened by PyAV 18, and PyAV 19 can't take what mended it.
#
# PyAV 18 decodes tags strictly when a file is opened: an "É" of a Windows program costs the whole
# song, unless `metadata_errors="replace"` is given. PyAV 19 knows no such argument, and gives lone
# surrogates, which no UTF-8 file, database or terminal takes. Needs Python 3.12 or newer.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
python=
for one in "${PYTHON:-python3}" python3.13 python3.12; do
    "$one" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && { python=$one; break; }
done
[ -n "$python" ] || { echo "no Python 3.12 or newer here: set PYTHON" >&2; exit 2; }
cat >"$work/open.py" <<'END'
import struct, sys
import av

def chunk(name, data):
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)

title = chunk(b"INAM", "Été\0".encode("latin-1"))
sound = struct.pack("<HHIIHH", 1, 1, 44_100, 88_200, 2, 16)
body = chunk(b"fmt ", sound) + chunk(b"LIST", b"INFO" + title) + chunk(b"data", bytes(88_200))
with open("song.wav", "wb") as file:
    file.write(chunk(b"RIFF", b"WAVE" + body))

def opened(**how):
    try:
        with av.open("song.wav", **how) as song:
            return ascii(song.metadata["title"])
    except Exception as fault:
        return type(fault).__name__

print(f"PyAV {av.__version__}: {opened()}; with metadata_errors: {opened(metadata_errors='replace')}")
END
cd "$work"
for version in 18.1.0 19.0.2; do
    "$python" -m venv "venv$version" || exit 2
    "venv$version/bin/pip" install -qq "av==$version" || exit 2
    "venv$version/bin/python" open.py >>seen
done
echo "version:  $("$python" -V)"
echo "expected: the file opens, its title is text; an argument is not dropped without a word of warning"
sed 's/^/seen:     /' seen
grep -q "18.1.0: UnicodeDecodeError; .*: '.ufffdt.ufffd'" seen &&
    grep -q "19.0.2: '.udcc9t.udce9'; .*: TypeError" seen
