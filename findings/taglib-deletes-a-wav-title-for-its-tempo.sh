#!/usr/bin/env bash
# A WAV that is given a tempo has no title any more for TagLib, and once TagLib saves it, it has none for anybody.
#
# Title and artist stand in the WAV's INFO chunk, where soundfile and FFmpeg put them, and mutagen puts a tempo beside it,
# into an ID3 chunk. TagLib knows both chunks, so one expects three tags. It shows those of the first chunk that has any,
# as its C++ documentation tells: ID3 hides INFO. But what it shows it writes into both. A save that changes
# nothing deletes title and artist, which soundfile and tinytag saw until then. (In an MP3, ID3 hides an APEv2 tag
# likewise, but a save leaves it there.) Who adds a tag to a WAV writes all its tags into both chunks.
# Seen with pytaglib 3.2.0, mutagen 1.48.1, tinytag 2.3.2 and soundfile 0.14.0.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq pytaglib==3.2.0 mutagen==1.48.1 tinytag==2.3.2 soundfile==0.14.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import sys
from importlib.metadata import version
import mutagen.id3, mutagen.wave, soundfile, taglib, tinytag

def told():
    """Title and artist, by soundfile, by tinytag and by TagLib, and all tags of TagLib."""
    with soundfile.SoundFile("song.wav") as song:
        by_soundfile = song.title, song.artist
    by_tinytag = tinytag.TinyTag.get("song.wav")
    with taglib.File("song.wav") as song:
        tags = {name: values[0] for name, values in song.tags.items()}
    return by_soundfile, (by_tinytag.title, by_tinytag.artist), (tags.get("TITLE"), tags.get("ARTIST")), sorted(tags)

with soundfile.SoundFile("song.wav", "w", 44_100, 2, "PCM_16") as song:
    song.title, song.artist = "Song", "Ann"
    song.write([[0.1, -0.1]] * 44_100)
seen = {"as written": told()}
song = mutagen.wave.WAVE("song.wav")
song.add_tags()
song.tags.add(mutagen.id3.TBPM(encoding=3, text="124"))
song.save()
seen["with a tempo"] = told()
with taglib.File("song.wav") as song:
    song.save()
seen["saved by TagLib, nothing changed"] = told()

packages = ("pytaglib", "mutagen", "tinytag", "soundfile")
print("versions:", ", ".join(f"{name} {version(name)}" for name in packages))
print("expected: title and artist stay, beside the tempo")
for when, (by_soundfile, by_tinytag, by_taglib, tags) in seen.items():
    print(f"seen:     {when}: soundfile {by_soundfile}, tinytag {by_tinytag}, TagLib {by_taglib} of {tags}")
whole, hidden, gone = seen.values()
song, none = ("Song", "Ann"), (None, None)
first = whole[:3] == (song, song, song) and hidden[:3] == (song, song, none)
sys.exit(0 if first and gone[:3] == (("", ""), none, none) and gone[3] == ["BPM"] else 1)
END
