"""Small real engines for the local server's tests: every stem is the decoded mix itself.

They meet the tests through the directory `$LOCAL_ENGINE_ROOM`: a file `started-<pid>` says that a
separation began, `open` lets the gated one end, `mood` is how the moody one
behaves, `death-*` are its deaths.
"""

from __future__ import annotations

import errno
import os
import signal
import time
import wave
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import av

from stemwatch.errors import Reject
from stemwatch.job import STEMS

Progress = Callable[[float], None]


class Separation(NamedTuple):
    stems: dict[str, str]
    bpm: float | None
    key: str | None
    bpm_confidence: float | None
    key_confidence: float | None
    duration: float
    tuning_cents: float
    first_beat_seconds: float


def copy(source: str, out_dir: str, *, stems: int, format: str, progress: Progress) -> Separation:
    """Each stem is the mix, decoded."""
    with av.open(source) as opened:
        resampler = av.AudioResampler("s16", "stereo", 44100)
        frames = [
            out for frame in opened.decode(audio=0) for out in resampler.resample(frame)
        ] + resampler.resample(None)
    samples = b"".join(bytes(frame.planes[0])[: frame.samples * 4] for frame in frames)
    paths = {}
    for stem in STEMS[stems]:
        paths[stem] = os.path.join(out_dir, f"{stem}.{format}")
        if format == "wav":
            with wave.open(paths[stem], "wb") as out:
                out.setparams((2, 2, 44100, 0, "NONE", ""))
                out.writeframes(samples)
        else:
            import numpy as np  # 100 ms of each engine's start, which WAV does without

            from stemwatch.audio.codec import Encoder

            with Encoder(paths[stem], format, channels=2) as encoder:
                encoder.write(np.frombuffer(samples, "<i2").reshape(-1, 2).astype("f4") / 32768)
    progress(1.0)
    print("engines may print")  # must not disturb the answers
    return Separation(paths, 120.0, "C# minor", 0.9, 0.8, len(samples) / 4 / 44100, -12.5, 0.25)


def gated(source: str, out_dir: str, *, stems: int, format: str, progress: Progress) -> Separation:
    """Does nothing until the gate is open."""
    return _once_open(source, out_dir, stems, format, progress, lambda: time.sleep(0.05))


def busy(source: str, out_dir: str, *, stems: int, format: str, progress: Progress) -> Separation:
    """Computes until the gate is open."""

    def compute() -> None:
        deadline = time.monotonic() + 0.05
        while time.monotonic() < deadline:
            pass

    return _once_open(source, out_dir, stems, format, progress, compute)


def _once_open(
    source: str,
    out_dir: str,
    stems: int,
    format: str,
    progress: Progress,
    wait: Callable[[], None],
) -> Separation:
    room = Path(os.environ["LOCAL_ENGINE_ROOM"])
    (room / f"started-{os.getpid()}").touch()
    progress(0.25)
    while not (room / "open").exists():
        wait()
    return copy(source, out_dir, stems=stems, format=format, progress=progress)


def moody(source: str, out_dir: str, *, stems: int, format: str, progress: Progress) -> Separation:
    """Does what the file `mood` says: die so many times, refuse, find the disk full or failing,
    be broken.

    A made sound (the server's own trial) it separates well, but for `broken ...`.
    """
    room = Path(os.environ["LOCAL_ENGINE_ROOM"])
    mood = (room / "mood").read_text()
    if mood == "broken by type":
        raise TypeError("separate() got an unexpected keyword argument")
    if mood == "broken by crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if mood == "broken by its disk":
        raise OSError(errno.EIO, "Input/output error", source)
    if os.path.basename(source) == "made.wav":
        return copy(source, out_dir, stems=stems, format=format, progress=progress)
    if mood == "odd":
        raise TypeError("this song has one channel too many")
    if mood == "refuse":
        name = os.path.basename(source)
        raise Reject(f"{name!r} is not to my taste.", code="taste", hint="Sing.")
    if mood == "full":
        raise OSError(errno.ENOSPC, "No space left on device", out_dir)
    if mood == "eio once":
        (room / "mood").write_text("0")
        raise OSError(errno.EIO, "Input/output error", source)
    if mood == "away once":  # which a decoder takes for the end of the song
        os.rename(source, room / "away")
        (room / "mood").write_text("back")
        raise Reject("The song is incomplete.", code="truncated")
    if mood == "back":
        os.rename(room / "away", source)
        mood = "0"
    deaths = len(list(room.glob("death-*")))
    if deaths < int(mood):
        (room / f"death-{deaths}").touch()
        os.kill(os.getpid(), signal.SIGKILL)  # as the out-of-memory killer does
    return copy(source, out_dir, stems=stems, format=format, progress=progress)


def timed(source: str, out_dir: str, *, stems: int, format: str, progress: Progress) -> Separation:
    """Takes as many seconds as the file `seconds` says, and hardly any CPU."""
    room = Path(os.environ["LOCAL_ENGINE_ROOM"])
    deadline = time.monotonic() + float((room / "seconds").read_text())
    while (left := deadline - time.monotonic()) > 0:
        progress(0.5)
        time.sleep(min(left, 0.5))
    return copy(source, out_dir, stems=stems, format=format, progress=progress)
