"""Driving a separation API from a test: a small song, one submission, what it observed."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType

from stemwatch.job import Options
from stemwatch.stemsplit.interface import Submitted, Upload
from stemwatch.stemsplit.separate import SeparateApi
from tests.support.scenario.stems import tone, wav_header

KEY = "sk-canary-0123456789"


def make_song(path: Path, seconds: float = 1.0, name: str = "song") -> Path:
    """A WAV of a steady tone; another `name` is another pitch, so other content."""
    frames = round(seconds * 44100)
    second = tone(name)
    with path.open("wb") as out:
        out.write(wav_header(frames))
        for _ in range(frames // 44100):
            out.write(second)
        out.write(second[: frames % 44100 * 4])
    return path


class Caller:
    """`submit` once; then `held` says whether the last bytes were reached, `sent` how much went."""

    def __init__(
        self, path: Path, *, hold: Callable[[], Awaitable[None]] | None = None, filename: str = ""
    ) -> None:
        self.fd = os.open(path, os.O_RDONLY)
        self.upload = Upload(self.fd, os.fstat(self.fd).st_size, filename or path.name)
        self.held = 0
        self.sent: list[int] = []
        self._hold = hold

    async def submit(self, api: SeparateApi, options: Options | None = None) -> Submitted:
        async def hold() -> None:
            self.held += 1
            if self._hold is not None:
                await self._hold()

        return await api.submit(
            self.upload,
            options or Options(),
            idempotency_key="key-1",
            before_last_bytes=hold,
            on_sent=self.sent.append,
        )

    def __enter__(self) -> Caller:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self.fd)
