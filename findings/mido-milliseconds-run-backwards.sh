#!/usr/bin/env bash
# A MIDI file of two seconds, whose ticks are milliseconds, lasts -0.16 seconds for mido, and plays at once.
#
# A MIDI file counts in parts of a beat or in parts of a second, as its header says: programs that transcribe sound, which
# has no beat, may take 25 frames of 40 ticks a second. The header's number is negative then, and mido takes it
# for ticks_per_beat. Each note is told a negative time, play() waits for none of them, and no error is raised.
# pretty_midi, which stands on mido, raises an error about the end of a note; symusic's says what it is. Look whether
# ticks_per_beat is negative: its two bytes are minus the frames a second, and the ticks a frame.
# Seen with mido 1.3.3, pretty_midi 0.2.11.post0 and symusic 0.6.0.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq mido==1.3.3 pretty_midi==0.2.11.post0 symusic==0.6.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python - <<'END'
import struct, sys, time
from importlib.metadata import version
import mido, pretty_midi, symusic

def midi(name, division, length):
    """Two notes, each `length` ticks long, with as much silence between them and behind them."""
    def wait(ticks):
        return bytes([0x80 | ticks >> 7, ticks & 0x7F])
    on, off = b"\x90\x3c\x64", b"\x80\x3c\x40"
    events = [b"\0", on, wait(length), off, wait(length), on, wait(length), off, wait(length), b"\xff\x2f\0"]
    track = b"".join(events)
    header = b"MThd" + struct.pack(">IHHH", 6, 0, 1, division)
    open(name, "wb").write(header + b"MTrk" + struct.pack(">I", len(track)) + track)

def tried(read):
    try:
        return read()
    except Exception as error:
        return f"{type(error).__name__}: {error}"

def played(name):
    begun = time.monotonic()
    notes = sum(message.type == "note_on" for message in mido.MidiFile(name).play())
    return notes, round(time.monotonic() - begun, 1)

midi("beats.mid", 250, 250) # at 120 beats a minute
midi("milliseconds.mid", (256 - 25) << 8 | 40, 500)
names = ("mido", "pretty_midi", "symusic")
print("versions:", ", ".join(f"{name} {version(name)}" for name in names))
print("expected: both files last 2.0 s, or an error says that one can't be read")
seen = {}
for name in ("beats.mid", "milliseconds.mid"):
    read = mido.MidiFile(name)
    times = [round(message.time, 3) for message in read]
    seen[name] = read.ticks_per_beat, round(read.length, 3), played(name)
    print(f"seen:     {name}: mido has {read.ticks_per_beat} ticks a beat, {read.length:.3f} s, messages after {times} s,")
    print("          and plays {} notes in {} s".format(*seen[name][2]))
by_pretty_midi = tried(lambda: pretty_midi.PrettyMIDI("milliseconds.mid").get_end_time())
by_symusic = tried(lambda: symusic.Score("milliseconds.mid").end())
print(f"          pretty_midi: {by_pretty_midi}; symusic: {by_symusic}")
right, wrong = seen.values()
fine = right[:2] == (250, 2.0) and right[2][0] == 2 and right[2][1] > 1.9
raised = "end time" in str(by_pretty_midi) and "Division" in str(by_symusic)
sys.exit(0 if fine and wrong[:2] == (-6360, -0.157) and wrong[2][0] == 2 and wrong[2][1] < 0.5 and raised else 1)
END
