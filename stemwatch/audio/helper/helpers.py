"""The helper processes themselves: at most two, started on demand, one request at a time each.

Who asks and what for is `client`'s.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections import deque
from collections.abc import Mapping
from typing import Any

from stemwatch.audio.helper.growth import Growth
from stemwatch.audio.helper.pipes import Helper
from stemwatch.codes import Code
from stemwatch.errors import PauseService, Reject
from stemwatch.extras import reinstall

_MOST = 2


class Helpers:
    """Requests beyond their number wait, first come first served.

    A helper ends after `idle` seconds without work, and at the end of its input. Once closed, a
    request is cancelled: its helper was ended by us, so no file is to blame.
    """

    def __init__(self, idle: float) -> None:
        self._seats = asyncio.Semaphore(_MOST)
        self._idle_seconds = idle
        self._free: deque[Helper] = deque()
        self._all: set[Helper] = set()
        self._closed = False

    async def close(self) -> None:
        """End every helper, working or not, and wait until they are gone; none starts any more."""
        self._closed = True
        helpers = {*self._all, *self._free}  # one that died while idle may be in one of them only
        self._free.clear()
        self._all.clear()
        for helper in helpers:
            helper.kill()
        for helper in helpers:
            await helper.end()

    def retire_idle(self) -> None:
        """Let all that have no work end, so that the next request gets a fresh one."""
        for helper in list(self._free):
            helper.stop_timer()
            self._retire(helper)

    async def request(
        self,
        subject: str,
        request: Mapping[str, Any],
        timeout: float,
        *,
        fresh: bool = False,
        grows: Growth | None = None,
    ) -> Any:
        """What a helper answers. Raises Reject or OSError as told at `client.AudioHelper`.

        `grows`: the time begins anew whenever that file has grown; its CPU time, too.
        """
        async with self._seats:
            helper = (None if fresh else self._take_free()) or await self._start()
            # Not at once: most requests end before that, and it costs as much as a short one.
            noting = asyncio.get_running_loop().call_later(min(1.0, timeout / 4), helper.note_cpu)
            try:
                async with asyncio.timeout(timeout) as limit:  # wait_for would cost a task each
                    if not await helper.takes(request):  # it died while idle: not this file's fault
                        await self._end(helper)
                        helper = await self._start()
                        if not await helper.takes(request):
                            raise NotWorking("it ended before it took any work")
                    if grows is None:
                        answer = await helper.answer()
                    else:
                        answer = await grows.answered(
                            helper.answer(), limit, timeout, helper.note_cpu
                        )
            except (TimeoutError, EOFError, ConnectionError) as fault:
                waited = isinstance(fault, TimeoutError) and (
                    helper.cpu_since_noted() < max(1.0, timeout / 10)
                )
                await self._end(helper)
                self._require_open()
                if waited:  # for a disk that hangs: no file is to blame
                    raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT), subject) from fault
                raise _crashed(subject, fault, timeout) from fault
            except BaseException:  # cancelled: its answer would be taken for the next request's
                await self._end(helper)
                raise
            finally:
                noting.cancel()
            self._put_free(helper)
        return answer

    def _take_free(self) -> Helper | None:
        """The one used last, so that the others become idle; one that died meanwhile is dropped."""
        while self._free:
            helper = self._free.pop()
            helper.stop_timer()  # of a dead one, too: it is not among the free any more
            if helper.alive():
                return helper
            self._all.discard(helper)
        return None

    def _put_free(self, helper: Helper) -> None:
        if helper in self._all:  # else it was closed meanwhile
            self._free.append(helper)
            loop = asyncio.get_running_loop()
            helper.timer = loop.call_later(self._idle_seconds, self._retire, helper)

    def _retire(self, helper: Helper) -> None:
        self._free.remove(helper)
        helper.stdin.close()  # the end of its input ends it; until then `close` has to know it

    def _require_open(self) -> None:
        if self._closed:
            raise asyncio.CancelledError

    async def _start(self) -> Helper:
        self._require_open()
        try:
            helper = await Helper.start()
        except OSError as fault:  # no memory, too many processes: no file's fault either
            raise NotWorking(f"it can't be started: {fault}") from fault
        self._all = {one for one in self._all if one.process.returncode is None}  # retired ones
        self._all.add(helper)
        if self._closed:
            await self._end(helper)
            self._require_open()
        return helper

    async def _end(self, helper: Helper) -> None:
        self._all.discard(helper)
        helper.kill()
        await helper.end()


def result(answer: Mapping[str, Any], subject: str) -> Any:
    """The answer's value, or its error raised again as what it was in the helper."""
    if "result" in answer:
        return answer["result"]
    if answer["error"] == "OSError":
        raise OSError(answer["errno"], answer["message"], subject)
    raise Reject(answer["message"], code=answer["code"], hint=answer["hint"])


def _crashed(subject: str, fault: BaseException, timeout: float) -> Reject:
    slow = isinstance(fault, TimeoutError)
    what = f"kept the decoder busy for over {timeout:g} s" if slow else "made the decoder crash"
    return Reject(
        f"{os.path.basename(subject)!r} {what}.",
        code=Code.DECODER_CRASHED,
        hint="Re-save it in an audio editor and drop that file, or `stemwatch retry` if the "
        "machine was short of memory.",
    )


class NotWorking(PauseService):
    """Everybody's trouble: `why` in a few words, and what mends it (by default a new install)."""

    def __init__(self, why: str, hint: str = "") -> None:
        super().__init__(
            f"The audio helper does not work: {why}.",
            code=Code.AUDIO_HELPER,
            hint=hint
            or f"Install its libraries again: `{reinstall()}`; `stemwatch check` tests them. "
            "No song is to blame, and work goes on by itself.",
        )
        self.why = why
