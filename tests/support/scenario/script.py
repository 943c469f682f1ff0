"""What a scenario server can be told to do wrong, one step for each request of a route.

A step is a JSON object. On each of ROUTES, steps are used up in order; then the server behaves.
`post` is the call that costs, `get` any question about jobs; `ticket`, `put` and `balance` are wire
B's. The balance has a route of its own, as nobody knows when it is asked for among the polls; but
where it has no step, what `get` does for "ever" holds for it too.
`"times": 3` repeats a step, `"times": "ever"` never stops.

answers
    {}                                behave (to let a request pass before the next step)
    {"status": 429, "headers": {...}, "body": "text" or {json}}
                                      a header of "date+2" is the HTTP-date of 2 s after the answer
    {"merge": {...}, "drop": ["bpm"]} the proper JSON with keys changed, added or left out
    {"html": true}   {"half": true}   an HTML page; a JSON cut in half (with a right length)
    {"redirect": URL, "status": 302}  "{origin}" in it is the server's own; or {"hops": 3}
when (post only; by default the body is read first)
    {"at": "head", ...}               answer before reading the body, then close
    {"at": "head", "then": "stall"}   ... then neither read nor close
    {"at": "head", "then": "read"}    ... then read the body as if nothing were
transport
    {"reset": "head" | "body" | "end" | "answer"}  RST: at once, in the request's body, after it,
                                      or half-way through the answer
    {"close": ...}                    the same with a FIN
    {"hang": "head" | "body" | "end"} never answer (until the client or the server gives up)
    {"accept": true}                  with a step at "end": the job was taken (and paid) before it
the answer's body
    {"drip": 0.05}                    one byte every so many seconds
    {"delay": 0.5}                    wait before answering
    {"until": "told"}                 wait until the test calls `server.go_on()`
    {"length": 10}  {"length": null}  Content-Length off by so many bytes; none at all
    {"chunked": true}                 Transfer-Encoding: chunked
    {"endless": true}                 never stops
    {"bomb": 50}                      50 MB of zeros as gzip
"""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections import deque
from collections.abc import AsyncIterator
from email.utils import formatdate
from typing import Any

from tests.support.scenario.wire import Answer, head_bytes, reset, send

ROUTES = ("post", "get", "download", "ticket", "put", "balance")
Step = dict[str, Any]


class Script:
    """The steps still to come, by route."""

    def __init__(self) -> None:
        self._steps: dict[str, deque[Step]] = {route: deque() for route in ROUTES}

    def load(self, routes: dict[str, list[Step]]) -> None:
        """Replace the steps of the routes that are named."""
        for route, steps in routes.items():
            self._steps[route] = deque(dict(step) for step in steps)

    def next(self, route: str) -> Step:
        queue = self._steps[route]
        if not queue:
            return {}
        times = queue[0].get("times", 1)
        if times == "ever":
            return queue[0]
        if times > 1:
            queue[0]["times"] = times - 1
            return queue[0]
        return queue.popleft()

    def lasting(self, route: str) -> Step:
        """The step that this route takes for ever, if it is at that."""
        queue = self._steps[route]
        return queue[0] if queue and queue[0].get("times") == "ever" else {}


def bend(step: Step, proper: Answer, origin: str, path: str, query: dict[str, str]) -> Answer:
    """The answer that the step wants instead of the proper one."""
    own = {name: _dated(value) for name, value in step.get("headers", {}).items()}
    headers = {**proper.headers, **own}
    if "hops" in step:
        hop = int(query.get("hop", "0")) + 1
        return Answer(302, b"", {"Location": f"{origin}{path}?hop={hop}"})
    if "redirect" in step:
        target = step["redirect"].replace("{origin}", origin)
        return Answer(step.get("status", 302), b"", {**headers, "Location": target})
    if step.get("html"):
        page = b"<!doctype html><title>Bad gateway</title><h1>502</h1>"
        return Answer(step.get("status", 200), page, {**headers, "Content-Type": "text/html"})
    if "bomb" in step:
        body = gzip.compress(bytes(step["bomb"] * 1_000_000))
        return Answer(200, body, {**headers, "Content-Encoding": "gzip"})
    if "merge" in step or "drop" in step:
        data = json.loads(proper.body) if isinstance(proper.body, bytes) else {}
        data = {k: v for k, v in (data | step.get("merge", {})).items() if k not in _dropped(step)}
        return Answer.json(step.get("status", proper.status), data, headers)
    if "body" in step or "status" in step:
        body = step.get("body", {"error": f"scenario {step.get('status', 200)}"})
        raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        return Answer(step.get("status", 200), raw, {"Content-Type": "application/json"} | headers)
    if step.get("half") and isinstance(proper.body, bytes):
        return Answer(proper.status, proper.body[: len(proper.body) // 2], headers)
    return Answer(proper.status, proper.body, headers, proper.length)


def _dated(value: str) -> str:
    word, plus, seconds = value.partition("+")
    return (
        formatdate(time.time() + float(seconds), usegmt=True) if word + plus == "date+" else value
    )


def _dropped(step: Step) -> list[str]:
    return list(step.get("drop", []))


async def deliver(step: Step, writer: asyncio.StreamWriter, answer: Answer) -> bool:
    """Send the answer the way the step wants; True if the connection can be used again."""
    await asyncio.sleep(step.get("delay", 0))
    if not any(key in step for key in ("drip", "length", "chunked", "endless", "reset", "close")):
        await send(writer, answer)
        return True
    whole = b"".join([chunk async for chunk in _chunks(answer)])
    if step.get("chunked"):
        answer.headers["Transfer-Encoding"] = "chunked"
        writer.write(_chunked_head(answer) + b"%x\r\n%b\r\n0\r\n\r\n" % (len(whole), whole))
        await writer.drain()
        return True
    off = step.get("length", 0)
    writer.write(
        head_bytes(answer, None if off is None or step.get("endless") else len(whole) + off)
    )
    if step.get("endless"):
        while True:
            writer.write(whole or bytes(65536))
            await writer.drain()
    if "drip" in step:
        for at in range(len(whole)):
            writer.write(whole[at : at + 1])
            await writer.drain()
            await asyncio.sleep(step["drip"])
        return False
    cut = step.get("reset") == "answer" or step.get("close") == "answer"
    writer.write(whole[: len(whole) // 2] if cut else whole)
    await writer.drain()
    if step.get("reset") == "answer":
        await asyncio.sleep(0.05)  # let the first half arrive: a RST would overtake it
        reset(writer)
    return False


def _chunked_head(answer: Answer) -> bytes:
    head = head_bytes(answer, 0)
    return head.replace(b"\r\nContent-Length: 0", b"")


async def _chunks(answer: Answer) -> AsyncIterator[bytes]:
    if isinstance(answer.body, bytes):
        yield answer.body
        return
    async for chunk in answer.body:
        yield chunk
