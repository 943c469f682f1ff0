"""What the helper is asked and answers: plain values, importable without PyAV."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Probe:
    """One audio file that can be used.

    `duration` in seconds, as far as it decodes; `codec` by content, never by extension (`mp3`,
    `aac`, `flac`, `pcm_s16le`, ...); `sample_rate` in Hz; `bad_packets` that were passed over.
    `stem_file`: it has four stems beside its mix (`audio.stem_file`); the rest is the mix's.
    """

    duration: float
    codec: str
    sample_rate: int
    channels: int
    bad_packets: int = 0
    stem_file: bool = False


@dataclass(frozen=True, slots=True)
class MixResult:
    """`gain_db` is what all stems were lowered by (0.0: untouched, else negative); `peak` is the
    sum's highest absolute sample before that, full scale 1.0."""

    gain_db: float
    peak: float


@dataclass(frozen=True, slots=True)
class Measures:
    """What a stem measures; None: not known, or it has none (silence has neither of the first two).

    `loudness_lufs` is integrated by EBU R128, `active_share` (0 to 1) of the time. `waveform` has
    for each column the lowest and the highest sample, int8; empty: not asked for.
    """

    loudness_lufs: float | None = None
    true_peak_dbtp: float | None = None
    active_share: float | None = None
    waveform: bytes = b""


@dataclass(frozen=True, slots=True)
class StemTag:
    """What a stem's tags say of itself: its `title` is "<file's name> (<Stem>)".

    `song`: it is no stem but all of the song, whose own title, album and number it keeps.
    """

    title: str
    stem: str = ""  # as people read it: Vocals
    number: int = 0  # its place among the song's stems and mixes, from 1; 0: not told
    song: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """A file that was made for an upload. `exact`: it decodes to the source's very samples."""

    codec: str
    bytes: int
    exact: bool
    duration_seconds: float
    sample_rate: int
    channels: int
