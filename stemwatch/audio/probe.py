"""Is it audio, is it whole, how long is it? Asked before any money is spent."""

from __future__ import annotations

import os

from stemwatch.audio.containers.ogg_pages import links
from stemwatch.audio.ends import missing_share, ogg_is_cut
from stemwatch.audio.frames import Source
from stemwatch.audio.results import Probe
from stemwatch.audio.surveys.seen import SHORT_SHARE, Survey
from stemwatch.audio.surveys.whole import survey
from stemwatch.codes import Code
from stemwatch.errors import Reject

# Decoders conceal a lost packet (20 to 100 ms) here and there; beyond one in a hundred the damage
# is heard, and heard again in every stem that was paid for.
BAD_SHARE = 0.01
_AGAIN = "Copy or download it again, or re-save it in an audio editor, and drop that file."
_NOISE_SHARE = 0.5  # in 300 kB of noise a few "MP3 frames" are found by chance


def probe(path: str, kind: str | None = None, track: int | None = None) -> Probe:
    """What this file is and how long it plays; `kind` where that is known of it (`wav`).

    `track`: see `frames.Source`.

    Raises Reject: `not_audio`, `no_audio_stream`, `protected`, `truncated` (more than 2 % shorter
    than declared), `chained` (an Ogg of recordings that no decoder plays in one go) or `corrupt`
    (more than 1 % of the packets don't decode); OSError where it can't be read.
    """
    with Source(path, kind, track) as source:
        container = source.container.format.name
        codec = source.stream.codec_context.codec.canonical_name
        seen = survey(source)
    if container == "ogg":
        _refuse_chain(path, seen)
    lost = seen.bad + seen.skipped
    share = lost / max(1.0, seen.packets + seen.skipped)
    if not seen.decoded or share > _NOISE_SHARE:
        raise _reject(path, Code.NOT_AUDIO, "is no audio file: next to nothing in it decodes")
    if lost > 1 and share > BAD_SHARE:
        raise _reject(path, Code.CORRUPT, f"is damaged: {share:.1%} of it can't be decoded")
    if container == "ogg" and ogg_is_cut(path):
        raise _reject(path, Code.TRUNCATED, "is incomplete: its last Ogg page is cut off")
    missing = max(missing_share(path), seen.short)
    if missing > SHORT_SHARE:
        raise _reject(
            path, Code.TRUNCATED, f"is incomplete: {100 * missing:.0f} % of it is missing"
        )
    return Probe(
        duration=round(_length(seen), 6),
        codec=codec,
        sample_rate=source.sample_rate,
        channels=source.channels,
        bad_packets=round(lost),
    )


def _refuse_chain(path: str, seen: Survey) -> None:
    """Where recordings follow one another, decoders go on only if all are alike.

    FFmpeg ends at the first that is not, without a word; so may the API's, on a song paid for.
    """
    if not seen.bad and seen.declared and abs(seen.short) <= SHORT_SHARE:
        return
    with open(path, "rb") as file:
        found = links(file)
    if len(set(found)) > 1:
        first, other = found[0], next(one for one in found if one != found[0])
        what = f"is a chain of {len(found)} recordings: {first}, then {other}"
        raise _reject(
            path, Code.CHAINED, what, "Save it as one song, or each as its own, in an editor."
        )


def _length(seen: Survey) -> float:
    """Declared lengths leave out the encoder's delay, so they are taken where they agree."""
    if seen.declared and abs(seen.short) <= SHORT_SHARE and not seen.file_end:
        return seen.declared
    return seen.plays


def _reject(path: str, code: str, what: str, hint: str = _AGAIN) -> Reject:
    return Reject(f"{os.path.basename(path)!r} {what}.", code=code, hint=hint)
